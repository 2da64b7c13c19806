//! Runs of the conformance workflows: their start events, how they must end, and what their feeds must contain.

use serde_json::{Value, json};

use crate::simulation::random::Random;

/// A run's workflow and its start event.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) workflow: &'static str,
    pub(super) input: Value,
}

/// How a run ends.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum End {
    Completed(Value),
    Failed(String),
    Cancelled,
}

impl Work {
    /// Draws one of all workflows; `tag` distinguishes it from others.
    pub(super) fn draw(random: &mut Random, tag: &str) -> Self {
        let workflow = *random.pick(&[
            "sleepy",
            "streaming",
            "interactive",
            "approval",
            "interactive",
            "approval",
            "fan_out",
            "flaky",
            "looping",
            "echo",
            "cumulative",
            "timeout",
        ]);
        Self::of(workflow, random, tag)
    }

    /// Draws one that ends soon and by itself.
    pub(super) fn draw_quick(random: &mut Random, tag: &str) -> Self {
        let quick = ["echo", "error", "structured", "fan_out", "looping", "branching", "flaky", "cumulative"];
        let workflow = *random.pick(&quick);
        Self::of(workflow, random, tag)
    }

    pub(super) fn of(workflow: &'static str, random: &mut Random, tag: &str) -> Self {
        let mut number = |end: usize| random.below(end) as u32;
        let input = match workflow {
            "echo" | "structured" => {
                let padding = if number(8) == 0 { number(20_000) } else { number(100) };
                json!({ "message": format!("{tag} {}", "x".repeat(padding as usize)) })
            }
            // Sometimes enough for a snapshot.
            "streaming" if number(10) == 0 => json!({ "count": 500 + number(1_500), "delay_ms": 0 }),
            "streaming" => json!({ "count": number(12), "delay_ms": number(5) }),
            "approval" => json!({ "subject": tag }),
            "cumulative" => json!({ "increment": i64::from(number(100)) - 20 }),
            "fan_out" => {
                let count = if number(10) == 0 { number(200) } else { number(9) };
                let items: Vec<u32> = (0..count).map(|_| number(1_000)).collect();
                json!({ "items": items, "delay_ms": number(12) })
            }
            "looping" => json!({ "target": i64::from(number(14)) - 2 }),
            "branching" => {
                let kind = ["left", "right", "middle"][number(3) as usize];
                json!({ "kind": kind })
            }
            "flaky" => json!({ "failures": number(5) }),
            "sleepy" => json!({ "delay_ms": number(2_500) }),
            "timeout" => json!({ "delay_ms": number(500) }),
            _ => json!({}),
        };
        Self { workflow, input }
    }

    /// Returns the number with this name in the input.
    pub(super) fn number(&self, name: &str) -> i64 {
        self.input[name].as_i64().unwrap_or_else(|| panic!("no number {name} in {self:?}"))
    }

    pub(super) fn is_question(&self) -> bool {
        matches!(self.workflow, "interactive" | "approval")
    }

    /// Returns the event that answers the run's question.
    pub(super) fn answer(&self, text: &str) -> Value {
        match self.workflow {
            "approval" => json!({ "type": "ApprovalGiven", "value": { "approved": true, "by": text } }),
            _ => json!({ "type": "ExternalEvent", "value": { "response": text } }),
        }
    }

    /// Returns how it ends unless it is cancelled. `said` is the answer to its question. For a `cumulative` run the
    /// ledger of its handler knows the result.
    pub(super) fn end(&self, said: &str) -> End {
        let input = &self.input;
        End::Completed(match self.workflow {
            "echo" => json!(format!("processed: {}", input["message"].as_str().expect("a message"))),
            "error" => return End::Failed("Test error".into()),
            "streaming" => json!(format!("completed_{}_events", input["count"])),
            "interactive" => json!(format!("received: {said}")),
            "approval" => json!({ "subject": input["subject"], "approved": true, "by": said }),
            "structured" => input["message"].clone(),
            "fan_out" => self.items().iter().map(|item| item * item).collect(),
            "looping" => input["target"].clone(),
            "branching" if input["kind"] == "middle" => return End::Failed("unknown branch: middle".into()),
            "branching" => input["kind"].clone(),
            "flaky" if self.number("failures") >= 3 => return End::Failed("attempt 3 failed".into()),
            "flaky" => json!(self.number("failures") + 1),
            "sleepy" | "timeout" => json!(format!("slept {}", input["delay_ms"])),
            other => panic!("{other} has no end of its own"),
        })
    }

