//! Core dumps, which would contain tokens and keys.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Prevents core dumps of this process and of those that it starts. A limit of one byte prevents both kinds: a file of
/// that size cannot hold a dump, and Linux starts no program that receives dumps (`core_pattern`) at exactly this
/// limit. A limit of 0 would prevent files only.
pub fn prevent() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    // Fails if the hard limit is 0: then there are no files, and the system's administrator decides about programs.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), maximum });
}
