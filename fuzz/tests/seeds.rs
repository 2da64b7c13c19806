//! Writes the binary seeds of `record` and `passes`: `cargo test --manifest-path fuzz/Cargo.toml --no-default-features --test seeds
//! --
//! --ignored`. Those in git were written by the first version of the layout; a later version adds its own and leaves
//! them.

use std::{fs, path::Path};

#[test]
#[ignore = "writes into the corpus"]
fn write_the_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let targets = [("record", steprill_fuzz::record::seeds()), ("passes", steprill_fuzz::passes::seeds())];
    for (target, seeds) in targets {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory).unwrap();
        for (name, bytes) in seeds {
            fs::write(directory.join(name), bytes).unwrap();
        }
    }
}
