//! Random workflows, which change between two starts of the server.

use std::sync::Arc;

use steprill::graph::Graph;

use crate::simulation::{
    random::Random,
    run::flows::{self, Kind},
};

/// The present version of a workflow.
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    lines: String,
    seed: u64,
    max_runs: Option<usize>,
    changes: usize,
    pub(crate) graph: Arc<Graph>,
}

impl Flow {
    pub(crate) fn new(index: usize, random: &mut Random) -> Self {
        let kind = *random.pick(&[Kind::Ordered, Kind::Wild, Kind::Wild]);
        let (lines, seed) = (flows::lines(random, kind), random.next());
        let max_runs = random.one_in(3).then(|| 1 + random.below(2));
        let name = format!("flow{index}");
        let graph = flows::build(&name, &lines, kind, &mut Random::new(seed), max_runs);
        Self { name, kind, lines, seed, max_runs, changes: 0, graph }
    }

    /// Renames a step or a type, or adds a step.
    pub(crate) fn change(&mut self, random: &mut Random) {
        self.changes += 1;
        let change = self.changes;
        let mut lines: Vec<String> = self.lines.lines().map(str::to_owned).collect();
        match random.below(3) {
            0 => {
                let line = random.below(lines.len());
                lines[line] = format!("{}{}", char::from(b'a' + random.below(26) as u8), lines[line]);
            }
            1 if self.lines.contains("E1") => {
                let renamed = |line: &String| {
                    let words = line.split_inclusive([' ', '|', ']', '[']);
                    words
                        .map(|word| {
                            let end = word.trim_end_matches([' ', '|', ']', '[']);
                            if end == "E1" { word.replace("E1", &format!("F{change}x")) } else { word.to_owned() }
                        })
                        .collect()
                };
                lines = lines.iter().map(renamed).collect();
            }
            _ => lines.push(format!("q{change}extra: HumanMore{change} -> T")),
        }
        self.lines = lines.join("\n");
        self.graph = flows::build(&self.name, &self.lines, self.kind, &mut Random::new(self.seed), self.max_runs);
    }
}
