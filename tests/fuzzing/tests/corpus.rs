//! All that fuzzers have found worth keeping, without a fuzzer.

use fuzzing::{TARGETS, corpus};

/// Fewer inputs than this would mean that the corpus has got lost.
const LEAST: usize = 20;

#[test]
fn every_target_holds_on_its_corpus() {
    for (name, check) in TARGETS {
        let inputs = corpus::of(name).unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}"));
        assert!(inputs.len() >= LEAST, "fuzz/corpus/{name} has {} inputs only", inputs.len());
        for (file, input) in inputs {
            // The name of the input that fails stands in the output of the test.
            println!("fuzz/corpus/{name}/{file}");
            check(&input);
        }
    }
}