    fn items(&self) -> Vec<i64> {
        let items = self.input["items"].as_array().expect("items");
        items.iter().map(|item| item.as_i64().expect("a number")).collect()
    }

    /// Checks the complete feed of a run that has ended in this way.
    #[track_caller]
    pub(super) fn check_feed(&self, feed: &[Value], end: &End) {
        let of = |name: &str| feed.iter().filter(|event| event["type"] == name).collect::<Vec<_>>();
        let number = |event: &Value, name: &str| event["value"][name].as_i64().expect("a number");
        let last = feed.last().unwrap_or_else(|| panic!("{self:?} has ended and its feed is empty"));
        let stops = if self.workflow == "approval" && matches!(end, End::Completed(_)) {
            of("ApprovalResult")
        } else {
            of("StopEvent")
        };
        assert_eq!(stops, [last], "one outcome, and it is the last event of {self:?}");
        match end {
            End::Completed(_) => {}
            End::Failed(_) if self.workflow == "timeout" => {
                assert_eq!(of("WorkflowTimedOutEvent").len(), 1, "{feed:?}");
            }
            End::Failed(_) => assert_eq!(of("WorkflowFailedEvent").len(), 1, "{self:?}: {feed:?}"),
            End::Cancelled => assert_eq!(of("WorkflowCancelledEvent").len(), 1, "{self:?}: {feed:?}"),
        }
        let running = |step: &str| {
            let changes = of("StepStateChanged").into_iter().map(|event| &event["value"]);
            changes.filter(|change| change["name"] == step && change["step_state"] == "running").count()
        };
        let is_cancelled = *end == End::Cancelled;
        // A cancelled run may have fewer, never more.
        let counted = |what: &str, count: usize, expected: i64| {
            let expected = usize::try_from(expected).expect("a count");
            assert!(count == expected || (is_cancelled && count < expected), "{what} of {self:?}: {count} in {feed:?}");
        };
        let in_order = |name: &str, member: &str, expected: i64| {
            let numbers: Vec<i64> = of(name).into_iter().map(|event| number(event, member)).collect();
            let is_in_order = numbers.iter().zip(0..).all(|(number, place)| *number == place);
            assert!(is_in_order, "each once, in order: {numbers:?} of {self:?}");
            counted(name, numbers.len(), expected);
        };
        match self.workflow {
            "streaming" => {
                in_order("StreamEvent", "sequence", self.number("count"));
                counted("running", running("stream_data"), 1);
            }
            "looping" => in_order("Tick", "n", self.number("target").max(0) + 1),
            "fan_out" => {
                let mut items: Vec<i64> = of("ItemDone").into_iter().map(|event| number(event, "index")).collect();
                items.sort_unstable();
                counted("ItemDone", items.len(), i64::from(self.items().len() as u32));
                items.dedup();
                assert_eq!(items.len(), of("ItemDone").len(), "each item is done once: {self:?} {feed:?}");
            }
            "flaky" => counted("attempts", running("attempt"), (self.number("failures") + 1).min(3)),
            // An answer may arrive before the question, and then end the run.
            "interactive" => assert!(of("RequestedExternalEvent").len() <= 1, "asked again: {feed:?}"),
            "approval" => counted("questions", of("ApprovalRequested").len(), 1),
            "sleepy" | "timeout" => counted("running", running("sleep"), 1),
            "echo" => counted("running", running("process"), 1),
            _ => {}
        }
    }
}
