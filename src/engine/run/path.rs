//! The position of a work in its scope, which orders the inputs of a fan-in.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{cost, graph::StepId};

/// The emission indexes that lead from a scope's opener to an event, and the steps on the way.
///
/// Paths are ordered by their indexes, then by their steps. Each index is stored with the step that took the emission,
/// or with none if only one step could take it: two paths that are equal up to an event differ there only if several
/// steps took it. Equal consecutive legs are stored once with a count, so that a loop in a scope takes no memory per
/// round.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Path {
    /// The paths of most works: without an allocation, since a fan-out creates very many paths at once.
    Short(Option<Legs>),
    /// At least two legs.
    Long(Box<[Legs]>),
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Legs {
    index: u32,
    step: Option<StepId>,
    count: u32,
}

impl Path {
    /// Returns this path extended by one emission.
    pub(super) fn then(&self, index: u32, step: Option<StepId>) -> Self {
        match self.legs().last() {
            Some(last) if last.index == index && last.step == step && last.count < u32::MAX => {
                let mut path = self.clone();
                if let Some(last) = path.legs_mut().last_mut() {
                    last.count += 1;
                }
                path
            }
            None => Self::Short(Some(Legs { index, step, count: 1 })),
            Some(_) => Self::Long(self.legs().iter().copied().chain([Legs { index, step, count: 1 }]).collect()),
        }
    }

    fn legs(&self) -> &[Legs] {
        match self {
            Self::Short(legs) => legs.as_slice(),
            Self::Long(legs) => legs,
        }
    }

    fn legs_mut(&mut self) -> &mut [Legs] {
        match self {
            Self::Short(legs) => legs.as_mut_slice(),
            Self::Long(legs) => legs,
        }
    }

    /// Returns the memory that it takes besides its own size.
    pub(super) fn cost_bytes(&self) -> usize {
        match self {
            Self::Short(_) => 0,
            Self::Long(legs) => cost::block(size_of_val(&**legs)),
        }
    }

    /// Returns whether every leg is used at least once, as the order requires.
    pub(super) fn is_sound(&self) -> bool {
        self.legs().iter().all(|legs| legs.count > 0)
    }

    /// Iterates over the steps on the way, for translating them to another graph.
    pub(super) fn steps_mut(&mut self) -> impl Iterator<Item = &mut StepId> {
        self.legs_mut().iter_mut().filter_map(|legs| legs.step.as_mut())
    }
}

impl Default for Path {
    fn default() -> Self {
        Self::Short(None)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.legs().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let legs = Box::<[Legs]>::deserialize(deserializer)?;
        Ok(if legs.len() < 2 { Self::Short(legs.first().copied()) } else { Self::Long(legs) })
    }
}

impl Eq for Path {}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut ours, mut theirs) = (self.legs().iter().copied(), other.legs().iter().copied());
        let (mut our, mut their) = (ours.next(), theirs.next());
        let mut by_steps = Ordering::Equal;
        loop {
            match (&mut our, &mut their) {
                (None, None) => return by_steps,
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some(a), Some(b)) => {
                    if a.index != b.index {
                        return a.index.cmp(&b.index);
                    }
                    by_steps = by_steps.then(a.step.cmp(&b.step));
                    let both = a.count.min(b.count);
                    (a.count, b.count) = (a.count - both, b.count - both);
                    if a.count == 0 {
                        our = ours.next();
                    }
                    if their.is_some_and(|legs| legs.count == 0) {
                        their = theirs.next();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expands the legs of a [`Path`].
    fn plain(legs: &[(u32, Option<u16>)]) -> (Vec<u32>, Vec<Option<u16>>) {
        legs.iter().copied().unzip()
    }

    #[test]
    fn order_is_by_indexes_then_by_steps() {
        let choices = [(0, None), (0, Some(0)), (0, Some(1)), (1, None)];
        let mut ways: Vec<Vec<(u32, Option<u16>)>> = vec![vec![]];
        for length in 0..4 {
            let longer: Vec<_> = ways.iter().filter(|way| way.len() == length).cloned().collect();
            ways.extend(longer.iter().flat_map(|way| choices.map(|leg| [&way[..], &[leg]].concat())));
        }
        let path = |way: &[(u32, Option<u16>)]| {
            way.iter().fold(Path::default(), |path, (index, step)| path.then(*index, step.map(StepId)))
        };
        for one in &ways {
            for other in &ways {
                assert_eq!(path(one).cmp(&path(other)), plain(one).cmp(&plain(other)), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_loop_takes_no_memory_for_its_rounds() {
        let path = (0..1_000).fold(Path::default(), |path, _| path.then(0, None));
        assert_eq!(path.legs().len(), 1);
        assert!(path < path.then(0, None));
    }
}
