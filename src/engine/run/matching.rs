//! Finds the question that an answer matches by the exact values of members, without examining every question.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cost,
    graph::{EventId, StepId},
    hash::hash128,
    json::{Json, Members, Wanted, canonical},
    limits::HASHED_BYTES_MAX,
};

/// An index of a run's open questions by what they want. A match must be confirmed on the question itself.
#[derive(Debug, Default)]
pub(super) struct OpenIndex {
    /// The questions by a hash of the wanted values, and by number. There is one group per way of asking.
    groups: BTreeMap<Group, BTreeSet<(u128, u64)>>,
    /// The memory that the groups take.
    groups_bytes: usize,
}

/// Questions of one step that examine the same members of the same answer type.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Group {
    answer: EventId,
    step: StepId,
    members: Box<[Box<str>]>,
}

impl Group {
    fn of(answer: EventId, step: StepId, matching: &[(String, Json)]) -> Self {
        Self { answer, step, members: matching.iter().map(|(member, _)| member.as_str().into()).collect() }
    }

    /// Returns its cost with this many questions.
    fn cost_bytes(&self, questions: usize) -> usize {
        let members = if self.members.is_empty() { 0 } else { cost::block(size_of_val(&*self.members)) };
        members + self.members.iter().map(|member| cost::block(member.len())).sum::<usize>() + tree_bytes(questions)
    }
}

impl OpenIndex {
    pub(super) fn insert(&mut self, answer: EventId, step: StepId, matching: &[(String, Json)], sequence: u64) {
        let group = Group::of(answer, step, matching);
        let empty_bytes = group.cost_bytes(0);
        let questions = self.groups.entry(group).or_default();
        let before_bytes = if questions.is_empty() { 0 } else { empty_bytes + tree_bytes(questions.len()) };
        questions.insert((wanted_hash(matching), sequence));
        self.groups_bytes += empty_bytes + tree_bytes(questions.len()) - before_bytes;
    }

    /// Returns its cost.
    pub(super) fn cost_bytes(&self) -> usize {
        cost::boxed::<Self>() + cost::tree::<(Group, BTreeSet<(u128, u64)>)>(self.groups.len()) + self.groups_bytes
    }

    pub(super) fn remove(&mut self, answer: EventId, step: StepId, matching: &[(String, Json)], sequence: u64) {
        let group = Group::of(answer, step, matching);
        let Some(questions) = self.groups.get_mut(&group) else { return };
        self.groups_bytes -= group.cost_bytes(questions.len());
        questions.remove(&(wanted_hash(matching), sequence));
        if questions.is_empty() {
            self.groups.remove(&group);
        } else {
            self.groups_bytes += group.cost_bytes(questions.len());
        }
    }

    /// Returns the result of `fits` for the oldest question in the index for which it returns something.
    pub(super) fn oldest(
        &self,
        answer: EventId,
        step: Option<StepId>,
        (value, members): (&Json, &Members),
        fits: impl Fn(u64) -> Option<u64>,
    ) -> Option<u64> {
        let mut oldest: Option<(u64, u64)> = None;
        let first = Group { answer, step: step.unwrap_or(StepId(0)), members: Box::default() };
        let of_type = self.groups.range(first..).take_while(|(group, _)| group.answer == answer);
        for (_, questions) in of_type
            .filter(|(group, _)| step.is_none_or(|step| group.step == step))
            .filter_map(|(group, questions)| Some((found_hash(value, members, &group.members)?, questions)))
            .map(|(hash, questions)| (hash, questions.range((hash, 0)..=(hash, u64::MAX))))
        {
            for &(_, sequence) in questions {
                if oldest.is_some_and(|(oldest, _)| oldest < sequence) {
                    break;
                }
                if let Some(found) = fits(sequence) {
                    oldest = Some((sequence, found));
                    break;
                }
            }
        }
        oldest.map(|(_, found)| found)
    }
}

fn tree_bytes(questions: usize) -> usize {
    cost::tree::<(u128, u64)>(questions)
}

fn wanted_hash(matching: &[(String, Json)]) -> u128 {
    hash_texts(&matching.iter().map(|(_, wanted)| canonical(wanted.as_str())).collect::<Vec<_>>())
}

fn found_hash(value: &Json, members: &Members, names: &[Box<str>]) -> Option<u128> {
    let texts: Option<Vec<&str>> = names.iter().map(|name| members.get(value, name)).collect();
    texts.map(|texts| hash_texts(&texts))
}

fn hash_texts(texts: &[impl AsRef<str>]) -> u128 {
    let hashed = |text: &str| text.len().min(HASHED_BYTES_MAX);
    let texts = texts.iter().map(AsRef::as_ref);
    hash128(&texts.map(|text| &text.as_bytes()[..hashed(text)]).collect::<Vec<_>>())
}

