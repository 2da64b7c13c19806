//! Sockets, used nowhere else. A [`Reactor`] waits for readiness and moves bytes between sockets and exchanges; it
//! reads no clock and does not know the API.

mod address;
mod connection;
mod listener;
mod peer;
mod reactor;
mod timers;

pub use self::{
    address::{Address, AddressError},
    connection::{Connection, Origin},
    reactor::{Closed, EXECUTOR_TOKEN, Reactor, SIGNAL_TOKEN, Wakes},
};
