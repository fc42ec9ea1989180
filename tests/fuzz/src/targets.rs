//! The targets.

mod arrow;
mod blocks;
mod calls;
mod catalogue;
mod claim;
mod compressed;
mod configuration;
mod doors;
mod edge_snapshot;
mod encrypted_file;
mod frames;
mod guest;
mod log;
mod registry;
mod snapshot;
mod tail;
mod token;
mod values;

use crate::Target;

/// All targets.
pub const TARGETS: &[Target] = &[
    frames::TARGET,
    frames::UPSTREAM,
    frames::DOWNSTREAM,
    compressed::TARGET,
    calls::REQUESTS,
    calls::REPLIES,
    blocks::ROWS,
    blocks::RECORDS,
    values::BODIES,
    values::KEYS,
    token::TARGET,
    claim::TARGET,
    log::TARGET,
    snapshot::TARGET,
    tail::TARGET,
    edge_snapshot::TARGET,
    encrypted_file::TARGET,
    configuration::TARGET,
    catalogue::TARGET,
    arrow::TARGET,
    registry::TARGET,
    doors::TARGET,
    guest::TARGET,
];

/// Splits off an input's first byte: whether to correct checksums, and a number for variation.
fn choice(input: &[u8]) -> (bool, u8, &[u8]) {
    input.split_first().map_or((true, 0, input), |(first, rest)| (first & 1 == 0, first >> 1, rest))
}

/// Checks that a rejection is a bounded line of text, without characters that change how it is displayed.
fn check_words(words: &str) {
    assert!(!words.trim().is_empty(), "a rejection without text");
    assert!(words.len() <= 8_192, "a rejection of {} bytes", words.len());
}
