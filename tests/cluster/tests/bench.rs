//! `littoral bench` runs and prints every line of its table. Figures of a brief run mean nothing and are not checked.

use littoral_provision::binary;
use serde_json::Value;
use std::process::{Command, Stdio};

/// The names that `--only` accepts, one for each measurement.
const NAMES: [&str; 23] = [
    "read_1x10",
    "auth_read_1x10",
    "traced_read_1x10",
    "read_100x10",
    "read_zipf_1m",
    "module_warm",
    "module_fresh",
    "read_p99_half_rate",
    "write_64_clients",
    "write_batches",
    "commit_to_visible",
    "compressed_visible",
    "region_to_visible",
    "bootstrap_1m",
    "warm_start_encrypted_1m",
    "compressed_bootstrap",
    "memory_per_row",
    "router",
    "tls_read_1x10",
    "tls_handshakes",
    "tls_commit_to_visible",
    "tls_idle_connections",
    "flood_p99",
];

#[test]
fn a_brief_bench_measures_everything() {
    let done =
        Command::new(binary::littoral()).args(["--json", "bench", "--quick"]).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    let report: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let measurements = report["measurements"].as_array().unwrap();
    let names: Vec<_> = measurements.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, NAMES);
    for row in measurements {
        assert!(row["value"].as_f64().is_some_and(|value| value > 0.0), "{row}\n{errors}");
        assert!(!row["comparisons"].as_array().unwrap().is_empty(), "{row}");
    }
    assert!(done.status.success(), "{errors}");
}
