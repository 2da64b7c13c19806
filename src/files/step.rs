//! One step of a workflow file: its place in the graph, and what it does.

use super::{
    action,
    construct::{Given, construct},
    events::{EventDef, Events},
    fault::{Faults, quoted},
    read,
    reader::{Emits, Form, Reader},
    tree::{Kind, Member, get},
};
use crate::{
    command::{Action, AskFirst, Command, Construct, Program},
    graph::{Retry, StepParts},
    limits::{
        INBOX_ANSWERS_MAX, RETRY_ATTEMPTS_DEFAULT, RETRY_DELAY_DEFAULT, RETRY_DELAY_MAX_DEFAULT, STEP_WORKERS_DEFAULT,
    },
};

/// A step as it is read.
pub(super) struct StepDef {
    pub(super) parts: StepParts,
    /// `None` if its action has faults.
    pub(super) command: Option<Command>,
    /// Where its `run` is.
    pub(super) run_at: Option<usize>,
}

/// The members of a step.
pub(super) const KEYS: &[&str] = &[
    "accepts",
    "emits",
    "run",
    "wait",
    "emit",
    "output",
    "ask",
    "ask_timeout",
    "streams",
    "workers",
    "timeout",
    "retry",
    "on_failure",
    "env",
    "secrets",
    "pass_env",
    "rlimits",
    "inbox",
];

/// Reads a step.
pub(super) fn read_step(
    step: &Member,
    events: &Events,
    directory: &std::path::Path,
    faults: &mut Faults<'_>,
) -> Option<StepDef> {
    let members = read::table(step, "a table with `accepts` and what the step does", faults)?;
    if !read::is_name(&step.name, "a step", step.at, faults) {
        return None;
    }
    for member in members.iter().filter(|member| !KEYS.contains(&&*member.name)) {
        let what = format!("step {}", quoted(&step.name));
        match &*member.name {
            "http" => faults.add(member.at, "`http` comes with a later version: use `run` with `curl`"),
            _ => faults.add_unknown(member, &what, KEYS),
        }
    }
    let (takes, accepts) = if let Some(member) = get(members, "accepts") {
        named(member, events, faults)
    } else {
        faults.add(step.at, format!("step {} does not say what it accepts: write `accepts`", quoted(&step.name)));
        faults.is_incomplete = true;
        (Vec::new(), Form::One)
    };
    if accepts == Form::Optional {
        faults.add(get(members, "accepts").map_or(step.at, |member| member.value.at), "only `emits` may have a `?`");
    }
    let fan_in = accepts == Form::List;
    let mut given = Given::new(takes, fan_in);
    let (emitted, form) = get(members, "emits").map_or((Vec::new(), Form::One), |member| named(member, events, faults));
    let emits = Emits { events: emitted, form, at: get(members, "emits").map_or(step.at, |member| member.value.at) };
    let streams = get(members, "streams").map_or(Vec::new(), |member| streamed(member, events, faults));
    let asking = ask(step, members, events, &given, faults);
    let on_failure = on_failure(members, events, &given, faults);
    given.answer = asking.as_ref().map(|(_, _, answer)| *answer);
    let mut parts = settings(step, members, faults);
    parts.takes = names(&given.events);
    parts.fan_in = fan_in;
    parts.returns = names(&emits.events);
    parts.fan_out = form == Form::List;
    parts.streams = names(&streams);
    parts.on_failure = on_failure.as_ref().map(|(event, _)| event.name.clone());
    parts.inboxes = inboxes(members, events, faults);
    let may_emit_nothing = form != Form::One || emits.events.is_empty();
    let reader = Reader { step, members, events, emits, streams, given };
    let action = action::read_action(&reader, directory, faults);
    let ask = asking.map(|(question, construct, answer)| {
        parts.asks.push((question.name.clone(), answer.name.clone()));
        let timeout = get(members, "ask_timeout").and_then(|member| read::duration(member, faults));
        AskFirst { question: construct, answer: events.id(answer), timeout }
    });
    if let Some(Action::Run(program)) = &action
        && !program.has_retry
    {
        parts.retry = Program::retry_by_default();
    }
    let command = action.map(|action| Command {
        step: step.name.as_str().into(),
        ask,
        action,
        on_failure: on_failure.map(|(_, construct)| construct),
        may_emit_nothing,
    });
    Some(StepDef { parts, command, run_at: get(members, "run").map(|member| member.value.at) })
}