/// Returns what a question wants of its answer's members.
pub(super) fn wanted(matching: &[(String, Json)]) -> Vec<Wanted> {
    matching.iter().map(|(member, value)| Wanted::new(member, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).expect("good JSON")
    }

    #[track_caller]
    fn check(answer: &str, member: &str, wanted: &str, expected: bool) {
        let (answer, matching) = (json(answer), [(member.to_owned(), json(wanted))]);
        let members = Members::default();
        let fits = || members.have(&answer, &super::wanted(&matching));
        assert_eq!(fits(), expected, "{answer:?} {member} {wanted}");
        let mut index = OpenIndex::default();
        index.insert(EventId(1), StepId(2), &matching, 3);
        let found = index.oldest(EventId(1), None, (&answer, &members), |sequence| fits().then_some(sequence + 4));
        assert_eq!(found, expected.then_some(7), "{answer:?} {member} {wanted}");
        index.remove(EventId(1), StepId(2), &matching, 3);
        assert_eq!((index.groups.len(), index.groups_bytes), (0, 0));
    }

    #[test]
    fn an_answer_matches_by_the_exact_value_of_its_member() {
        check(r#"{"n":1,"m":2}"#, "n", "1", true);
        check(r#"{"n":1.0}"#, "n", "1", true);
        let (short, long) = (format!("[{}1]", "1,".repeat(100)), format!("[{}1.0]", "1.0,".repeat(100)));
        check(&format!(r#"{{"n":{short}}}"#), "n", &long, true);
        check(&format!(r#"{{"n":{long}}}"#), "n", &short, true);
        check(r#"{"n":"1"}"#, "n", "1", false);
        check(r#"{"n":9007199254740993}"#, "n", "9007199254740992", false);
        check(
            r#"{"n":170141183460469231731687303715884105727}"#,
            "n",
            "170141183460469231731687303715884105728",
            false,
        );
        check(r#"{"n":170141183460469231731687303715884105727}"#, "n", "170141183460469231731687303715884105727", true);
        check(r#"{"n":[{"a":1,"b":null}]}"#, "n", r#"[{"b":null,"a":1.0}]"#, true);
        check(r#"{"n":{"a":1}}"#, "n", r#"{"a":1,"b":2}"#, false);
        check("{}", "n", "null", false);
        check(r#"{"n":"a\nb"}"#, "n", r#""a\u000ab""#, true);
        check(r#"{"n":"a"}"#, "n", r#""b""#, false);
        check(r#"{"n":true}"#, "n", "1", false);
        check(r#"{"n":2}"#, "n", "2e0", true);
        check(r#"{"n":1,"n":2}"#, "n", "2", true);
        check("[1]", "n", "1", false);
        let long = format!("\"{}\"", "x".repeat(1_000));
        check(&format!("{{\"n\":{long}}}"), "n", &long, true);
        check(&format!("{{\"n\":{long}}}"), "n", "1", false);
    }

    #[test]
    fn the_oldest_question_is_found_among_those_of_several_steps_and_members() {
        let matching = |member: &str, value: usize| vec![(member.to_owned(), json(&value.to_string()))];
        let questions: Vec<_> = (0..60_u64)
            .map(|sequence| {
                let place = sequence as usize;
                let wanted =
                    if place.is_multiple_of(5) { Vec::new() } else { matching(["a", "b"][place % 2], place % 7) };
                (EventId(place as u16 % 3), StepId(place as u16 % 4), wanted, sequence)
            })
            .collect();
        let mut index = OpenIndex::default();
        for (answer, step, wanted, sequence) in questions.iter().rev() {
            index.insert(*answer, *step, wanted, *sequence);
        }
        let counted =
            |index: &OpenIndex| index.groups.iter().map(|(group, of)| group.cost_bytes(of.len())).sum::<usize>();
        assert_eq!(index.groups_bytes, counted(&index));
        let mut open = questions.clone();
        for round in 0_usize..200 {
            let (answer, step) = (EventId(round as u16 % 3), (round % 2 == 0).then_some(StepId(round as u16 % 5)));
            let value = json(&format!("{{\"a\":{},\"b\":{}}}", round % 7, round % 8));
            let members = Members::default();
            let takes = |(of, by, wanted, _): &(EventId, StepId, Vec<(String, Json)>, u64)| {
                *of == answer && step.is_none_or(|step| step == *by) && members.have(&value, &super::wanted(wanted))
            };
            let expected = open.iter().find(|question| takes(question)).map(|question| question.3);
            let fits = |sequence: u64| {
                members.have(&value, &super::wanted(&questions[sequence as usize].2)).then_some(sequence)
            };
            assert_eq!(index.oldest(answer, step, (&value, &members), fits), expected, "{round}");
            if let Some(place) = open.iter().position(|question| Some(question.3) == expected) {
                let (answer, step, wanted, sequence) = open.remove(place);
                index.remove(answer, step, &wanted, sequence);
            }
        }
        assert!(open.len() < 50, "{}", open.len());
        assert_eq!(index.groups_bytes, counted(&index));
    }
}
