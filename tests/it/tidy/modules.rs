//! Which module uses which, file by file, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// The path of a module or an item from the root of the crate.
type Names = Vec<String>;

/// A module's uses: the modules that it names, except those whose items it only re-exports from below itself.
type Uses = BTreeMap<Names, BTreeSet<Names>>;

/// One path of a `use`, or one that is written out in code.
struct Named {
    is_public: bool,
    path: Names,
}

/// Returns the circles among the modules of these files: each is a list of modules that all depend on each other.
pub(super) fn circles(sources: &[Source]) -> Vec<String> {
    let named: BTreeMap<Names, Vec<Named>> = sources
        .iter()
        .filter(|source| !source.is_unit_test())
        .map(|source| (module_of(source), named(source)))
        .collect();
    let uses = uses(&named);
    let mut circles = BTreeSet::new();
    for module in uses.keys() {
        let needed = reachable(&uses, module);
        if needed.contains(module) {
            let together = needed.iter().filter(|other| reachable(&uses, other).contains(module));
            circles.insert(together.map(|names| names.join("::")).collect::<Vec<_>>().join(", "));
        }
    }
    circles.into_iter().collect()
}

/// Returns `[engine, run]` for `src/engine/run.rs` and `src/engine/run/mod.rs`, and an empty path for the root.
fn module_of(source: &Source) -> Names {
    let path = source.path().trim_start_matches("src/").trim_end_matches(".rs");
    let mut names: Names = path.split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&&*names[names.len() - 1]) {
        names.pop();
    }
    names
}

/// Returns everything in the crate that a file names.
fn named(source: &Source) -> Vec<Named> {
    let (mut all, mut statement) = (Vec::new(), String::new());
    for line in source.code_before_tests() {
        let code = line.trim();
        let item = without_visibility(code);
        if statement.is_empty() && !item.starts_with("use ") {
            all.extend(written_out(item).map(|path| Named { is_public: false, path }));
            continue;
        }
        statement.push_str(code);
        if code.ends_with(';') {
            let (visibility, tree) = statement.split_once("use ").expect("it begins so");
            let is_public = visibility.starts_with("pub");
            let mut paths = Vec::new();
            expand(&mut paths, &[], tree.trim_end_matches(';'));
            all.extend(paths.into_iter().map(|path| Named { is_public, path }));
            statement.clear();
        }
    }
    all
}

fn without_visibility(code: &str) -> &str {
    code.strip_prefix("pub").map_or(code, |rest| match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(") ").map_or(rest, |(_, behind)| behind),
        None => rest.trim_start(),
    })
}

/// Returns the paths of two or more names in code; `$crate` belongs to the user of a macro.
fn written_out(code: &str) -> impl Iterator<Item = Names> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let words = code.split(move |character: char| !is_name(character) && character != '$');
    let paths = words.map(|path| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect());
    paths.filter(|path: &Names| path.len() > 1)
}

/// Adds each path of a tree of `use`.
fn expand(paths: &mut Vec<Names>, before: &[String], tree: &str) {
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, Some(group.trim_end().strip_suffix('}').expect("a group ends"))),
        None => (tree.split(" as ").next().unwrap_or_default(), None),
    };
    let names = head.split("::").map(str::trim).filter(|name| !name.is_empty());
    let names: Names = before.iter().cloned().chain(names.map(str::to_owned)).collect();
    let Some(group) = group else { return paths.push(names) };
    let (mut depth, mut start) = (0, 0);
    for (at, character) in group.char_indices().chain([(group.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    expand(paths, &names, &group[start..at]);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Computes what modules use from what files name.
fn uses(named: &BTreeMap<Names, Vec<Named>>) -> Uses {
    let mut exported = BTreeMap::new();
    for (module, all) in named {
        for Named { path, .. } in all.iter().filter(|named| named.is_public) {
            if let (Some(target), Some(name)) = (target(named, module, path), path.last()) {
                exported.insert((module.clone(), name.clone()), target);
            }
        }
    }
    let mut uses = Uses::new();
    for (module, all) in named {
        for Named { is_public, path } in all {
            let Some(mut target) = target(named, module, path) else { continue };
            while let Some(behind) = path.last().and_then(|name| exported.get(&(target.clone(), name.clone()))) {
                if *behind == target {
                    break;
                }
                target.clone_from(behind);
            }
            if target != *module && !(*is_public && target.starts_with(module)) {
                uses.entry(module.clone()).or_default().insert(target);
            }
        }
    }
    uses
}

/// Returns the module that a path in `module` leads into, or `None` for another crate.
fn target(modules: &BTreeMap<Names, Vec<Named>>, module: &Names, path: &Names) -> Option<Names> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (mut at, rest) = match path.first().map(String::as_str) {
        Some("crate") => (Names::new(), &path[1..]),
        Some("self") => (module.clone(), &path[1..]),
        Some("super") => (module[..module.len().saturating_sub(supers)].to_vec(), &path[supers..]),
        Some(first) if modules.contains_key(&[&module[..], &[first.to_owned()]].concat()) => {
            (module.clone(), &path[..])
        }
        _ => return None,
    };
    for name in rest {
        at.push(name.clone());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
    }
    (!at.is_empty()).then_some(at)
}

fn reachable(uses: &Uses, from: &Names) -> BTreeSet<Names> {
    let (mut found, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(module) = left.pop() {
        for next in uses.get(module).into_iter().flatten() {
            if found.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    found
}
