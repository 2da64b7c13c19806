//! The cost of a run without a server: `cargo bench --bench run`. Prints nanoseconds and bytes.

use std::{hint::black_box, sync::Arc, time::Instant};

use steprill::{
    engine::{
        feed::Feed,
        input::{Effect, Input, PassId},
        record::{self, Names},
        run::Run,
    },
    graph::{Graph, sketch::parts},
    json::Json,
    now::Now,
    pass::{Done, PassEnd},
    values::Values,
};

fn main() {
    one_step_run();
    looping();
    fan_out();
    feed();
    waiting_runs();
    let echo = graph("process: S -> T");
    let stop = done(0, vec![(echo.stop, value())]);
    records("an echo run's journal", &echo, &[started(&value()), stop]);
    let interactive = graph("ask: S -> NeedQ\n answer: HumanA -> T");
    let question = done(0, vec![(interactive.event_id("NeedQ").expect("NeedQ"), value())]);
    records("a waiting run's journal", &interactive, &[started(&value()), question]);
}

/// Writes inputs, reads them back and reduces them again; and takes a snapshot of a run that has not ended.
fn records(name: &str, graph: &Arc<Graph>, inputs: &[Input]) {
    let now = Now { wall_us: 1_764_000_000_000_000, alive_us: 3_600_000_000 };
    let handler_id: Arc<str> = "abcdefghij".into();
    let count = 200_000;
    let encode = || inputs.iter().map(|input| record::encode(input, now)).collect::<Vec<_>>();
    let decode = |bytes: &[u8]| record::decode(bytes, graph).expect("a record");
    let fold = |records: &[Vec<u8>]| {
        let mut run = Run::new(Arc::clone(graph), uuid::Uuid::nil(), Arc::clone(&handler_id));
        let mut effects = Vec::new();
        for bytes in records {
            let (input, now) = decode(bytes);
            effects.clear();
            run.handle(input, now, &mut effects);
        }
        run
    };
    let journal = encode();
    let records = count * inputs.len() as u128;
    let bytes: usize = journal.iter().map(Vec::len).sum();
    let per_record = |what: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..count).for_each(|_| what());
        begun.elapsed().as_nanos() / records
    };
    let encoding = per_record(&mut || drop(black_box(encode())));
    let decoding = per_record(&mut || journal.iter().for_each(|bytes| drop(black_box(decode(bytes)))));
    let folding = per_record(&mut || drop(black_box(fold(&journal))));
    println!(
        "{name:<24}{bytes} bytes; a record {encoding} ns to encode, {decoding} to decode, {folding} to decode and fold"
    );
    let run = fold(&journal);
    let (snapshot, translation) = (run.snapshot(), Names::of(graph).translation(graph));
    let restore = || Run::restore(&snapshot, &translation, Arc::clone(graph)).expect("a snapshot");
    let taking = per_record(&mut || drop(black_box(run.snapshot())));
    let restoring = per_record(&mut || drop(black_box(restore())));
    let (taking, restoring) = (taking * inputs.len() as u128, restoring * inputs.len() as u128);
    println!("  its snapshot          {} bytes; {taking} ns to take, {restoring} to restore", snapshot.len());
}

/// A run with one pass, started and completed, including the input of its worker.
fn one_step_run() {
    let graph = graph("process: S -> T");
    let (handler_id, event): (Arc<str>, _) = ("abcdefghij".into(), value());
    let mut effects = Vec::new();
    let count = 300_000;
    let begun = Instant::now();
    for _ in 0..count {
        let mut run = Run::new(Arc::clone(&graph), uuid::Uuid::nil(), Arc::clone(&handler_id));
        effects.clear();
        run.handle(started(&event), Now::default(), &mut effects);
        black_box(run.pass_input(PassId { work: 0, pass: 0 }));
        run.handle(done(0, vec![(graph.stop, event.clone())]), Now::default(), &mut effects);
        black_box(&effects);
        assert!(run.outcome().is_some());
    }
    println!("one-step run          {:>8} ns", begun.elapsed().as_nanos() / count);
}

/// A step that returns its own type, 100,000 times.
fn looping() {
    let graph = graph("advance: S -> S|T");
    let (mut run, mut feed, mut effects) = begin(&graph);
    let count = 100_000;
    let begun = Instant::now();
    for work in 0..count {
        effects.clear();
        run.handle(done(work, vec![(graph.start, value())]), Now::default(), &mut effects);
        publish(&effects, &mut feed);
    }
    println!("one round of a loop   {:>8} ns", begun.elapsed().as_nanos() / u128::from(count));
}

