//! Writes the binary seeds of `record`: `cargo test --manifest-path fuzz/Cargo.toml --no-default-features --test seeds
//! --
//! --ignored`. Those in git were written by the first version of the layout; a later version adds its own and leaves
//! them.

use std::{fs, path::Path};

#[test]
#[ignore = "writes into the corpus"]
fn write_the_seeds_of_record() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/record");
    for (name, bytes) in steprill_fuzz::record::seeds() {
        fs::write(directory.join(name), bytes).unwrap();
    }
}
