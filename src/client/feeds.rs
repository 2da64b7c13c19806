//! `steprill events`: the feed of a run.

use steprill::limits::CLIENT_DRAINED_WAIT;

use super::{
    arguments::Arguments,
    calls::Client,
    failure::{Exit, Failure, Result},
    feed::{Event, Feed, Next},
    show,
};

/// Prints the events of a run.
pub(super) fn events(arguments: &Arguments) -> Result<Exit> {
    let client = Client::of(arguments)?;
    let from = arguments.number("--from")?.unwrap_or(0);
    let mut feed = Feed::new(&client, arguments.first(), from - 1, arguments.has("--internal"));
    // Without `--follow`, print only what there is.
    let at_most = (!arguments.has("--follow")).then_some(CLIENT_DRAINED_WAIT);
    loop {
        match feed.next(at_most)? {
            Next::Event(event) if arguments.has("--json") => show::json(&event.json())?,
            Next::Event(event) => shown(&event)?,
            Next::End | Next::Silent => return Ok(Exit::Done),
            Next::Interrupted => return Err(Failure::interrupted()),
        }
    }
}

/// Prints an event as a line for people.
pub(super) fn shown(event: &Event) -> Result<()> {
    let text = show::event(event.kind(), event.value());
    match event.number {
        Some(number) => show::fitting(&format!("{number:>4} {text}")),
        None => show::fitting(&text),
    }
}
