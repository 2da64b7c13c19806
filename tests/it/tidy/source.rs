//! A source file as lines of code.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file.
pub(crate) struct Source {
    /// The path from the root of the repository.
    path: String,
    text: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Returns every Rust file below a directory of the repository, in order of path; or that one file.
    pub(crate) fn below(place: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        collect(root.join(place), &mut files);
        files.sort_unstable();
        assert!(!files.is_empty(), "{place} has source");
        let read = |file: PathBuf| {
            let path = file.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
            Self { path, text: fs::read_to_string(&file).expect("UTF-8") }
        };
        files.into_iter().map(read).collect()
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the first part of the module's path: `engine` for `src/engine/run.rs`.
    pub(super) fn layer(&self) -> &str {
        let name = self.path.split('/').nth(1).expect("below a directory");
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// Returns whether it is a `tests` module in a file of its own.
    pub(super) fn is_unit_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || (self.path.starts_with("src/") && self.path.contains("/tests/"))
    }

    /// Iterates over all lines, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Iterates over the lines of the program itself, without its tests and whole-line comments.
    pub(super) fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.is_unit_test();
        self.lines()
            .take_while(move |(_, line)| !is_test && *line != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Iterates over the lines before the unit tests, without comments and the contents of strings.
    pub(super) fn code_before_tests(&self) -> impl Iterator<Item = String> {
        let lines = self.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().lines();
        lines.filter(|line| !line.trim_start().starts_with("//")).map(without_text)
    }

    /// Like [`Self::program`], without the contents of strings and trailing comments.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.program().map(|(number, line)| (number, without_text(line)))
    }
}

fn collect(place: PathBuf, files: &mut Vec<PathBuf>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).expect("the directory is there") {
            collect(entry.expect("an entry").path(), files);
        }
    } else if place.extension().is_some_and(|extension| extension == "rs") {
        files.push(place);
    }
}

fn without_text(line: &str) -> String {
    let (mut code, mut in_string, mut escaped) = (String::new(), false, false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (in_string, character) {
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (true, '"') => in_string = false,
            (true, _) => {}
            (false, '"') if !code.ends_with('\'') => in_string = true,
            (false, '/') if characters.peek() == Some(&'/') => break,
            (false, _) => code.push(character),
        }
    }
    code
}
