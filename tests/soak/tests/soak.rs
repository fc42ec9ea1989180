//! A minute of the soak; `LITTORAL_SOAK_MINUTES` sets another duration.

use littoral_soak::Plan;
use std::time::Duration;

fn number(name: &str) -> Option<f64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn nothing_grows_leaks_or_is_lost_under_a_mixed_load_with_kills() {
    let minutes = number("LITTORAL_SOAK_MINUTES").unwrap_or(1.0);
    let seed = number("LITTORAL_SEED").map_or_else(|| u64::from(std::process::id()), |seed| seed as u64);
    eprintln!("LITTORAL_SEED={seed} LITTORAL_SOAK_MINUTES={minutes} repeats this load");
    let report = littoral_soak::run(Plan { duration: Duration::from_secs_f64(minutes * 60.0), seed }).unwrap();
    println!("{report}");
    assert!(report.findings.is_empty(), "{report}");
}
