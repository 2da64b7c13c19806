//! The authoring API: the graph that follows from the types of functions.

// Steps take their events by value and return a `Result`, whatever they do with them.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

use std::{sync::Arc, time::Duration};

use steprill::{
    Asks, Ctx, Event, Result, Retry, Sends, StartEvent, Step, StopEvent, Workflow, event,
    graph::{EventKind, Graph, StepType},
    one_of,
};

event! {
    pub struct Topic { pub text: String }
    pub struct Section { pub n: usize }
    pub struct Draft { pub n: usize, pub text: String }
    pub struct Token { pub text: String }
    /// Asks a person.
    pub struct Approve: Asks<Verdict> { pub n: usize }
    pub struct Verdict { pub n: usize, pub good: bool }
    pub struct Article { pub text: String }
    pub struct Wanted: InputRequired {}
    pub struct Given: HumanResponse {}
    pub struct Renamed as "renamed" in "elsewhere" {}
}
one_of! {
    /// What editing comes to.
    pub enum Edited { Section, Article }
    enum Either { Given, Renamed }
}

fn outline(_: &Ctx, topic: Topic) -> Result<Vec<Section>> {
    Ok((0..topic.text.len()).map(|n| Section { n }).collect())
}

fn edit(ctx: &Ctx<Asks<(Approve,)>>, all: Vec<Draft>) -> Result<Article> {
    let text = ctx.once(|| Ok(all.iter().map(|draft| draft.text.as_str()).collect::<String>()))?;
    let verdict = ctx.ask(Approve { n: 1 }).matching("n", 1).wait()?;
    if verdict.good { Ok(Article { text }) } else { Err("not good")? }
}

fn names(graph: &Graph, ids: &[steprill::graph::EventId]) -> Vec<String> {
    ids.iter().map(|id| graph.event(*id).name.to_string()).collect()
}

fn step<'a>(graph: &'a Graph, name: &str) -> &'a StepType {
    graph.step(graph.step_id(name).expect("a step of that name"))
}

#[test]
fn the_graph_is_read_from_the_types_of_the_functions() {
    let suffix = Arc::new("!".to_owned());
    let workflow = Workflow::new::<Topic, Article>("article")
        .timeout(Duration::from_secs(50))
        .max_runs(10)
        .step("outline", outline)
        .step("write", move |ctx, section: Section| {
            ctx.stream(Token { text: "t".into() })?;
            let number: usize = "7".parse()?;
            Ok(Draft { n: section.n + number, text: suffix.to_string() })
        })
        .add(Step::new("edit", edit).workers(2).retry(Retry::fixed(Duration::from_secs(1))).streams::<Token>())
        .build()
        .expect("a good graph");
    let graph = workflow.graph();
    assert_eq!((graph.timeout, graph.max_runs), (Some(Duration::from_secs(50)), Some(10)));

    let outline = step(graph, "outline");
    assert_eq!(names(graph, &outline.takes), ["Topic"]);
    assert_eq!(names(graph, &outline.returns), ["Section"]);
    assert!(outline.fan_out && !outline.fan_in);
    assert_eq!(outline.closers[..], [graph.step_id("edit").unwrap()]);

    let write = step(graph, "write");
    assert_eq!(
        (names(graph, &write.takes), names(graph, &write.returns)),
        (vec!["Section".into()], vec!["Draft".into()])
    );
    assert_eq!(write.workers, 4);

    let edit = step(graph, "edit");
    assert!(edit.fan_in && !edit.fan_out);
    assert_eq!(edit.workers, 2);
    assert_eq!(names(graph, &edit.streams), ["Token"]);
    let [(question, answer)] = edit.asks[..] else { panic!("one question") };
    assert_eq!(names(graph, &[question, answer]), ["Approve", "Verdict"]);
    assert_eq!(graph.event(question).kind, EventKind::InputRequired);
    assert_eq!(graph.event(answer).kind, EventKind::HumanResponse);

    let start = graph.event(graph.start);
    assert_eq!((&*start.name, &*start.qualified_name, start.kind), ("Topic", "article.Topic", EventKind::Start));
    assert!(graph.open_types().map(|event| &*event.name).eq(["Verdict"]) && !graph.can_continue_from_outside());
}

