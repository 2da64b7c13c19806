//! A run as bytes, for not having to replay its whole journal.

use std::sync::Arc;

use super::{Run, facts::Facts, work::WorkPhase};
use crate::{
    engine::record::{RecordError, Translation, append_value, decode_first, decode_rest, encode_value, malformed},
    graph::Graph,
};

impl Run {
    /// All that its inputs so far come to. With the inputs after it, it makes the same run again.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = encode_value(&self.facts, SNAPSHOT_BYTES);
        if !self.facts.deferred.is_empty() {
            append_value(&mut bytes, &self.facts.deferred);
        }
        bytes
    }

    /// The run of a snapshot, under the graph that `translation` leads to. It is sound, whatever the bytes were. If the
    /// store keeps the state apart that it began with, it needs [`Run::with_kept_state`].
    ///
    /// # Errors
    /// When it cannot be read, or the graph lacks something that the run still needs.
    pub fn restore(snapshot: &[u8], translation: &Translation, graph: Arc<Graph>) -> Result<Self, RecordError> {
        let (mut facts, behind): (Facts, _) = decode_first(snapshot)?;
        if !behind.is_empty() {
            facts.deferred = decode_rest(behind)?;
        }
        facts.translate(translation)?;
        facts.check().map_err(malformed)?;
        Ok(Self { graph, facts, remains: None })
    }
}

impl Facts {
    /// Ids are in order of name in every graph, so what is ordered by them stays in order.
    fn translate(&mut self, translation: &Translation) -> Result<(), RecordError> {
        for (_, work) in self.works.iter_mut() {
            translation.step(&mut work.step)?;
            translation.work_event(&mut work.event)?;
            if let Some(place) = &mut work.place {
                place.path.steps_mut().try_for_each(|step| translation.step(step))?;
            }
            if let WorkPhase::Asking(asking) = &mut work.phase {
                translation.event(&mut asking.question)?;
            }
            if let Some(memory) = &mut work.memory {
                for place in 0..memory.waits.len() {
                    memory.waits.get_mut(place).map_or(Ok(()), |wait| translation.wait(wait))?;
                }
            }
        }
        self.slots.steps_mut().try_for_each(|step| translation.step(step))?;
        for (_, question) in self.questions.iter_mut() {
            translation.event(&mut question.answer)?;
        }
        // Nothing of the run waits on these: what is gone is forgotten.
        let mut shown = std::mem::take(&mut self.shown).into_vec();
        shown.retain_mut(|shown| translation.event(&mut shown.question).is_ok());
        self.shown = shown.into();
        for (_, scope) in self.scopes.iter_mut() {
            scope.translate(translation)?;
        }
        for (_, deferred) in self.deferred.iter_mut() {
            deferred.translate(translation)?;
        }
        // They were acknowledged: a workflow that cannot take them any more fails the run rather than drop them.
        for (_, early) in self.early.iter_mut() {
            translation.event(&mut early.event)?;
            early.step.as_mut().map_or(Ok(()), |step| translation.step(step))?;
        }
        let mut asked = std::mem::take(&mut self.asked).into_vec();
        asked.retain_mut(|event| translation.event(event).is_ok());
        self.asked = asked.into();
        self.count();
        Ok(())
    }
}

/// What the snapshot of a run that waits for one answer takes.
const SNAPSHOT_BYTES: usize = 256;
