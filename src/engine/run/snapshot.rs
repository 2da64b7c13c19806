//! Snapshots of a run, which avoid replaying its whole journal.

use std::sync::Arc;

use super::{Run, facts::Facts, work::WorkPhase};
use crate::{
    engine::record::{
        RecordError, Translation, append_value, decode_first, decode_rest, encode_value, malformed, take,
    },
    graph::Graph,
};

impl Run {
    /// Encodes everything that follows from the inputs so far. With the inputs after it, it restores the same run.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = encode_value(&self.facts, SNAPSHOT_BYTES);
        let Facts { deferred, lost, .. } = &self.facts;
        if !deferred.is_empty() || !lost.is_empty() {
            append_value(&mut bytes, deferred);
        }
        if !lost.is_empty() {
            append_value(&mut bytes, lost);
        }
        bytes
    }

    /// Decodes a run under the graph to which `translation` leads. The run is sound, whatever the bytes were. If the
    /// store has its initial state separately, it must be completed by [`Run::with_initial_state`].
    ///
    /// # Errors
    /// If the snapshot cannot be read, or the graph lacks something that the run still needs.
    pub fn restore(snapshot: &[u8], translation: &Translation, graph: Arc<Graph>) -> Result<Self, RecordError> {
        let (mut facts, rest): (Facts, _) = decode_first(snapshot)?;
        if !rest.is_empty() {
            let behind;
            (facts.deferred, behind) = take(rest)?;
            if !behind.is_empty() {
                facts.lost = decode_rest(behind)?;
            }
        }
        facts.translate(translation)?;
        facts.check().map_err(malformed)?;
        Ok(Self { graph, facts, remains: None })
    }
}

impl Facts {
    /// Ids are in order of name in every graph, so translation preserves the order.
    fn translate(&mut self, translation: &Translation) -> Result<(), RecordError> {
        for (_, work) in self.works.iter_mut() {
            translation.step(&mut work.step)?;
            translation.work_event(&mut work.event)?;
            if let Some(position) = &mut work.position {
                position.path.steps_mut().try_for_each(|step| translation.step(step))?;
            }
            if let WorkPhase::Asking(asking) = &mut work.phase {
                translation.event(&mut asking.question)?;
            }
            if let Some(memory) = &mut work.memory {
                for index in 0..memory.waits.len() {
                    memory.waits.get_mut(index).map_or(Ok(()), |wait| translation.wait(wait))?;
                }
            }
        }
        self.slots.steps_mut().try_for_each(|step| translation.step(step))?;
        for (_, question) in self.questions.iter_mut() {
            translation.event(&mut question.answer)?;
        }
        // Nothing in the run waits on these, so what the new graph does not have is forgotten.
        let mut shown = std::mem::take(&mut self.shown).into_vec();
        shown.retain_mut(|shown| translation.event(&mut shown.question).is_ok());
        self.shown = shown.into();
        for (_, scope) in self.scopes.iter_mut() {
            scope.translate(translation)?;
        }
        for (_, deferred) in self.deferred.iter_mut() {
            deferred.translate(translation)?;
        }
        // They were acknowledged: if the new workflow cannot take them, the run fails rather than drop them.
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

/// The size of a snapshot of a run that waits for one answer.
const SNAPSHOT_BYTES: usize = 256;
