//! Questions, answers early and late, sleeps, time-outs.

use super::*;

#[test]
fn a_sleep_holds_its_slot_and_publishes_nothing() {
    let mut flow = Flow::with("a: S -> S|T", |parts| {
        parts.steps[0].workers = 1;
        open(parts, "S");
    });
    flow.start();
    flow.post("S", "1", None);
    check(flow.sleeps((0, 0), 0), &["arm 1 wall 1000ms"]);
    assert_eq!(flow.run.pending().len(), 1);
    check(flow.due(1), &["start 0.1"]);
    assert!(flow.run.pass_input(pass_id((0, 1))).expect("a live pass").waits.iter().eq(&[Wait::Slept]));
}

#[test]
fn an_answer_goes_to_the_oldest_question_that_it_matches() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA");
    flow.start();
    flow.asks((1, 0), 0, &[("n", "1")], None);
    flow.asks((0, 0), 0, &[], None);
    assert_eq!(flow.refusal("HumanA", r#"{"n":2}"#, Some("b")), Refusal::NoQuestion);
    check(flow.post("HumanA", r#"{"n":1}"#, None), &["- running b 0 S", "start 1.1"]);
    check(flow.post("HumanA", r#"{"n":1}"#, Some("a")), &["- running a 0 S", "start 0.1"]);
    assert_eq!(flow.refusal("HumanA", r#"{"n":1}"#, None), Refusal::NoQuestion);
}

#[test]
fn an_early_answer_waits_for_a_question_that_it_matches() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA");
    flow.start();
    check(flow.post("HumanA", r#"{"n":1}"#, None), NONE);
    check(flow.post("HumanA", r#"{"n":2}"#, Some("b")), NONE);
    check(flow.asks((0, 0), 0, &[("n", "2")], None), &["- not_running a 0 S", "- NeedQ {}"]);
    let effects = flow.asks((1, 0), 0, &[("n", "2")], None);
    check(effects, &["- not_running b 0 S", "- NeedQ {}", "- running b 0 S", "start 1.1"]);
    assert_eq!(flow.refusal("HumanA", r#"{"n":3}"#, None), Refusal::NoQuestion);
}

#[test]
fn early_answers_are_bounded_and_refused_beyond() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    for _ in 0..EARLY_ANSWERS_MAX {
        check(flow.post("HumanA", "{}", None), NONE);
    }
    assert_eq!(flow.refusal("HumanA", "{}", None), Refusal::EarlyAnswersFull);
}

#[test]
fn a_named_step_must_take_or_await_the_type() {
    let mut flow = Flow::new("a: S -> () + Item\nb: Item -> Out\nj: [Out] -> T\nr: Item|OpenX -> () ? NeedQ/HumanA");
    flow.start();
    for (event, step) in [("HumanA", "a"), ("HumanA", "j"), ("OpenX", "b")] {
        assert_eq!(flow.refusal(event, "1", Some(step)), Refusal::StepDoesNotAccept, "{event} {step}");
    }
    check(flow.post("HumanA", "1", Some("r")), NONE);
    check(flow.post("OpenX", "1", Some("r")), &["- running r 0 OpenX", "start 1.0"]);
    for event in ["S", "T", "Item", "Out", "NeedQ"] {
        assert_eq!(flow.refusal(event, "1", None), Refusal::NotOpen, "{event}");
        assert_eq!(flow.refusal(event, "1", Some("b")), Refusal::NotOpen, "{event}");
    }
}

#[test]
fn a_question_times_out_on_the_alive_clock_and_is_asked_again_in_the_next_attempt_alone() {
    let mut flow = Flow::retrying(APPROVAL, Retry::fixed(Duration::ZERO));
    flow.start();
    check(flow.asks((0, 0), 0, &[], Some(5)), &["- not_running review 0 S", "- NeedQ {}", "arm 1 alive 5000ms"]);
    check(flow.due(1), &["- running review 0 S", "start 0.1"]);
    let question = flow.event("NeedQ");
    let waits = |flow: &Flow, pass| {
        flow.run.pass_input(pass_id(pass)).expect("a live pass").waits.iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(waits(&flow, (0, 1)), [Wait::Asked { question, answer: None }]);
    flow.sleeps((0, 1), 1);
    flow.due(2);
    assert_eq!(waits(&flow, (0, 2)), [Wait::Asked { question, answer: None }, Wait::Slept]);
    flow.fails((0, 2), "nobody answered");
    flow.due(3);
    assert_eq!(waits(&flow, (0, 3)), [Wait::Forgotten { question }, Wait::Slept]);
    check(flow.asks((0, 3), 0, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
    check(flow.post("HumanA", "1", None), &["- running review 0 S", "start 0.4"]);
    assert_eq!(waits(&flow, (0, 4)), [Wait::Asked { question, answer: Some(json("1")) }, Wait::Slept]);
}

#[test]
fn an_answer_in_time_disarms_the_time_out() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    flow.asks((0, 0), 0, &[], Some(5));
    check(flow.post("HumanA", "1", None), &["disarm 1", "- running review 0 S", "start 0.1"]);
    check(flow.due(1), NONE);
}

#[test]
fn a_wait_that_does_not_fit_fails_the_run() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    let effects = flow.sleeps((0, 0), 1);
    assert!(effects.last().is_some_and(|last| last.contains("wait number 1 that does not fit")), "{effects:?}");
}

#[test]
fn an_answer_between_two_questions_is_refused_unless_an_inbox_holds_it() {
    let mut flow = Flow::new(APPROVAL);
    flow.start();
    flow.asks((0, 0), 0, &[], None);
    flow.post("HumanA", "1", None);
    assert_eq!(flow.refusal("HumanA", "2", None), Refusal::NoQuestion);
    check(flow.asks((0, 1), 1, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
    check(flow.post("HumanA", "3", None), &["- running review 0 S", "start 0.2"]);
}

fn with_inbox(lines: &str, inboxes: &[(usize, usize)]) -> Flow {
    Flow::with(lines, |parts| {
        for (step, count) in inboxes {
            parts.steps[*step].inboxes = vec![("HumanA".to_owned(), *count)];
        }
    })
}

#[test]
fn an_inbox_holds_answers_in_order_up_to_its_limit() {
    let mut flow = with_inbox(APPROVAL, &[(0, 2)]);
    flow.start();
    flow.asks((0, 0), 0, &[], None);
    flow.post("HumanA", "1", None);
    for value in ["2", "3"] {
        check(flow.post("HumanA", value, None), NONE);
    }
    assert_eq!(flow.refusal("HumanA", "4", None), Refusal::InboxFull);
    let answered = ["- not_running review 0 S", "- NeedQ {}", "- running review 0 S"];
    check(flow.asks((0, 1), 1, &[], None), &[&answered[..], &["start 0.2"]].concat());
    check(flow.post("HumanA", "4", None), NONE);
    check(flow.asks((0, 2), 2, &[], None), &[&answered[..], &["start 0.3"]].concat());
    check(flow.asks((0, 3), 3, &[], None), &[&answered[..], &["start 0.4"]].concat());
    let waits = flow.run.pass_input(pass_id((0, 4))).expect("a live pass").waits;
    let answers = waits.iter().map(|wait| match wait {
        Wait::Asked { answer: Some(answer), .. } => answer.as_str(),
        other => panic!("{other:?}"),
    });
    assert!(answers.eq(["1", "2", "3", "4"]), "{waits:?}");
    check(flow.asks((0, 4), 4, &[], None), &["- not_running review 0 S", "- NeedQ {}"]);
}

#[test]
fn an_inbox_belongs_to_its_step_and_an_answer_in_it_waits_for_a_question_that_it_matches() {
    let mut flow = with_inbox("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA", &[(0, 1), (1, 2)]);
    flow.start();
    for work in [0, 1] {
        flow.asks((work, 0), 0, &[], None);
        flow.post("HumanA", "{}", None);
    }
    // The first is for a, whose name comes first, the others for b.
    for n in [1, 2, 3] {
        check(flow.post("HumanA", &format!("{{\"n\":{n}}}"), None), NONE);
    }
    for step in [None, Some("a"), Some("b")] {
        assert_eq!(flow.refusal("HumanA", "{}", step), Refusal::InboxFull);
    }
    assert!(flow.asks((1, 1), 1, &[("n", "1")], None).iter().all(|effect| !effect.starts_with("start")));
    check(flow.post("HumanA", r#"{"n":1}"#, Some("b")), &["- running b 0 S", "start 1.2"]);
    assert_eq!(flow.asks((1, 2), 2, &[("n", "3")], None).last().map(String::as_str), Some("start 1.3"));
    assert_eq!(flow.asks((0, 1), 1, &[], None).last().map(String::as_str), Some("start 0.2"));
    assert_eq!(flow.run.waiting_answers().count(), 1);
}

#[test]
fn before_the_first_question_early_answers_wait_and_then_the_inbox() {
    let mut flow = with_inbox(APPROVAL, &[(0, EARLY_ANSWERS_MAX + 1)]);
    flow.start();
    for _ in 0..=EARLY_ANSWERS_MAX {
        flow.post("HumanA", "{}", None);
    }
    assert_eq!(flow.refusal("HumanA", "{}", None), Refusal::InboxFull);
}

#[test]
fn a_reply_answers_exactly_the_question_of_its_number() {
    let mut flow = Flow::new("a: S -> T ? NeedQ/HumanA\nb: S -> T ? NeedQ/HumanA\nc: HumanB -> T");
    flow.start();
    flow.asks((0, 0), 0, &[], None);
    flow.asks((1, 0), 0, &[("n", "1")], Some(5));
    let open: Vec<u64> = flow.run.open_questions().map(|question| question.sequence).collect();
    let [first, second] = open[..] else { panic!("two questions: {open:?}") };
    let refusal = |flow: &mut Flow, event, value, step, sequence| {
        let external = flow.external(event, value, step, Some(sequence));
        flow.refusal_of(external)
    };
    assert_eq!(refusal(&mut flow, "HumanA", "{}", None, second), Refusal::NotThatQuestion, "it wants n = 1");
    assert_eq!(refusal(&mut flow, "HumanA", r#"{"n":1}"#, Some("a"), second), Refusal::NotThatQuestion);
    assert_eq!(refusal(&mut flow, "HumanB", "{}", None, first), Refusal::AnswersOther);
    for sequence in [first + 1, 99, u64::MAX] {
        assert_eq!(refusal(&mut flow, "HumanA", "{}", None, sequence), Refusal::NotThatQuestion);
    }
    let timer = Effect::Disarm(TimerId(1));
    check(flow.reply("HumanA", r#"{"n":1}"#, second), &[&flow.show(&timer), "- running b 0 S", "start 1.1"]);
    assert_eq!(refusal(&mut flow, "HumanA", r#"{"n":1}"#, None, second), Refusal::NotThatQuestion, "a second click");
    check(flow.reply("HumanA", "{}", first), &["- running a 0 S", "start 0.1"]);
}

#[test]
fn a_reply_to_a_returned_question_goes_to_the_steps_that_take_it_once() {
    let mut flow = Flow::new("a: S -> NeedQ\nb: HumanA -> NeedQ|T\nc: OpenX -> T");
    flow.start();
    flow.returns((0, 0), &[("NeedQ", "1")]);
    let question = |flow: &Flow| flow.run.open_questions().map(|question| question.sequence).collect::<Vec<_>>();
    let [first] = question(&flow)[..] else { panic!("one question") };
    let external = flow.external("OpenX", "{}", None, Some(first));
    assert_eq!(flow.refusal_of(external), Refusal::AnswersOther);
    check(flow.reply("HumanA", "{}", first), &["- running b 0 HumanA", "start 1.0"]);
    let external = flow.external("HumanA", "{}", None, Some(first));
    assert_eq!(flow.refusal_of(external), Refusal::NotThatQuestion, "a second click");
    flow.returns((1, 0), &[("NeedQ", "1")]);
    // Without a number it goes to all of them.
    flow.post("HumanA", "{}", None);
    assert_eq!(question(&flow).len(), 1);
    let snapshot = flow.run.snapshot();
    let names = steprill::engine::record::Names::of(&flow.graph);
    let again = Run::restore(&snapshot, &names.translation(&flow.graph), Arc::clone(&flow.graph)).expect("it is sound");
    assert!(again.open_questions().map(|question| question.sequence).eq(question(&flow)));
}

#[test]
fn of_many_open_questions_the_oldest_that_an_answer_matches_gets_it() {
    const COUNT: u64 = 100;
    let mut flow = Flow::new("a: S -> [E]\nb: E -> F ? NeedQ/HumanA\nc: [F] -> T");
    flow.start();
    flow.returns((0, 0), &[("E", "{}"); COUNT as usize]);
    // Two of each number, and every tenth accepts any answer.
    let wanted = |work: u64| (!work.is_multiple_of(10)).then_some(work % (COUNT / 2));
    for work in 1..=COUNT {
        let number = wanted(work).map(|number| number.to_string());
        let matching: Vec<_> = number.iter().map(|number| ("n", number.as_str())).collect();
        flow.asks((work, 0), 0, &matching, None);
    }
    let mut open: Vec<u64> = (1..=COUNT).collect();
    for round in 0..COUNT {
        let number = round * 7 % (COUNT / 2);
        let taker = open.iter().position(|work| wanted(*work).is_none_or(|wanted| wanted == number));
        let value = format!("{{\"n\":{number}.0}}");
        match taker {
            Some(taker) => {
                let started = flow.post("HumanA", &value, None);
                assert!(started.concat().contains("running b"), "{started:?}");
                let work = open.remove(taker);
                assert!(flow.run.pass_input(pass_id((work, 1))).is_some(), "{work} has its answer");
                flow.returns((work, 1), &[("F", "{}")]);
            }
            None => assert_eq!(flow.refusal("HumanA", &value, None), Refusal::NoQuestion),
        }
        if round % 20 == 10 {
            let names = steprill::engine::record::Names::of(&flow.graph);
            let (snapshot, translation) = (flow.run.snapshot(), names.translation(&flow.graph));
            flow.run = Run::restore(&snapshot, &translation, Arc::clone(&flow.graph)).expect("it is sound");
        }
    }
    assert!(open.len() < 20, "{open:?}");
}
