//! The program: arguments to a configuration, exit codes.
fn main() {}
