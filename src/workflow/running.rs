//! The worker's side of one pass: its input, what it has done so far, and whether it must stop.

use std::{any::TypeId, cell::RefCell, panic, sync::Arc};

use super::{
    EventEntry, Result, StepError,
    event::{Event, qualified_name},
    link::{NoteRefused, PassLink},
    view::StateView,
};
use crate::{
    graph::{EventId, EventKind},
    json::{self, Json},
    limits::{ERROR_BYTES_MAX, PASS_OUTPUT_BYTES_MAX, WORK_NOTES_MAX, WORK_WAITS_MAX},
    pass::{
        self, Done, EventRef, NOTE_OVERHEAD_BYTES, NewWait, Note, OnceValue, OtherEvent, PassEnd, PassInput, Stop, Wait,
    },
};

/// How a body ended: with events, with an error, or in a panic.
pub(super) type Ended = std::thread::Result<Result<Vec<(EventId, Json)>>>;

/// Judges a live error: returns whether a retry is worthwhile.
pub(super) type RetryIf = dyn Fn(&StepError) -> bool + Send + Sync;

/// The events of a workflow by their Rust types.
pub(super) struct TypeTable {
    /// In order of the type's id.
    ids: Box<[(TypeId, EventId)]>,
    names: Box<[Box<str>]>,
    module: Box<str>,
    stop: Option<EventId>,
}

/// What the passes of a step know about it.
pub(super) struct StepNames {
    pub(super) name: Box<str>,
    pub(super) takes: Box<[EventId]>,
    pub(super) table: Arc<TypeTable>,
}

/// One pass.
pub(super) struct Pass {
    pub(super) names: Arc<StepNames>,
    pub(super) input: PassInput,
    pub(super) link: Arc<PassLink>,
    progress: RefCell<Progress>,
    pub(super) view: RefCell<StateView>,
}

#[derive(Default)]
struct Progress {
    halt: Option<Halt>,
    stream_ordinal: u32,
    /// Whether a write differed from what is published, so that it and all later ones are published anew.
    publishes_anew: bool,
    wait_ordinal: u32,
    once: Once,
    once_ordinal: u32,
    sent: Vec<(EventId, Json)>,
    output_bytes: usize,
    others: Vec<(TypeId, Arc<OtherEvent>)>,
}

#[derive(Default)]
enum Once {
    #[default]
    Outside,
    Inside,
    /// The closure failed. If the body continues nevertheless, later passes must see the same failure.
    Failed(OnceValue),
}

/// Why every further call of the pass fails. The first cause counts.
enum Halt {
    Waits {
        ordinal: u32,
        wait: NewWait,
    },
    Stopped(Stop),
    Diverged(String),
    /// A fault of the program, which a retry cannot mend.
    Fault(String),
}

impl TypeTable {
    pub(super) fn new(
        entries: impl Iterator<Item = (TypeId, EventId)>,
        names: Box<[Box<str>]>,
        module: &str,
        stop: Option<EventId>,
    ) -> Self {
        let mut ids: Vec<_> = entries.collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids: ids.into(), names, module: module.into(), stop }
    }

    /// Creates a table of just these types, numbered in order of name.
    pub(super) fn of_entries(entries: &[EventEntry], module: &str) -> Self {
        let mut names: Vec<Box<str>> = entries.iter().map(|entry| entry.name.as_ref().into()).collect();
        names.sort_unstable();
        names.dedup();
        let id = |name: &str| EventId(names.partition_point(|known| **known < *name) as u16);
        let ids: Vec<_> = entries.iter().map(|entry| (entry.type_id, id(&entry.name))).collect();
        Self::new(ids.into_iter(), names.into(), module, None)
    }

    pub(super) fn find(&self, of: TypeId) -> Option<EventId> {
        self.ids.binary_search_by(|(known, _)| known.cmp(&of)).ok().map(|index| self.ids[index].1)
    }

    pub(super) fn name(&self, id: EventId) -> &str {
        self.names.get(usize::from(id.0)).map_or("?", |name| name)
    }
}

