//! The demo: the README's first command.

use crate::support::{littoral, run, text};

#[test]
fn the_demo_shows_everything_and_every_check_holds() {
    let output = run(&["demo", "--json"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), text(&output.stdout));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], true);
    assert_eq!(report["steps"].as_array().unwrap().len(), 14, "{report}");
    assert!(report["checks"].as_u64().unwrap() >= 29, "{report}");
}

#[test]
fn a_demo_whose_check_fails_says_which_and_ends_with_an_error() {
    // Edges that hold only the rows that were read cannot show every row.
    let output = littoral(&["demo"]).env("LITTORAL_EDGE_VIEW_MODE", "resident").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("does not hold every row of view 'airport_hourly'"),
        "{}",
        text(&output.stderr)
    );
}
