//! Faulty files: each fault with its line, column and remedy.

use super::faults;

/// Files, each followed by a line of dashes and the faults in it.
const CASES: &str = include_str!("faults.txt");

#[test]
fn every_fault_has_its_place_and_says_what_to_write() {
    let (mut case, mut expected) = (String::new(), Vec::new());
    let mut is_file = true;
    let check = |case: &str, expected: &[&str]| assert_eq!(faults(case), expected, "{case}");
    let mut count = 0;
    for line in CASES.lines() {
        if line == "--" {
            is_file = false;
        } else if let (false, Some(fault)) = (is_file, line.strip_prefix("! ")) {
            expected.push(fault);
        } else {
            if !is_file {
                check(&case, &expected);
                (case, expected, is_file) = (String::new(), Vec::new(), true);
                count += 1;
            }
            case.push_str(line);
            case.push('\n');
        }
    }
    check(&case, &expected);
    assert!(count > 20, "{count}");
}
