//! Usual mistakes in a step do not compile, and the compiler's message names the remedy.
//!
//! `rustc` checks small programs against the library with which this test is linked.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const PRELUDE: &str = "
    #![allow(unused)]
    use steprill::{Asks, Ctx, Result, Sends, StartEvent, Step, StopEvent, Workflow, event, one_of};
    event! {
        pub struct Section { pub n: usize }
        pub struct Draft { pub n: usize }
        pub struct Approve: Asks<Verdict> { pub n: usize }
        pub struct Verdict { pub good: bool }
    }
    pub struct Plain { pub n: usize }
";

const GOOD: &str = "
    fn both(ctx: &Ctx<(Sends<(Section, Draft)>, Asks<(Approve,)>)>, _: StartEvent) -> Result<StopEvent> {
        ctx.send(Section { n: 1 })?;
        ctx.send(Draft { n: 1 })?;
        let _: u32 = \"7\".parse()?;
        Ok(StopEvent::new(ctx.ask(Approve { n: 0 }).wait()?.good))
    }
    pub fn workflow() {
        Workflow::new::<StartEvent, StopEvent>(\"w\").add(Step::new(\"both\", both)).build();
    }
";

/// Checks a program. Returns what the compiler says, or `None` if it compiles.
fn compile(library: &Path, source: &str) -> Option<String> {
    let directory = tempfile::tempdir().expect("a directory for the program");
    let file = directory.path().join("program.rs");
    fs::write(&file, format!("{PRELUDE}{source}")).expect("a written program");
    let dependencies = library.parent().expect("the library's directory");
    // With `--target`, the host's macros are in another directory.
    let of_host = dependencies.join("../../../debug/deps");
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--color=never", "--diagnostic-width=200"])
        .arg("--extern")
        .arg(format!("steprill={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("-L")
        .arg(format!("dependency={}", of_host.display()))
        .arg("--out-dir")
        .arg(directory.path())
        .arg(&file)
        .output()
        .expect("rustc runs, as cargo has just run it");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Returns the library as cargo has built it for this test: the newest with which a correct program compiles, as older
/// builds may lie beside it.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let executable = env::current_exe().expect("the path of this test");
        let directory = executable.parent().expect("its directory");
        let entries = fs::read_dir(directory).expect("a listing").filter_map(|entry| Some(entry.ok()?.path()));
        let is_library = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("libsteprill-") && path.extension().is_some_and(|extension| extension == "rlib")
        };
        let mut libraries: Vec<_> = entries.filter(is_library).collect();
        libraries.sort_by_key(|path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok());
        let mut said = String::from("no libsteprill-*.rlib");
        while let Some(path) = libraries.pop() {
            match compile(&path, GOOD) {
                None => return path,
                Some(errors) => said = errors,
            }
        }
        panic!("no library in {} takes a good program: {said}", directory.display());
    })
}

#[track_caller]
fn refused(source: &str, remedies: &[&str]) {
    let said = compile(library(), source).expect("a program that does not compile");
    for remedy in remedies {
        assert!(said.contains(remedy), "lacks {remedy:?}:\n{said}");
    }
}

#[test]
fn a_missing_ok_is_explained_in_a_closure_and_in_a_function() {
    let remedy = ["try wrapping the expression in `Ok`"];
    refused(
        r#"pub fn workflow() {
            Workflow::new::<StartEvent, StopEvent>("w")
                .step("a", |ctx, _: StartEvent| { ctx.check()?; StopEvent::default() });
        }"#,
        &remedy,
    );
    refused("fn step(ctx: &Ctx, _: StartEvent) -> Result<StopEvent> { StopEvent::default() }", &remedy);
}

#[test]
fn for_a_function_without_a_result_the_compiler_says_what_is_expected() {
    refused(
        r#"fn a(_: &Ctx, _: StartEvent) -> StopEvent { StopEvent::default() }
        pub fn workflow() { Workflow::new::<StartEvent, StopEvent>("w").step("a", a); }"#,
        &["to return `Result<_, StepError>`, but it returns `StopEvent`"],
    );
}

