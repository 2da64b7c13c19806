//! What the scheduler does, one subject in each file. The types beside this folder hold its data, and know nothing of
//! it.

mod asking;
mod commands;
mod commit;
mod compact;
mod count;
mod damage;
mod failure;
mod fold;
mod grants;
mod life;
mod names;
mod parking;
mod passes;
mod reading;
mod recovery;
mod reduce;
mod retention;
mod starts;
mod troubles;
mod waste;