impl Pass {
    pub(super) fn new(names: Arc<StepNames>, input: PassInput, link: Arc<PassLink>) -> Self {
        Self { names, input, link, progress: RefCell::default(), view: RefCell::default() }
    }

    /// Fails if the pass has been halted or must stop.
    pub(super) fn ready(&self) -> Result<()> {
        if self.progress.borrow().halt.is_some() {
            return Err(StepError::interrupted());
        }
        match self.link.stopped() {
            Some(stop) => Err(self.halt(Halt::Stopped(stop))),
            None => Ok(()),
        }
    }

    /// Fails also inside a `once` closure, whose effects other than its value would be lost when it is skipped.
    pub(super) fn ready_outside_once(&self, call: &str) -> Result<()> {
        self.ready()?;
        if matches!(self.progress.borrow().once, Once::Inside) {
            return Err(self.fault(format!(
                "`ctx.{call}` inside of `ctx.once`: a later pass skips the closure and would miss it; call it outside"
            )));
        }
        Ok(())
    }

    pub(super) fn fault(&self, text: impl Into<String>) -> StepError {
        self.halt(Halt::Fault(text.into()))
    }

    pub(super) fn stopped(&self, stop: Stop) -> StepError {
        self.halt(Halt::Stopped(stop))
    }

    fn halt(&self, halt: Halt) -> StepError {
        self.progress.borrow_mut().halt.get_or_insert(halt);
        StepError::interrupted()
    }

    pub(super) fn id_of<E: Event>(&self) -> Result<EventId> {
        let unknown = || self.fault(format!("event {} is not of this workflow", E::name()));
        self.names.table.find(TypeId::of::<E>()).ok_or_else(unknown)
    }

    pub(super) fn count_output(&self, bytes: usize) -> Result<()> {
        let mut progress = self.progress.borrow_mut();
        progress.output_bytes += bytes;
        if progress.output_bytes <= PASS_OUTPUT_BYTES_MAX {
            return Ok(());
        }
        drop(progress);
        Err(self
            .fault(format!("the events and writes of one pass exceed {PASS_OUTPUT_BYTES_MAX} bytes: split the work")))
    }

    pub(super) fn stream<E: Event>(&self, event: &E) -> Result<()> {
        self.ready()?;
        let known = self.names.table.find(TypeId::of::<E>());
        let is_stop = if known.is_some() { known == self.names.table.stop } else { E::KIND == EventKind::Stop };
        if is_stop || (E::BUILTIN && E::name() == "StopEvent") {
            return Err(self.fault(format!("{} ends a run and cannot be streamed: return it instead", E::name())));
        }
        let written = encode(event, |text| {
            let hash = match known {
                Some(id) => pass::stream_hash(self.names.table.name(id), text),
                None => pass::stream_hash(&E::name(), text),
            };
            let mut progress = self.progress.borrow_mut();
            let ordinal = progress.stream_ordinal;
            if !progress.publishes_anew && self.input.published.get(ordinal as usize) == Some(&hash) {
                progress.stream_ordinal += 1;
                return None;
            }
            progress.publishes_anew = true;
            Some((ordinal, hash, Json::of_encoded(text)))
        })?;
        let Some((ordinal, hash, value)) = written else { return Ok(()) };
        let event = known.map_or_else(|| self.other::<E>(), EventRef::Known);
        self.note(Note::Stream { ordinal, hash, event, value })?;
        self.progress.borrow_mut().stream_ordinal = ordinal + 1;
        Ok(())
    }

    fn other<E: Event>(&self) -> EventRef {
        let mut progress = self.progress.borrow_mut();
        let known = progress.others.iter().find(|(of, _)| *of == TypeId::of::<E>()).map(|(_, other)| Arc::clone(other));
        let other = known.unwrap_or_else(|| {
            let qualified_name = qualified_name::<E>(&self.names.table.module).into();
            let other = Arc::new(OtherEvent { name: E::name().into(), qualified_name, kind: E::KIND });
            progress.others.push((TypeId::of::<E>(), Arc::clone(&other)));
            other
        });
        EventRef::Other(other)
    }

