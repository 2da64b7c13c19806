//! A whole workflow file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    events::Events,
    fault::{Faults, FileFault, FileFaults, quoted},
    graph, json, read, step,
    step::StepDef,
    toml,
    tree::{self, Member},
};
use crate::{
    command::{Action, Command, Program},
    executable::{self, NotFound},
    graph::{Graph, Parts},
    limits::{FILE_BYTES_MAX, FILE_NAMES_MAX},
    workflow::{Runs, Workflow},
};

/// A workflow that was read from a file.
#[derive(Clone, Debug)]
pub struct WorkflowFile {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub workflow: Workflow,
    /// Where its name is.
    pub(super) name_at: (usize, usize),
    /// The steps that run programs, and where they name them.
    programs: Vec<(Arc<Command>, (usize, usize))>,
}

/// The members of a workflow file.
const KEYS: &[&str] = &["name", "description", "timeout", "max_runs", "start", "stop", "events", "steps"];

/// Reads the contents of a workflow file: JSON if its name ends in `.json`, else TOML.
///
/// # Errors
/// All faults in it.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<WorkflowFile, FileFaults> {
    if bytes.len() > FILE_BYTES_MAX {
        let text = format!("a workflow file has at most {FILE_BYTES_MAX} bytes");
        return Err(FileFaults(vec![FileFault { file: path.to_owned(), at: None, text }]));
    }
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
            let mut faults = Faults::new(path, before);
            faults.add(before.len(), "this is not UTF-8");
            return Err(FileFaults(faults.into_list()));
        }
    };
    let mut faults = Faults::new(path, text);
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let root = if is_json { json::parse(text, &mut faults) } else { toml::parse(text, &mut faults) };
    // What follows from a syntax error would be reported, too.
    let file = if faults.is_empty() { read_root(path, &root, &mut faults) } else { None };
    match file {
        Some(file) if faults.is_empty() => Ok(file),
        _ => Err(FileFaults(faults.into_list())),
    }
}

fn read_root(path: &Path, root: &[Member], faults: &mut Faults<'_>) -> Option<WorkflowFile> {
    let get = |name: &str| tree::get(root, name);
    for member in root.iter().filter(|member| !KEYS.contains(&&*member.name)) {
        faults.add_unknown(member, "a workflow file", KEYS);
    }
    let name = name(path, get("name"), faults);
    if let Some(member) = get("description") {
        read::string(member, "a string", faults);
    }
    let timeout = get("timeout").and_then(|member| read::duration(member, faults));
    let max_runs = get("max_runs").and_then(|member| read::whole(member, 1, i64::MAX, faults));
    let events = Events::read(get("start"), get("stop"), get("events"), faults);
    let directory = directory(path);
    let (mut steps, mut places) = (Vec::new(), Vec::new());
    let written = get("steps").and_then(|member| read::table(member, "a table with a table for each step", faults));
    for member in written.unwrap_or_default() {
        if steps.len() == FILE_NAMES_MAX {
            faults.add(member.at, format!("a workflow has at most {FILE_NAMES_MAX} steps"));
            break;
        }
        places.push((member.name.as_str(), member.at));
        steps.extend(step::read_step(member, &events, &directory, faults));
    }
    if faults.is_incomplete {
        return None;
    }
    events.report_unused(faults);
    let (parts, commands) = separate(steps);
    let graph = Graph::build(Parts {
        events: events.describe(&name),
        steps: parts,
        start: events.start.clone(),
        stop: events.stop.clone(),
        timeout,
        max_runs,
        module: None,
        name,
    });
    let graph = graph.map_err(|found| graph::add(&found.0, &places, &events, faults)).ok()?;
    let name_at = get("name").map_or((1, 1), |member| faults.place(member.value.at));
    let mut runs = Vec::new();
    let mut programs = Vec::new();
    for step in &graph.steps {
        let (command, run_at) = commands.get(&*step.name)?;
        let command = Arc::new(command.clone()?);
        if let Some(at) = run_at {
            programs.push((Arc::clone(&command), faults.place(*at)));
        }
        runs.push(Runs::Command(command));
    }
    let workflow = Workflow::from_parts(graph, runs);
    Some(WorkflowFile { path: path.to_owned(), workflow, name_at, programs })
}

type Commands = BTreeMap<String, (Option<Command>, Option<usize>)>;

fn separate(steps: Vec<StepDef>) -> (Vec<crate::graph::StepParts>, Commands) {
    let (mut parts, mut commands) = (Vec::new(), BTreeMap::new());
    for step in steps {
        commands.insert(step.parts.name.clone(), (step.command, step.run_at));
        parts.push(step.parts);
    }
    (parts, commands)
}

/// Returns the directory of a file: relative paths begin there.
fn directory(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.to_owned()
}

/// Returns the workflow's name: by default that of the file.
fn name(path: &Path, member: Option<&Member>, faults: &mut Faults<'_>) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(member) = member else {
        let mut unnamed = Faults::new(path, "");
        if !read::is_name(&stem, "a workflow", 0, &mut unnamed) {
            let stem = quoted(&stem);
            faults.add(0, format!("the file's name {stem} cannot be the name of the workflow: write `name = \"…\"`"));
        }
        return stem;
    };
    match read::string(member, "a string", faults) {
        Some(name) if read::is_name(name, "a workflow", member.value.at, faults) => name.to_owned(),
        _ => stem,
    }
}

impl WorkflowFile {
    /// Returns a fault for each program that does not exist or cannot be executed, and for each script that does not
    /// exist.
    pub fn check_programs(&self) -> Vec<FileFault> {
        let mut faults = Vec::new();
        for (command, at) in &self.programs {
            let Action::Run(program) = &command.action else { continue };
            let argument = |place: usize| {
                let template = program.argv.get(place)?;
                template.fields().next().is_none().then(|| template.fill(|_| "".into()))
            };
            let Some(name) = argument(0) else { continue };
            let fault =
                fault_of_program(&name, program).or_else(|| fault_of_script(&name, &argument(1)?, &program.directory));
            faults.extend(fault.map(|text| FileFault { file: self.path.clone(), at: Some(*at), text }));
        }
        faults.sort_by_key(|fault: &FileFault| fault.at);
        faults
    }
}

fn fault_of_program(name: &str, program: &Program) -> Option<String> {
    let directory = &program.directory;
    let not_found = executable::find(name, directory, &executable::search_path(program)).err()?;
    let name_quoted = quoted(name);
    Some(match not_found {
        NotFound::NotInPath { is_beside } => {
            let hint =
                if is_beside { format!("; write `./{name}` for the one beside this file") } else { String::new() };
            format!("there is no program {name_quoted} in PATH{hint}")
        }
        NotFound::NotExecutable(_) => format!("{name_quoted} may not be executed: run `chmod +x` on it"),
        NotFound::Directory(_) | NotFound::Unknown(..) => {
            format!("there is no program {name_quoted} in {}", directory.display())
        }
    })
}

/// Programs that run the file named by their first argument.
const INTERPRETERS: &[&str] = &["sh", "bash", "dash", "zsh", "python", "python3", "node", "ruby", "perl"];

fn fault_of_script(program: &str, script: &str, directory: &Path) -> Option<String> {
    let interpreter = Path::new(program).file_name()?.to_str()?;
    let is_script = INTERPRETERS.contains(&interpreter) && !script.starts_with('-');
    let is_missing = is_script && !directory.join(script).exists();
    is_missing.then(|| format!("there is no file {} in {}", quoted(script), directory.display()))
}
