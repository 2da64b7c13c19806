//! Handles passes that were lost with their executor.

use super::facts::{Facts, Reduction};
use crate::{
    engine::input::{Effect, PassId},
    limits::PASS_LOSSES_MAX,
    pass::{Done, PassEnd},
};

impl Facts {
    /// Runs the body of a lost pass again, as after a restart of the server: the work retains its slot, its attempt and
    /// its position among those that run alone. After [`PASS_LOSSES_MAX`] losses in a row the attempt has failed.
    pub(super) fn pass_lost(&mut self, reduction: &mut Reduction<'_>, pass: PassId) {
        let Some(step) = self.running_work(pass).map(|work| work.step) else { return };
        let losses = self.lost.get(pass.work).copied().unwrap_or(0) + 1;
        if losses >= PASS_LOSSES_MAX {
            let name = &reduction.graph.step(step).name;
            let error = format!(
                "Step {name} was lost {losses} times in a row, each time with the thread or process that ran it"
            );
            let end = PassEnd::Failed { error, retry: true };
            return self.done(reduction, pass, Done::of(end));
        }
        self.lost.insert(pass.work, losses);
        let Some(work) = self.works.get_mut(pass.work) else { return };
        work.pass = work.pass.saturating_add(1);
        reduction.effects.push(Effect::StartPass(PassId { pass: work.pass, ..pass }));
    }
}