    fn note(&self, note: Note) -> Result<()> {
        self.link.note(note).map_err(|refused| match refused {
            NoteRefused::Stopped(stop) => self.stopped(stop),
            NoteRefused::FeedFull => StepError::hopeless(pass::feed_full()),
        })
    }

    pub(super) fn send<E: Event>(&self, event: &E) -> Result<()> {
        self.ready_outside_once("send")?;
        let (id, value) = (self.id_of::<E>()?, encode(event, Json::of_encoded)?);
        self.count_output(value.as_str().len())?;
        self.progress.borrow_mut().sent.push((id, value));
        Ok(())
    }

    /// Returns the wait that this work made at the next ordinal, for the caller to compare with the present one.
    pub(super) fn next_wait(&self, call: &str) -> Result<(u32, Option<&Wait>)> {
        self.ready_outside_once(call)?;
        let ordinal = self.progress.borrow().wait_ordinal;
        if ordinal as usize >= WORK_WAITS_MAX {
            return Err(self.fault(format!(
                "more than {WORK_WAITS_MAX} waits in one work, which begins anew after each: return an event that this \
                 step takes for each round, instead of a loop in it"
            )));
        }
        self.progress.borrow_mut().wait_ordinal += 1;
        Ok((ordinal, self.input.waits.get(ordinal as usize)))
    }

    /// Returns the ordinal of the next wait.
    pub(super) fn wait_ordinal(&self) -> u32 {
        self.progress.borrow().wait_ordinal
    }

    pub(super) fn wait(&self, ordinal: u32, wait: NewWait) -> StepError {
        match self.note_failed_once() {
            Ok(()) => self.halt(Halt::Waits { ordinal, wait }),
            Err(error) => error,
        }
    }

    /// Describes a wait, for [`Pass::diverged`].
    pub(super) fn describe(&self, wait: &Wait) -> String {
        match wait {
            Wait::Slept => "`ctx.sleep`".into(),
            Wait::Asked { question, .. } | Wait::Forgotten { question } => {
                format!("`ctx.ask({})`", self.names.table.name(*question))
            }
        }
    }

    pub(super) fn diverged(&self, ordinal: u32, before: &str, now: &str) -> StepError {
        self.halt(Halt::Diverged(format!(
            "step {} made wait {ordinal} with {before} and now makes it with {now}: a body runs again after each wait \
             and must come to the same waits in the same order; keep what can change (clock, random numbers, calls) in \
             `ctx.once`",
            self.names.name
        )))
    }

    /// Returns the noted value at the next ordinal of `once`; `None` means that the closure must run, between this and
    /// [`Pass::end_once`].
    pub(super) fn begin_once(&self) -> Result<Option<&OnceValue>> {
        self.ready_outside_once("once")?;
        self.note_failed_once()?;
        let mut progress = self.progress.borrow_mut();
        let ordinal = progress.once_ordinal as usize;
        if let Some(noted) = self.input.once.get(ordinal) {
            progress.once_ordinal += 1;
            progress.stream_ordinal = noted.stream_ordinal;
            return Ok(Some(noted));
        }
        drop(progress);
        if ordinal >= WORK_NOTES_MAX {
            return Err(self.fault(format!("more than {WORK_NOTES_MAX} calls of `ctx.once` in one work: split it")));
        }
        self.progress.borrow_mut().once = Once::Inside;
        Ok(None)
    }

    /// Notes what the closure returned. A failure is noted only if the body continues after it: usually it ends the
    /// attempt, and the next one retries.
    pub(super) fn end_once(&self, value: std::result::Result<Json, Json>) -> Result<()> {
        self.progress.borrow_mut().once = Once::Outside;
        self.ready()?;
        let stream_ordinal = self.progress.borrow().stream_ordinal;
        match value {
            Ok(value) => self.note_once(OnceValue { value, stream_ordinal }),
            Err(value) => {
                self.progress.borrow_mut().once = Once::Failed(OnceValue { value, stream_ordinal });
                Ok(())
            }
        }
    }

    fn note_failed_once(&self) -> Result<()> {
        let once = std::mem::take(&mut self.progress.borrow_mut().once);
        if let Once::Failed(value) = once { self.note_once(value) } else { Ok(()) }
    }

