//! Replays the corpus of every target.

use std::{fs, path::Path};

#[test]
fn every_input_of_the_corpus_passes_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in steprill_fuzz::TARGETS {
        let directory = corpus.join(name);
        let mut paths: Vec<_> = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        assert!(!paths.is_empty(), "no seeds for {name}");
        for path in &paths {
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
}
