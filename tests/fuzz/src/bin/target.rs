//! Runs the target that `LITTORAL_FUZZ_TARGET` names under libFuzzer. One program has all targets, because linking each
//! separately would take longer than most runs.

#![no_main]

use littoral_fuzz::{Target, memory::Counting, verdict};
use std::sync::LazyLock;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("LITTORAL_FUZZ_TARGET").unwrap_or_default();
    littoral_fuzz::find(&name).unwrap_or_else(|| {
        eprintln!("LITTORAL_FUZZ_TARGET does not name a target; the targets are: {}", littoral_fuzz::names());
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(why) = verdict::of(*TARGET, input) {
        eprintln!("{why}");
        std::process::abort();
    }
});