#[test]
fn for_a_type_that_is_no_event_the_compiler_says_how_to_make_it_one() {
    let workflow = r#"pub fn workflow() { Workflow::new::<StartEvent, StopEvent>("w").step("a", a); }"#;
    let step = |signature: &str| format!("fn a(ctx: &Ctx, {signature} {{ panic!() }} {workflow}");
    let remedy = "declare an event inside `event! { pub struct Name { .. } }`";
    refused(&step("_: Plain) -> Result<StopEvent>"), &["a step cannot take `Plain`", remedy]);
    refused(&step("_: Vec<Plain>) -> Result<StopEvent>"), &["a step cannot take `Vec<Plain>`", remedy]);
    refused(&step("_: StartEvent) -> Result<Plain>"), &["a step cannot return `Plain`", remedy]);
    refused(&step("_: StartEvent) -> Result<Vec<Plain>>"), &["a step cannot return `Vec<Plain>`", remedy]);
    refused(&step("_: StartEvent) -> Result<Option<Plain>>"), &["a step cannot return `", "Option<Plain>`", remedy]);

    let remedy = ["`Plain` is not an event", "declare it inside `event! { pub struct Plain { .. } }`"];
    refused("fn a(ctx: &Ctx, _: StartEvent) -> Result<()> { ctx.stream(Plain { n: 1 }) }", &remedy);
    refused("one_of! { enum Either { Section, Plain } }", &remedy);
}

#[test]
fn for_an_undeclared_send_the_compiler_says_where_to_declare_it() {
    let remedy = ["this step does not declare `Draft`", "ctx: &Ctx<Sends<Draft>>"];
    refused("fn a(ctx: &Ctx, _: StartEvent) -> Result<()> { ctx.send(Draft { n: 1 }) }", &remedy);
    refused("fn a(ctx: &Ctx<Sends<(Section,)>>, _: StartEvent) -> Result<()> { ctx.send(Draft { n: 1 }) }", &remedy);
    refused("fn a(ctx: &Ctx<Sends<Section>>, _: StartEvent) -> Result<()> { ctx.send(Draft { n: 1 }) }", &remedy);
}

#[test]
fn for_an_undeclared_question_the_compiler_says_where_to_declare_it() {
    let remedy = ["this step does not declare `Approve`", "ctx: &Ctx<Asks<Approve>>"];
    refused("fn a(ctx: &Ctx, _: StartEvent) -> Result<()> { ctx.ask(Approve { n: 1 }).wait()?; Ok(()) }", &remedy);
    refused(
        "fn a(ctx: &Ctx<Sends<Draft>>, _: StartEvent) -> Result<()> { ctx.ask(Approve { n: 1 }).wait()?; Ok(()) }",
        &remedy,
    );
}

#[test]
fn for_an_event_that_is_no_question_the_compiler_says_how_to_make_it_one() {
    let remedy = ["`Draft` is not a question", "struct Draft: Asks<TheAnswer> { .. }"];
    refused("fn a(ctx: &Ctx, _: StartEvent) -> Result<()> { ctx.ask(Draft { n: 1 }).wait()?; Ok(()) }", &remedy);
}

#[test]
fn for_a_declaration_of_another_form_the_compiler_shows_the_right_one() {
    refused("event! { pub struct Unit; }", &["an event is declared as `pub struct Name { field: Type, .. }`"]);
    refused("event! { struct Ask: Answers<Draft> {} }", &["one of `: Asks<Answer>`, `: InputRequired`"]);
    refused("one_of! { enum Either { A(Draft), B(Section) } }", &["`pub enum Name { Event, OtherEvent }`"]);
}

#[test]
fn a_step_that_sends_or_asks_is_added_with_step_new() {
    let remedy = "`.add(Step::new(name, function))`";
    for grant in ["Sends<Draft>", "Asks<Approve>", "(Sends<Draft>, Asks<Approve>)"] {
        let found = format!("found function signature `fn(&Ctx<{grant}>, ");
        let function = format!("fn a(ctx: &Ctx<{grant}>, _: StartEvent) -> Result<StopEvent> {{ panic!() }}");
        let workflow = r#"pub fn workflow() { Workflow::new::<StartEvent, StopEvent>("w").step("a", a); }"#;
        refused(&format!("{function} {workflow}"), &[&found, remedy]);
        let closure = format!("|_: &Ctx<{grant}>, _: StartEvent| Ok(StopEvent::default())");
        let workflow =
            format!(r#"pub fn workflow() {{ Workflow::new::<StartEvent, StopEvent>("w").step("a", {closure}); }}"#);
        refused(&workflow, &[remedy]);
    }
}