/// A fan-out of 100,000 elements, completed in a scattered order.
fn fan_out() {
    let graph = graph("a: S -> [E]\n b: E -> F\n c: [F] -> T");
    let (mut run, mut feed, mut effects) = begin(&graph);
    let (element, output) = (graph.event_id("E").expect("E"), graph.event_id("F").expect("F"));
    let count = 100_000_u64;
    let begun = Instant::now();
    run.handle(done(0, (0..count).map(|_| (element, value())).collect()), Now::default(), &mut effects);
    let (mut ready, mut has_deferred): (Vec<u64>, bool) = (Vec::new(), false);
    let mut rounds = 0;
    while run.outcome().is_none() {
        for effect in effects.drain(..) {
            match effect {
                Effect::StartPass(pass) => ready.push(pass.work),
                Effect::Publish(event) => {
                    feed.push(&event);
                }
                Effect::GoOn => has_deferred = true,
                _ => {}
            }
        }
        if std::mem::take(&mut has_deferred) {
            run.handle(Input::GoOn, Now::default(), &mut effects);
            continue;
        }
        rounds += 1;
        let work = ready.swap_remove((rounds * 7) % ready.len());
        let event = if work > count { (graph.stop, value()) } else { (output, value()) };
        run.handle(done(work, vec![event]), Now::default(), &mut effects);
    }
    println!("one fan-out element   {:>8} ns", begun.elapsed().as_nanos() / u128::from(count));
}

fn feed() {
    let graph = graph("process: S -> T");
    let (_, _, effects) = begin(&graph);
    let Some(Effect::Publish(event)) = effects.first() else { return };
    let mut feed = Feed::new(0);
    let count = 1_000_000;
    let begun = Instant::now();
    for _ in 0..count {
        feed.push(event);
    }
    println!("one internal event    {:>8} ns, {} bytes", begun.elapsed().as_nanos() / count, feed.bytes() / 1_000_000);
}

/// Runs like those of `interactive`: a question was returned, and somebody outside is to answer.
fn waiting_runs() {
    let graph = graph("ask: S -> NeedQ\n answer: HumanA -> T");
    let question = graph.event_id("NeedQ").expect("NeedQ");
    let count = 100_000;
    let mut kept = Vec::with_capacity(count);
    let before = resident_bytes();
    for _ in 0..count {
        let (mut run, mut feed, mut effects) = begin(&graph);
        publish(&effects, &mut feed);
        effects.clear();
        run.handle(done(0, vec![(question, value())]), Now::default(), &mut effects);
        publish(&effects, &mut feed);
        kept.push((run, feed));
    }
    let each = (resident_bytes() - before) / count as u64;
    println!(
        "a waiting run         {each:>8} bytes with its feed of {} events; size_of {} + {}",
        kept[0].1.next(),
        size_of::<Run>(),
        size_of::<Feed>()
    );
}

fn begin(graph: &Arc<Graph>) -> (Run, Feed, Vec<Effect>) {
    let mut run = Run::new(Arc::clone(graph), uuid::Uuid::nil(), "abcdefghij".into());
    let mut effects = Vec::new();
    run.handle(started(&value()), Now::default(), &mut effects);
    (run, Feed::new(0), effects)
}

fn publish(effects: &[Effect], feed: &mut Feed) {
    for effect in effects {
        if let Effect::Publish(event) = effect {
            feed.push(event);
        }
    }
}

fn started(event: &Json) -> Input {
    Input::Started { event: event.clone(), state: Values::default(), admitted: true, sequence: 0 }
}

fn done(work: u64, returned: Vec<(steprill::graph::EventId, Json)>) -> Input {
    let done = Done::of(PassEnd::Returned(returned));
    Input::Done { pass: PassId { work, pass: 0 }, done }
}

fn value() -> Json {
    Json::parse(r#"{"message":"ping"}"#).expect("good JSON")
}

fn graph(lines: &str) -> Arc<Graph> {
    Arc::new(Graph::build(parts(lines)).unwrap_or_else(|faults| panic!("{faults}")))
}

/// Returns the resident memory as reported by Linux, or 0 elsewhere.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0) * 4_096
}