fn names(events: &[&EventDef]) -> Vec<String> {
    events.iter().map(|event| event.name.clone()).collect()
}

/// Reads names of events that all have the same form: `"X"`, `["X", "Y"]`, `"X[]"`.
fn named<'e>(member: &Member, events: &'e Events, faults: &mut Faults<'_>) -> (Vec<&'e EventDef>, Form) {
    let mut found: Vec<&EventDef> = Vec::new();
    let mut form = None;
    let texts = read::strings(member, "the name of an event, or a list of names", faults);
    if texts.is_empty() {
        faults.is_incomplete = true;
        if member.value.list().is_some_and(<[_]>::is_empty) {
            faults.add(member.value.at, format!("{} names no event: remove it or name one", quoted(&member.name)));
        }
    }
    for (text, at) in texts {
        let (name, of) = match text {
            _ if text.ends_with("[]") => (&text[..text.len() - 2], Form::List),
            _ if text.ends_with('?') => (&text[..text.len() - 1], Form::Optional),
            _ => (text, Form::One),
        };
        if *form.get_or_insert(of) != of {
            let text = format!("the names in {} must all have the same end: `[]`, `?` or none", quoted(&member.name));
            faults.add(at, text);
        }
        let Some(event) = events.find(name, at, faults) else { continue };
        if found.iter().any(|known| known.name == event.name) {
            faults.add(at, format!("{} stands twice in {}", quoted(name), quoted(&member.name)));
        } else {
            found.push(event);
        }
    }
    (found, form.unwrap_or(Form::One))
}

fn streamed<'e>(member: &Member, events: &'e Events, faults: &mut Faults<'_>) -> Vec<&'e EventDef> {
    let texts = read::strings(member, "the name of an event, or a list of names", faults);
    texts.into_iter().filter_map(|(name, at)| events.find(name, at, faults)).collect()
}

/// Reads the question that the step asks first, with the event that answers it.
fn ask<'e>(
    step: &Member,
    members: &[Member],
    events: &'e Events,
    given: &Given<'_>,
    faults: &mut Faults<'_>,
) -> Option<(&'e EventDef, Construct, &'e EventDef)> {
    let Some(member) = get(members, "ask") else {
        if let Some(timeout) = get(members, "ask_timeout") {
            let name = quoted(&step.name);
            faults.add(timeout.at, format!("step {name} asks nothing that could time out: add `ask`"));
        }
        return None;
    };
    let (question, written) = event_and_fields(member, events, faults)?;
    let construct = construct(question, events, written, given, (member.value.at, FIELDS), faults);
    let Some(answer) = &question.answer else {
        let name = quoted(&question.name);
        let text = format!("{name} is no question: write `answer = \"EVENT\"` among its fields");
        faults.add(member.value.at, text);
        faults.is_incomplete = true;
        return None;
    };
    let answer = events.get(answer)?;
    answer.is_used.set(true);
    Some((question, construct, answer))
}

/// How to write the fields of an event that is named.
const FIELDS: &str = "write `{ event = …, fields = { … } }` with its value";

/// Reads `"X"`, or `{ event = "X", fields = { … } }`.
fn event_and_fields<'m, 'e>(
    member: &'m Member,
    events: &'e Events,
    faults: &mut Faults<'_>,
) -> Option<(&'e EventDef, &'m [Member])> {
    const EXPECTED: &str = "the name of an event, or a table such as `{ event = \"X\", fields = { … } }`";
    let Some(members) = member.value.table() else {
        let name = read::string(member, EXPECTED, faults)?;
        return Some((events.find(name, member.value.at, faults)?, &[]));
    };
    for other in members.iter().filter(|other| !["event", "fields"].contains(&&*other.name)) {
        faults.add_unknown(other, &quoted(&member.name), &["event", "fields"]);
    }
    let Some(event) = get(members, "event") else {
        faults.add_kind(member, EXPECTED);
        return None;
    };
    let name = read::string(event, "the name of an event", faults)?;
    let written = get(members, "fields").and_then(|fields| read::table(fields, "a table of fields", faults));
    Some((events.find(name, event.value.at, faults)?, written.unwrap_or_default()))
}