    fn note_once(&self, value: OnceValue) -> Result<()> {
        self.count_output(value.value.as_str().len() + NOTE_OVERHEAD_BYTES)?;
        let ordinal = self.progress.borrow().once_ordinal;
        self.progress.borrow_mut().once_ordinal += 1;
        self.note(Note::Once { ordinal, value })
    }

    /// Returns the record of the pass. If something halted it, that decides, whatever its body did afterwards.
    pub(super) fn finish(self, ended: Ended, retry_if: Option<&RetryIf>) -> Done {
        let progress = self.progress.into_inner();
        let end = match (progress.halt, ended) {
            (Some(Halt::Waits { ordinal, wait }), _) => PassEnd::Waits { ordinal, wait },
            (Some(Halt::Diverged(text)), _) => PassEnd::Diverged(text),
            (Some(Halt::Fault(error)), _) => PassEnd::Failed { error: cut(error), retry: false },
            (Some(Halt::Stopped(stop)), _) => {
                let error = match stop {
                    Stop::Cancelled => "the run has ended",
                    Stop::TimedOut => "the step ran past its time-out",
                };
                PassEnd::Failed { error: error.into(), retry: false }
            }
            (None, Ok(Ok(events))) => PassEnd::Returned(events),
            (None, Ok(Err(error))) => failed(&error, retry_if),
            (None, Err(panic)) => PassEnd::Panicked(panic_message(&*panic)),
        };
        let succeeded = matches!(end, PassEnd::Returned(_));
        let state = self.view.into_inner().into_use(self.input.state.version, succeeded);
        Done { end, sent: if succeeded { progress.sent } else { Vec::new() }, state }
    }
}

/// Passes the text of an event to `keep`; an event must be an object.
pub(super) fn encode<E: Event, R>(event: &E, keep: impl FnOnce(&str) -> R) -> Result<R> {
    let kept = json::encode(event, |text| text.starts_with('{').then(|| keep(text)));
    let bad = |why: &str| StepError::hopeless(format!("event {}: {why}", E::name()));
    match kept {
        Ok(Some(kept)) => Ok(kept),
        Ok(None) => Err(bad("does not serialise to an object; an event is a struct with named fields")),
        Err(error) => Err(bad(&error.to_string())),
    }
}

fn failed(error: &StepError, retry_if: Option<&RetryIf>) -> PassEnd {
    let judge = || !error.is_hopeless() && retry_if.is_none_or(|retry_if| retry_if(error));
    match panic::catch_unwind(panic::AssertUnwindSafe(|| (cut(error.to_string()), judge()))) {
        Ok((error, retry)) => PassEnd::Failed { error, retry },
        Err(panic) => PassEnd::Panicked(panic_message(&*panic)),
    }
}

/// Returns the record of a pass that panicked after everything else. Its payload is not dropped, as that may panic.
pub(super) fn panicked_at_last(panic: Box<dyn std::any::Any + Send>) -> Done {
    let end = PassEnd::Panicked(panic_message(&*panic));
    std::mem::forget(panic);
    Done::of(end)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    cut(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into()))
}

/// Cuts a text after [`ERROR_BYTES_MAX`], between characters.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ctx, StartEvent, TestCtx};

    #[test]
    fn a_pass_emits_a_bounded_number_of_bytes() {
        let tested = TestCtx::new().run(
            |ctx: &Ctx, _: StartEvent| {
                ctx.pass.count_output(PASS_OUTPUT_BYTES_MAX - 3)?;
                ctx.state().set("ab", 1)?;
                ctx.state().remove("c").expect_err("one byte too many");
                Ok(())
            },
            StartEvent::new(),
        );
        assert!(tested.error().is_some_and(|error| error.contains("exceed 67108864 bytes")), "{tested:?}");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("ü".repeat(ERROR_BYTES_MAX)), "ü".repeat(ERROR_BYTES_MAX / 2));
        assert_eq!(cut(format!("x{}", "ü".repeat(ERROR_BYTES_MAX))).len(), ERROR_BYTES_MAX - 1);
    }
}
