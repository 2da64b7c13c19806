//! What a turn of the loop does with the core after all input: the same for the server and the simulator.

use super::{Core, Output};
use crate::{
    engine::{
        scheduler::Waste,
        storage::{Batch, Completed},
    },
    now::Now,
};

/// Something that drives the core, with a store of its own: the server's loop, or the simulator.
pub trait Driver {
    /// Why it stops in between, if it does.
    type Stopped;

    /// Returns the core.
    fn core(&mut self) -> &mut Core;

    /// Returns the time of this turn.
    fn now(&self) -> Now;

    /// Does what the core wants.
    ///
    /// # Errors
    /// If the driver stops.
    fn carry_out(&mut self, output: Output) -> Result<(), Self::Stopped>;

    /// Returns the next thing that the store has completed.
    ///
    /// # Errors
    /// If the driver stops.
    fn poll_completed(&mut self) -> Result<Option<Completed>, Self::Stopped>;

    /// Submits the batch to the store.
    ///
    /// # Errors
    /// If the driver stops.
    fn submit(&mut self, batch: Batch) -> Result<(), Self::Stopped>;

    /// Frees something that takes long to free.
    fn free(&mut self, waste: Waste);

    /// Carries out the core's outputs.
    ///
    /// # Errors
    /// If the driver stops.
    fn carry_out_all(&mut self) -> Result<(), Self::Stopped> {
        loop {
            let now = self.now();
            let Some(output) = self.core().poll_output(now) else { return Ok(()) };
            self.carry_out(output)?;
        }
    }

    /// Carries out the core's outputs, passes on what the store has completed and submits batches, until nothing is
    /// left to do at once. To be called at the end of each turn.
    ///
    /// # Errors
    /// If the driver stops.
    fn settle(&mut self) -> Result<(), Self::Stopped> {
        loop {
            self.carry_out_all()?;
            if let Some(completed) = self.poll_completed()? {
                let now = self.now();
                self.core().handle_completed(completed, now);
            } else if let Some(batch) = self.core().poll_batch() {
                self.submit(batch)?;
            } else {
                break;
            }
        }
        self.core().retire();
        self.carry_out_all()?;
        while let Some(waste) = self.core().poll_waste() {
            self.free(waste);
        }
        Ok(())
    }
}