fn on_failure<'e>(
    members: &[Member],
    events: &'e Events,
    given: &Given<'_>,
    faults: &mut Faults<'_>,
) -> Option<(&'e EventDef, Construct)> {
    let member = get(members, "on_failure")?;
    let (event, written) = event_and_fields(member, events, faults)?;
    let mut given = given.clone();
    given.further = &["error", "attempts", "step"];
    Some((event, construct(event, events, written, &given, (member.value.at, FIELDS), faults)))
}

/// Reads what concerns the step alone.
fn settings(step: &Member, members: &[Member], faults: &mut Faults<'_>) -> StepParts {
    let workers = get(members, "workers").and_then(|member| read::whole(member, 1, i64::from(u16::MAX), faults));
    StepParts {
        name: step.name.clone(),
        workers: workers.unwrap_or(STEP_WORKERS_DEFAULT),
        retry: get(members, "retry").and_then(|member| retry(member, faults)).unwrap_or_default(),
        timeout: get(members, "timeout").and_then(|member| read::duration(member, faults)),
        ..StepParts::default()
    }
}

fn inboxes(members: &[Member], events: &Events, faults: &mut Faults<'_>) -> Vec<(String, usize)> {
    let Some(member) = get(members, "inbox") else { return Vec::new() };
    let expected = "a table such as `{ Answer = 2 }`";
    let answers = read::table(member, expected, faults).unwrap_or_default();
    let inbox = |answer: &Member| {
        let event = events.find(&answer.name, answer.at, faults)?;
        let count = read::whole(answer, 1, i64::try_from(INBOX_ANSWERS_MAX).unwrap_or(i64::MAX), faults)?;
        Some((event.name.clone(), count))
    };
    answers.iter().filter_map(inbox).collect()
}

/// Reads `3`, or a table of settings.
fn retry(member: &Member, faults: &mut Faults<'_>) -> Option<Retry> {
    const KEYS: &[&str] = &["attempts", "delay", "backoff", "max", "jitter", "within"];
    let settings = match member.value.table() {
        Some(settings) => settings,
        None if matches!(member.value.kind, Kind::Whole(_)) => {
            let attempts = read::whole(member, 1, i64::from(u32::MAX), faults)?;
            return Some(Retry::exponential(RETRY_DELAY_DEFAULT).attempts(attempts));
        }
        None => {
            faults.add_kind(member, "a number of attempts, or a table such as `{ attempts = 3, delay = \"1s\" }`");
            return None;
        }
    };
    for other in settings.iter().filter(|other| !KEYS.contains(&&*other.name)) {
        faults.add_unknown(other, "`retry`", KEYS);
    }
    let mut duration = |name: &str| get(settings, name).and_then(|member| read::duration(member, faults));
    let (delay, longest, within) =
        (duration("delay").unwrap_or(RETRY_DELAY_DEFAULT), duration("max"), duration("within"));
    let mut whole =
        |name: &str| get(settings, name).and_then(|member| read::whole(member, 1, i64::from(u32::MAX), faults));
    let (attempts, backoff) = (whole("attempts"), whole("backoff"));
    let attempts = attempts.unwrap_or(RETRY_ATTEMPTS_DEFAULT);
    let jitter = get(settings, "jitter").and_then(|member| read::flag(member, faults)).unwrap_or(true);
    if let Some(max) = get(settings, "max").filter(|_| longest.is_some_and(|longest| longest < delay)) {
        faults.add(max.value.at, "`max` is shorter than `delay`, the first delay");
    }
    let longest = longest.unwrap_or(RETRY_DELAY_MAX_DEFAULT.max(delay));
    let mut retry = Retry::exponential(delay).attempts(attempts).longest(longest);
    retry = retry.factor(backoff.unwrap_or(2));
    retry = if jitter { retry } else { retry.without_jitter() };
    Some(within.map_or(retry.clone(), |within| retry.within(within)))
}
