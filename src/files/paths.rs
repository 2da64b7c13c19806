//! From paths on a command line to workflows.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use super::{
    fault::{FileFault, FileFaults, quoted},
    whole::{WorkflowFile, parse},
};
use crate::{
    limits::{FILE_BYTES_MAX, FILES_MAX},
    workflow::Workflow,
};

/// Reads the workflows in these files and directories. Of a directory that is every `*.toml` and `*.json` in it, in
/// order of name, without `*.test.toml` and `*.test.json`.
///
/// # Errors
/// All faults of all files. Two workflows of one name are a fault.
pub fn load(paths: &[PathBuf]) -> Result<Vec<WorkflowFile>, FileFaults> {
    let (files, faults) = read(paths);
    if faults.0.is_empty() { Ok(files) } else { Err(faults) }
}

/// Like [`load`], but returns the workflows without faults beside the faults.
pub fn read(paths: &[PathBuf]) -> (Vec<WorkflowFile>, FileFaults) {
    let mut faults = Vec::new();
    let mut loaded: Vec<WorkflowFile> = Vec::new();
    for file in files(paths, &mut faults) {
        match read_file(&file).and_then(|bytes| parse(&file, &bytes)) {
            Err(found) => faults.extend(found.0),
            Ok(file) => {
                let name = |file: &WorkflowFile| file.workflow.graph().name.clone();
                match loaded.iter().find(|other| name(other) == name(&file)) {
                    None => loaded.push(file),
                    Some(other) => {
                        let text = format!(
                            "the workflow in {} is named {}, too: write another `name`",
                            other.path.display(),
                            quoted(&name(&file))
                        );
                        faults.push(FileFault { at: Some(file.name_at), file: file.path, text });
                    }
                }
            }
        }
    }
    (loaded, FileFaults(faults))
}

/// Returns the files that the paths mean, each once.
fn files(paths: &[PathBuf], faults: &mut Vec<FileFault>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut seen = Vec::new();
    for path in paths {
        let found = match list(path) {
            Ok(found) => found,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        for file in found {
            let whole = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if files.len() == FILES_MAX {
                faults.push(fault(path, format!("these are more than {FILES_MAX} files")));
                return files;
            }
            if !seen.contains(&whole) {
                seen.push(whole);
                files.push(file);
            }
        }
    }
    files
}

fn list(path: &Path) -> Result<Vec<PathBuf>, FileFault> {
    let unreadable = |error: std::io::Error| fault(path, format!("cannot be read: {error}"));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !metadata.is_dir() {
        return Err(fault(path, "is neither a file nor a directory".to_owned()));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_workflow(&file) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(fault(path, "has no workflow file in it: *.toml or *.json".to_owned()));
    }
    Ok(files)
}

fn is_workflow(file: &Path) -> bool {
    let has = |path: &Path, wanted: &str| path.extension().is_some_and(|extension| extension == wanted);
    let stem = Path::new(file.file_stem().unwrap_or_default());
    let is_hidden = stem.to_str().is_some_and(|stem| stem.starts_with('.'));
    (has(file, "toml") || has(file, "json")) && !has(stem, "test") && !is_hidden
}

fn read_file(path: &Path) -> Result<Vec<u8>, FileFaults> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(FileFaults(vec![fault(path, format!("cannot be read: {error}"))])),
    }
}

fn fault(file: &Path, text: String) -> FileFault {
    FileFault { file: file.to_owned(), at: None, text }
}

impl From<WorkflowFile> for Workflow {
    fn from(file: WorkflowFile) -> Self {
        file.workflow
    }
}
