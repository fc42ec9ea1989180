//! Garbage and hostile input, at every place where bytes come in that nobody vouches for.
//!
//! A [`Target`] is written once and run in three ways:
//!
//! - `cargo test --workspace --test garbage`: on the stable toolchain, in CI. Every target replays its corpus, then goes on for
//!   a bounded time with changed and crossed inputs of it. `LITTORAL_FUZZ_MS=60000` makes that a minute a target;
//!   `LITTORAL_FUZZ_SEED` starts elsewhere.
//! - guided by coverage, with nightly and cargo-fuzz:
//!   ```text
//!   LITTORAL_FUZZ_TARGET=frames cargo +nightly fuzz run --dev -s none --fuzz-dir tests/fuzz \
//!       --features coverage-guided target tests/fuzz/corpus/frames -- -max_len=65536
//!   ```
//! - an input that failed goes to `corpus/TARGET/regression-WHAT`, and every later run replays it.
//!
//! Why this harness: libFuzzer needs nightly, and what CI runs must not; engines that run on both leave mutation of a corpus to
//! nightly. So the targets are plain functions of bytes, and the stable runner has a small mutator of its own.
//!
//! What a target promises: no panic; memory within [`Target::memory`]; what was decoded and encoded again is the same; a
//! refusal says what is wrong. Bytes behind a checksum are sealed by the target (see [`seal`]), or every change would end there.

// The sources that are built in here have unit tests of their own, which run where they belong.
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
mod node;
mod stand;
mod targets;

pub use targets::TARGETS;

/// A place where bytes come in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes the bytes and checks what must hold. Panics where it does not.
    pub run: fn(&[u8]),
    /// Inputs to begin with, by name.
    pub seeds: fn() -> Vec<(String, Vec<u8>)>,
    /// The most memory that an input may take: bytes, and bytes for each byte of it.
    pub memory: (usize, usize),
}

impl Target {
    /// Runs the target on one input, and holds it to its bound of memory.
    ///
    /// # Panics
    /// Where a promise is broken.
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

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Every target's name.
#[must_use]
pub fn names() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}
