//! Any bytes, and any mutation of a workflow file, give a workflow or faults with places, never a panic.

use std::path::Path;

use proptest::{collection, prelude::*, sample::Index};
use steprill::files::parse;

use super::ORDER;

/// Parses, and checks what is returned.
fn check(name: &str, bytes: &[u8]) {
    let path = Path::new(name);
    let Err(faults) = parse(path, bytes) else { return };
    assert!(!faults.0.is_empty());
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for fault in &faults.0 {
        let (line, column) = fault.at.expect("a place");
        assert!((1..=lines).contains(&line) && (1..=bytes.len() + 1).contains(&column), "{fault}");
        assert!(!fault.text.is_empty() && !fault.to_string().contains('\n'), "{fault}");
        assert_eq!(fault.file, path);
    }
}

/// Pieces of which files are made, so that chance finds more than syntax errors.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "\"",
    "'",
    "'''",
    "# ",
    "\\",
    "\0",
    "\u{e4}",
    "start",
    "stop",
    "events",
    "steps",
    "steps.price",
    "emit",
    "when",
    "A",
    "Order",
    "Item[]",
    "'string?'",
    "'integer[]'",
    "enum",
    "type",
    "default",
    "fields",
    "items",
    "answer",
    "external = true",
    "accepts",
    "emits",
    "run",
    "wait = '1s'",
    "1e400",
    "nan",
    "99999999999999999999",
    "1979-05-27",
    "true",
    "name = 'x'",
    "'{name}'",
    "'{{}'",
    "retry = 3",
    "inbox",
    "ask",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_a_workflow_or_have_faults(bytes in collection::vec(any::<u8>(), 0..300)) {
        check("any.toml", &bytes);
        check("any.json", &bytes);
    }

    #[test]
    fn any_pieces_are_a_workflow_or_have_faults(pieces in collection::vec(any::<Index>(), 0..60)) {
        let text: String = pieces.iter().map(|piece| *piece.get(PIECES)).collect();
        check("any.toml", text.as_bytes());
        check("any.json", text.as_bytes());
    }

    #[test]
    fn any_change_to_a_file_leaves_a_workflow_or_faults(
        cuts in collection::vec((any::<Index>(), 0_usize..40, any::<Index>(), any::<bool>()), 1..4),
    ) {
        let mut text = ORDER.to_owned();
        for (at, length, piece, insert) in cuts {
            let at = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.ceil_char_boundary((at + length).min(text.len()));
            text.replace_range(at..end, if insert { PIECES[piece.index(PIECES.len())] } else { "" });
        }
        check("order.toml", text.as_bytes());
    }
}

#[test]
fn a_file_at_its_bounds_takes_no_longer_than_a_moment() {
    let many = |text: &dyn Fn(usize) -> String, bytes: usize| {
        let mut whole = String::new();
        for n in 0.. {
            whole += &text(n);
            if whole.len() > bytes {
                break;
            }
        }
        whole
    };
    let names: Vec<String> = (0..400).map(|n| format!("'E{n}'")).collect();
    let lists: Vec<String> = (0..400).map(|n| format!("'E{n}[]'")).collect();
    let events = many(&|n| format!("E{n} = {{}}\n"), 4_000);
    let half = 500 << 10;
    for text in [
        many(&|n| format!("k{n} = 1\n"), half),
        many(&|n| format!("[steps.s{n}]\naccepts = 'x{n}'\n"), half),
        format!("[steps.a]\naccepts = [{}]", many(&|n| format!("'x{n}',"), half)),
        format!("[start.A]\n{}", many(&|n| format!("f{n} = 'x'\n"), half)),
        format!("[start.A]\nf = {{ enum = [{}] }}", many(&|n| format!("{n},"), half)),
        "[".repeat(half),
        "a.".repeat(half / 2),
        "= \n".repeat(half / 3),
        "\"".repeat(half),
        format!(
            "[events]\n{events}{}",
            many(
                &|n| format!(
                    "[steps.s{n}]\naccepts = [{}]\nemits = [{}]\nrun = ['x']\n",
                    names.join(","),
                    lists.join(",")
                ),
                half
            )
        ),
    ] {
        check("large.toml", text.as_bytes());
        check("large.json", text.as_bytes());
    }
}