#[test]
fn enums_options_nothing_and_both_grants_are_read_too() {
    type Both = (Sends<(Section, Draft)>, Asks<Approve>);
    fn both(ctx: &Ctx<Both>, _: StartEvent) -> Result<Option<StopEvent>> {
        ctx.send(Section { n: 1 })?;
        ctx.send(Draft { n: 1, text: String::new() })?;
        ctx.ask(Approve { n: 0 }).wait()?;
        Ok(None)
    }
    fn edited(_: &Ctx, edited: Edited) -> Result<()> {
        let (Edited::Section(Section { .. }) | Edited::Article(Article { .. })) = edited;
        Ok(())
    }
    let workflow = Workflow::new::<StartEvent, StopEvent>("flow")
        .add(Step::new("both", both))
        .step("section", |_, section: Section| {
            Ok(if section.n == 0 { Edited::from(section) } else { Article { text: String::new() }.into() })
        })
        .step("edited", edited)
        .step("draft", |_, _: Draft| Ok(()))
        .build()
        .expect("a good graph");
    let graph = workflow.graph();
    let both = step(graph, "both");
    assert_eq!(names(graph, &both.sends), ["Section", "Draft"]);
    assert_eq!(names(graph, &both.returns), ["StopEvent"]);
    assert_eq!(names(graph, &step(graph, "section").returns), ["Section", "Article"]);
    assert_eq!(names(graph, &step(graph, "edited").takes), ["Section", "Article"]);
    assert!(step(graph, "draft").returns.is_empty());
    assert_eq!(&*graph.event(graph.stop).qualified_name, "workflows.events.StopEvent");
    assert!(graph.event(graph.start).builtin && graph.event(graph.stop).builtin);
}

#[test]
fn kinds_names_and_modules_are_as_declared() {
    let workflow = Workflow::new::<StartEvent, StopEvent>("flow")
        .module("conformance")
        .step("want", |_, _: StartEvent| Ok(Wanted {}))
        .step("take", |_, _: Either| Ok(StopEvent::default()))
        .step("rename", |_, _: StartEvent| Ok(Renamed {}))
        .build()
        .expect("a good graph");
    let graph = workflow.graph();
    let event = |name: &str| graph.event(graph.event_id(name).expect(name));
    assert_eq!((event("Wanted").kind, event("Given").kind), (EventKind::InputRequired, EventKind::HumanResponse));
    assert_eq!(&*event("Given").qualified_name, "conformance.Given");
    assert_eq!(&*event("renamed").qualified_name, "elsewhere.renamed");
    assert_eq!(Renamed::name(), "renamed");
}

#[test]
fn the_answer_of_a_question_that_is_returned_comes_from_outside() {
    let workflow = Workflow::new::<StartEvent, StopEvent>("flow")
        .step("ask", |_, _: StartEvent| Ok(Approve { n: 1 }))
        .step("answer", |_, verdict: Verdict| Ok(StopEvent::new(verdict.good)))
        .build()
        .expect("a good graph");
    let graph = workflow.graph();
    assert_eq!(graph.event(graph.event_id("Verdict").unwrap()).kind, EventKind::HumanResponse);
}

#[test]
fn faults_of_the_graph_come_out_of_build() {
    let faults = Workflow::new::<StartEvent, StopEvent>("flow")
        .add(Step::new("a", |_: &Ctx, _: StartEvent| Ok(Section { n: 1 })).workers(0))
        .build()
        .expect_err("faults");
    let text = faults.to_string();
    assert!(text.contains("Step `a` has 0 workers"), "{text}");
    assert!(text.contains("Step `a` gives out `Section`, but no step takes it"), "{text}");
}
