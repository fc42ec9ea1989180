//! Tests that measure memory run in a process of their own, which runs nothing else: the system counts the memory of a
//! process, and neither frees of earlier work nor other tests may be part of it.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

/// Set in the process that runs one test, with the input of the test.
const ALONE: &str = "LITTORAL_TEST_ALONE";

/// Returns the input of the running test if this is a process of its own. Otherwise the test has to call [`run`].
pub fn input() -> Option<OsString> {
    env::var_os(ALONE)
}

/// Runs the test of this path in a process of its own.
///
/// # Panics
/// If it fails there, or does not exist.
#[track_caller]
pub fn run(test: &str, input: impl AsRef<OsStr>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(ALONE, input);
    let output = command.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && text.contains(" 1 passed;"),
        "{test} in a process of its own:\n{text}\n{errors}"
    );
}

/// Returns the most memory that this process has had, in KiB.
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
