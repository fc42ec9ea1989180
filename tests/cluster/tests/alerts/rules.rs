//! The rules themselves: `promtool` accepts them, their unit tests pass, and each names a section of the runbook and is
//! fired by a test.

use littoral_provision::{cache, missing::require, prometheus::promtool};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn monitoring() -> PathBuf {
    cache::workspace().join("edge-config/monitoring")
}

fn rules() -> String {
    fs::read_to_string(monitoring().join("littoral.rules.yml")).unwrap()
}

/// Returns the names of all alerts.
pub(super) fn alerts() -> BTreeSet<String> {
    rules().lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)).collect()
}

/// Returns the rules with waits and windows of seconds, so that a test need not wait for minutes.
pub(super) fn shortened() -> String {
    let lines = rules();
    let lines = lines.lines().map(|line| {
        let Some((before, _)) = line.split_once("for: ") else { return windows(line) };
        format!("{before}for: 1s")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces each range of minutes or hours by ten seconds.
fn windows(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        out += before;
        let Some((range, remaining)) = after.split_once(']') else { break };
        let is_range = range.strip_suffix(['m', 'h']).is_some_and(|number| number.parse::<u32>().is_ok());
        out += &format!("[{}]", if is_range { "10s" } else { range });
        rest = remaining;
    }
    out + rest
}

#[test]
fn promtool_accepts_the_rules_and_their_unit_tests_pass() {
    let name = "promtool_accepts_the_rules_and_their_unit_tests_pass";
    for arguments in [
        &["check", "rules", "littoral.rules.yml"][..],
        // Its certificates and tokens are examples.
        &["check", "config", "--syntax-only", "prometheus.yml"],
        &["test", "rules", "littoral.rules.test.yml"],
    ] {
        let Some(output) = require(name, promtool(&monitoring(), arguments, b"")) else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {}: {text}", arguments.join(" "));
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_a_test_that_fires_it() {
    let runbook = fs::read_to_string(cache::workspace().join("host/RUNBOOK.md")).unwrap();
    let sections: BTreeSet<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ").map(str::to_owned)).collect();
    assert_eq!(sections, alerts(), "the sections of host/RUNBOOK.md are the alerts");
    let rules = rules();
    for alert in alerts() {
        assert!(rules.contains(&format!("host/RUNBOOK.md#{}\n", alert.to_lowercase())), "{alert} names its section");
        for part in ["**Symptom.**", "**Meaning.**", "**Check.**", "**Do.**"] {
            let section = runbook.split(&format!("## {alert}\n")).nth(1).and_then(|rest| rest.split("\n## ").next());
            assert!(section.is_some_and(|section| section.contains(part)), "{alert} lacks {part}");
        }
    }
    let fired = [super::guards::FIRED, super::members::FIRED, super::regions::FIRED];
    let fired: BTreeSet<String> = fired.into_iter().flatten().map(|alert| (*alert).to_owned()).collect();
    assert_eq!(fired, alerts(), "every alert is fired by a test");
}

#[test]
fn the_dashboard_queries_metrics_that_exist() {
    let text = fs::read_to_string(monitoring().join("littoral.dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let listed = super::metrics::listed();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            queries += 1;
            for word in query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                if word.starts_with("littoral_") || word.starts_with("process_") {
                    let family = super::metrics::family(word, &listed);
                    assert!(listed.contains_key(family), "{word} in the panel '{}'", panel["title"]);
                }
            }
        }
    }
    assert!(queries > 10);
}
