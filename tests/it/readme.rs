//! The README says what the program does.

use steprill::server::FLAGS;

const README: &str = include_str!("../../README.md");

#[test]
fn the_table_of_flags_is_that_of_help() {
    let rows: Vec<&str> = README.lines().filter(|line| line.starts_with("| `--")).collect();
    let expected: Vec<String> = FLAGS
        .iter()
        .map(|flag| {
            let name = format!("{} {}", flag.name, flag.value);
            format!("| `{}` | {} |", name.trim_end().replace('|', "\\|"), flag.help)
        })
        .collect();
    assert_eq!(rows, expected);
}
