//! Random workflows: regions that lead from one event type to another, chained and nested.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use steprill::graph::{Graph, Retry, sketch::parts};

use crate::simulation::random::Random;

/// What a workflow may contain.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    /// Only what has the same outcome in any order of completion.
    Ordered,
    /// Like `Ordered`, with many concurrent works that read and write one key.
    Contended,
    /// Everything.
    Wild,
}

/// Returns a random graph, as lines and built.
pub(crate) fn flow(random: &mut Random, kind: Kind) -> (String, Arc<Graph>) {
    let lines = lines(random, kind);
    let graph = build("flow", &lines, kind, random, None);
    (lines, graph)
}

/// Returns the lines of a random graph.
pub(crate) fn lines(random: &mut Random, kind: Kind) -> String {
    let mut maker = Maker { random, kind, lines: Vec::new(), events: 0 };
    let last = match kind {
        Kind::Contended => maker.fan_out("S", 3, false),
        Kind::Ordered | Kind::Wild => maker.region("S".to_owned(), 4, false),
    };
    maker.step("", &last, "-> T");
    if kind == Kind::Wild && maker.random.one_in(4) {
        let post = *maker.random.pick(&["HumanPost", "OpenPost"]);
        maker.step("", post, "-> T");
    }
    maker.lines.join("\n")
}

/// Builds the graph of these lines, with random workers, policies and time-outs.
pub(crate) fn build(name: &str, lines: &str, kind: Kind, random: &mut Random, max_runs: Option<usize>) -> Arc<Graph> {
    let mut parts = parts(lines);
    parts.name = name.into();
    parts.max_runs = max_runs;
    for step in &mut parts.steps {
        step.workers = 1 + random.below(if kind == Kind::Contended { 9 } else { 3 }) as u16;
        step.retry = retry(random);
        let answer = step.asks.first().filter(|_| random.one_in(2)).map(|(_, answer)| answer.clone());
        step.inboxes = answer.map(|answer| (answer, 1 + random.below(3))).into_iter().collect();
        step.timeout = random.one_in(3).then_some(Duration::from_secs(2));
    }
    parts.timeout = (kind == Kind::Wild && random.one_in(8)).then_some(Duration::from_secs(20));
    Arc::new(Graph::build(parts).unwrap_or_else(|faults| panic!("refused:\n{lines}\n{faults}")))
}

/// Returns a policy with at least as many attempts as a body fails.
fn retry(random: &mut Random) -> Retry {
    let delay = Duration::from_millis([0, 10, 5_000][random.below(3)]);
    let retry = if random.one_in(2) { Retry::fixed(delay) } else { Retry::exponential(delay) };
    retry.attempts(3 + random.below(3) as u32)
}

struct Maker<'a> {
    random: &'a mut Random,
    kind: Kind,
    lines: Vec<String>,
    events: usize,
}

impl Maker<'_> {
    /// Adds steps that lead from `input` to the returned type.
    fn region(&mut self, input: String, depth: usize, in_scope: bool) -> String {
        let wild = self.kind == Kind::Wild;
        match if depth == 0 { 0 } else { self.random.below(10) } {
            2 | 3 => {
                let middle = self.region(input, depth - 1, in_scope);
                self.region(middle, depth - 1, in_scope)
            }
            4 | 5 => self.fan_out(&input, depth, in_scope),
            6 => {
                let output = self.event();
                self.step("", &input, &format!("-> {input}|{output}"));
                output
            }
            7 => {
                let (one, other, output) = (self.event(), self.event(), self.event());
                self.step("", &input, &format!("-> {one}|{other}"));
                self.step("", &one, &format!("-> {output}"));
                self.step("", &other, &format!("-> {output}"));
                output
            }
            8 if in_scope || wild => {
                let output = self.event();
                self.step("", &input, &format!("-> {output}"));
                self.step("drop", &input, &format!("-> {output}"));
                output
            }
            9 => {
                let (good, bad, output) = (self.event(), self.event(), self.event());
                self.step("", &input, &format!("-> {good} ! {bad}"));
                self.step("", &good, &format!("-> {output}"));
                self.step("", &bad, &format!("-> {output}"));
                output
            }
            _ => {
                let output = self.event();
                let drop = if in_scope && self.random.one_in(3) { "drop" } else { "" };
                self.step(drop, &input, &format!("-> {output}"));
                output
            }
        }
    }

    fn fan_out(&mut self, input: &str, depth: usize, in_scope: bool) -> String {
        let (element, output) = (self.event(), self.event());
        match self.random.below(4) {
            0 => self.step("", input, &format!("-> [{element}]")),
            1 if in_scope => self.step("", input, &format!("-> {output} + {element}")),
            _ => self.step("", input, &format!("-> () + {element}")),
        }
        let mut last = self.region(element, depth - 1, true);
        if self.random.one_in(3) {
            let (good, bad) = (self.event(), self.event());
            self.step("", &last, &format!("-> {good} ! {bad}"));
            last = format!("{good}|{bad}");
        }
        self.step("", &format!("[{last}]"), &format!("-> {output}"));
        if self.kind == Kind::Wild && self.random.one_in(4) {
            self.step("drop", &format!("[{last}]"), &format!("-> {output}"));
        }
        output
    }

    /// Names begin with a random letter, so that their order is not that of the flow.
    fn step(&mut self, mark: &str, takes: &str, rest: &str) {
        let letter = char::from(b'a' + self.random.below(26) as u8);
        let mut line = format!("{letter}{}{mark}: {takes} {rest}", self.lines.len());
        if self.random.one_in(3) {
            let types = self.random.below(2);
            let _ = write!(line, " ? Need{types}/Human{types}");
        }
        self.lines.push(line);
    }

    fn event(&mut self) -> String {
        self.events += 1;
        format!("E{}", self.events)
    }
}
