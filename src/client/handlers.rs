//! Commands of one call each: lists, results, events that are sent, cancels, schemas.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use steprill::limits::CLIENT_PAGE_HANDLERS;

use super::{
    arguments::Arguments,
    calls::{self, Client, Destination, encoded},
    failure::{Exit, Failure, Result},
    fields::{self, Schema},
    show,
};

/// Lists handlers, page by page.
pub(super) fn list(arguments: &Arguments) -> Result<Exit> {
    let client = Client::of(arguments)?;
    let mut filter = format!("limit={CLIENT_PAGE_HANDLERS}");
    for status in arguments.values("--status") {
        let _ = write!(filter, "&status={status}");
    }
    for workflow in arguments.values("--workflow") {
        let _ = write!(filter, "&workflow_name={}", encoded(workflow));
    }
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let mut page = client.get(&format!("/handlers?{filter}{after}"))?;
        let Value::Array(handlers) = page["handlers"].take() else {
            return Err(Failure::new("expected a list of handlers, got something else"));
        };
        let last = handlers.last().map(|handler| format!("&after={}", encoded(show::text(handler, "handler_id"))));
        let is_last = handlers.len() < CLIENT_PAGE_HANDLERS;
        for handler in handlers.into_iter().filter(|handler| is_wanted(arguments, handler)) {
            if arguments.has("--json") { show::json(&handler)? } else { rows.push(row(&handler)) }
        }
        // A server without pages has returned all at once, and the same again.
        match last.filter(|last| !is_last && *last != after) {
            Some(last) if rows.len() <= CLIENT_PAGE_HANDLERS * CLIENT_PAGE_HANDLERS => after = last,
            _ => break,
        }
    }
    if !arguments.has("--json") {
        show::table(["HANDLER", "WORKFLOW", "STATUS", "STARTED", "ERROR"], &rows)?;
    }
    Ok(Exit::Done)
}

/// Servers that do not know the filters return everything.
fn is_wanted(arguments: &Arguments, handler: &Value) -> bool {
    let fits = |option: &str, member: &str| {
        let mut wanted = arguments.values(option).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| wanted == show::text(handler, member))
    };
    fits("--status", "status") && fits("--workflow", "workflow_name")
}

fn row(handler: &Value) -> [String; 5] {
    let text = |member: &str| show::text(handler, member).to_owned();
    // Seconds are enough for people: `2026-11-24 15:19:41`.
    let started = text("started_at").chars().take(19).collect::<String>().replace('T', " ");
    [text("handler_id"), text("workflow_name"), text("status"), started, text("error")]
}

/// Prints the result of a run.
pub(super) fn result(arguments: &Arguments) -> Result<Exit> {
    let handler = Client::of(arguments)?.handler(arguments.first())?;
    if !arguments.has("--json") {
        return calls::finish(&handler);
    }
    show::json(&handler)?;
    match calls::exit_of(&handler) {
        Exit::Failed => Err(Failure { exit: Exit::Failed, text: String::new() }),
        exit => Ok(exit),
    }
}

/// Sends an event to a run.
pub(super) fn send(arguments: &Arguments) -> Result<Exit> {
    let client = Client::of(arguments)?;
    let (id, kind) = (arguments.first(), arguments.operands()[1].as_str());
    let handler = client.handler(id)?;
    let schema = client.event_schema(show::text(&handler, "workflow_name"), kind)?;
    let mut fields = Map::new();
    let schema = schema.unwrap_or_default();
    let unknown = fields::add(&mut fields, &arguments.operands()[2..], &schema)?;
    note_unknown(&unknown, kind, &schema);
    let destination = Destination { in_reply_to: None, step: arguments.value("--step") };
    sent(arguments, &client.send(id, kind, &fields, destination)?)
}

/// Prints what became of an event.
pub(super) fn sent(arguments: &Arguments, reply: &Value) -> Result<Exit> {
    if arguments.has("--json") {
        show::json(reply)?;
    } else {
        show::line(&show::escaped(show::text(reply, "status")))?;
    }
    Ok(Exit::Done)
}

/// Reports fields that an event does not have: probably misspelt.
pub(super) fn note_unknown(unknown: &[&str], kind: &str, schema: &Value) {
    let known: Vec<&str> = Schema(schema).fields().iter().map(|field| field.name).collect();
    for name in unknown {
        let known = known.join(", ");
        show::note(&show::escaped(&format!("{kind} declares no field {name}; it has {known}")));
    }
}

/// Cancels a run, or removes it.
pub(super) fn cancel(arguments: &Arguments) -> Result<Exit> {
    let client = Client::of(arguments)?;
    sent(arguments, &client.cancel(arguments.first(), arguments.has("--purge"))?)
}

/// Lists the workflows.
pub(super) fn workflows(arguments: &Arguments) -> Result<Exit> {
    let known = Client::of(arguments)?.get("/workflows")?;
    if arguments.has("--json") {
        return show::json(&known).map(|()| Exit::Done);
    }
    for name in known["workflows"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        show::line(&show::escaped(name))?;
    }
    Ok(Exit::Done)
}

/// Prints the fields of a workflow's start and stop event.
pub(super) fn schema(arguments: &Arguments) -> Result<Exit> {
    let schema = Client::of(arguments)?.schema(arguments.first())?;
    if arguments.has("--json") {
        return show::json(&schema).map(|()| Exit::Done);
    }
    for part in ["start", "stop"] {
        show::line(&format!("{part}: {}", show::escaped(show::text(&schema[part], "title"))))?;
        let fields = Schema(&schema[part]).fields();
        if fields.is_empty() {
            show::line("  no declared fields")?;
        }
        for field in fields {
            let types = field.types();
            let mut text = format!("  {} ({})", field.name, types.described());
            match field.default() {
                Some(default) => drop(write!(text, " = {}", show::field(default))),
                None if field.is_required => text.push_str(", required"),
                None => {}
            }
            if !field.description().is_empty() {
                let _ = write!(text, ": {}", field.description());
            }
            show::fitting(&show::escaped(&text))?;
        }
    }
    Ok(Exit::Done)
}
