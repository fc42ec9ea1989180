//! Feeds garbage and hostile input to every entry point of untrusted bytes.
//!
//! A [`Target`] is written once and run in these ways:
//!
//! - `cargo test --workspace --test garbage`: on the stable toolchain, in CI. Every target replays its corpus, then
//!   runs mutated and crossed inputs for a bounded time. `LITTORAL_FUZZ_MS=60000` makes that a minute per target;
//!   `LITTORAL_FUZZ_SEED` changes the inputs.
//! - guided by coverage, with nightly and cargo-fuzz:
//!   ```text
//!   LITTORAL_FUZZ_TARGET=frames cargo +nightly fuzz run --dev -s none --fuzz-dir tests/fuzz \
//!       --features coverage-guided target tests/fuzz/corpus/frames -- -max_len=65536
//!   ```
//! - an input that failed is stored as `corpus/TARGET/regression-WHAT`, and every later run replays it.
//!
//! Why this harness: libFuzzer needs nightly, which CI must not require, and engines that support both leave mutation
//! to nightly. So the targets are plain functions of bytes, and the stable runner has a small mutator.
//!
//! A target asserts: no panic; memory within [`Target::memory`]; decoding and encoding again yields the same value; a
//! rejection states the problem. The target corrects checksums (see [`seal`]), because otherwise every mutation would
//! fail there.

// The sources that are included here have unit tests, which run in their own crates.
#![cfg(not(test))]

pub mod corpus;
pub mod memory;
pub mod mutate;
pub mod seal;
pub mod verdict;

mod config;
#[allow(dead_code, reason = "reading is what is fuzzed")]
#[path = "../../../host/app/src/definitions_file.rs"]
mod definitions_file;
mod fixture;
mod node;
mod targets;

pub use targets::TARGETS;

/// An entry point of untrusted bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Processes the bytes and checks the assertions. Panics if one fails.
    pub run: fn(&[u8]),
    /// Initial inputs, by name.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
    /// The memory limit of an input: a number of bytes, and a number of bytes for each of its bytes.
    pub memory: (usize, usize),
}

impl Target {
    /// Runs the target on one input, and checks its memory limit.
    ///
    /// # Panics
    /// If an assertion fails.
    pub fn check(&self, input: &[u8]) {
        let (base, each) = self.memory;
        let bound = base + each * input.len();
        let peak = memory::peak(|| (self.run)(input));
        assert!(
            peak <= bound,
            "{}: {} bytes of input took {peak} bytes of memory; {bound} are allowed",
            self.name,
            input.len()
        );
    }
}

/// Returns the target with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Returns every target's name.
#[must_use]
pub fn names() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}
