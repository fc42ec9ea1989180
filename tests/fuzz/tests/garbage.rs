//! Every target: its corpus, then mutated inputs for a bounded time. An input that fails is stored next to the others
//! and reported.

use littoral_fuzz::{Target, corpus, memory::Counting, mutate::Mutator, verdict};
use std::{
    fs,
    time::{Duration, Instant},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn withstands(name: &str) {
    let target = littoral_fuzz::find(name).unwrap_or_else(|| panic!("no target '{name}'"));
    let inputs = corpus::inputs(name);
    assert!(!inputs.is_empty(), "{name} has no corpus");
    inputs.iter().for_each(|(file, input)| check(target, input, file));
    let mut mutator = Mutator::new(number("LITTORAL_FUZZ_SEED", 1));
    let until = Instant::now() + Duration::from_millis(number("LITTORAL_FUZZ_MS", 1_500));
    let mut tried = 0_u64;
    while Instant::now() < until {
        tried += 1;
        check(target, &mutator.next_input(&inputs), &format!("changed input {tried}"));
    }
    println!("{name}: {} inputs of the corpus, {tried} changed ones", inputs.len());
}

fn check(target: &Target, input: &[u8], which: &str) {
    if let Err(why) = verdict::of(target, input) {
        let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failed", target.name));
        fs::write(&kept, input).expect("a failed input is kept");
        panic!("{} failed on {which}: {why}; the input is in {}", target.name, kept.display());
    }
}

macro_rules! withstand {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            withstands(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert!(littoral_fuzz::TARGETS.iter().all(|target| run.contains(&target.name)), "{}", littoral_fuzz::names());
        }
    };
}

withstand! {
    frames upstream downstream compressed requests replies rows records bodies keys token log snapshot edge_snapshot encrypted_file
    configuration catalogue arrow registry doors claim tail guest
}

#[test]
fn the_corpus_stays_small() {
    let bytes: usize =
        littoral_fuzz::TARGETS.iter().flat_map(|t| corpus::inputs(t.name)).map(|(_, input)| input.len()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes; leave out what adds no coverage (cargo fuzz cmin)");
}
