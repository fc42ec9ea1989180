//! The same pandas frames through a real Feast and into Littoral: the same values are read back, except for listed
//! differences.

use littoral_conformance::golden::fixtures;
use littoral_provision::{Cluster, binary, feast::Environment, missing::require};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A frame that is converted differently here.
#[derive(Debug, Deserialize)]
struct Difference {
    /// Which: `case -> type`.
    case: String,
    /// Feast's result as JSON.
    feast: String,
    /// Littoral's result as JSON.
    littoral: String,
    reason: String,
}

#[derive(Deserialize)]
struct File {
    difference: Vec<Difference>,
}

fn listed() -> Vec<Difference> {
    let text = std::fs::read_to_string(fixtures().join("conversions.toml")).unwrap();
    let file: File = toml::from_str(&text).unwrap();
    file.difference
}

#[test]
fn frames_are_converted_like_in_feast() {
    let name = "frames_are_converted_like_in_feast";
    let Some(environment) = require(name, Environment::install()) else { return };
    let cluster = Cluster::start(0).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/conversions.py");
    let done = environment
        .command(&environment.python())
        .arg(script)
        .args([cluster.leader.url(), binary::littoral().display().to_string()])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let outcomes: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(&done.stdout).unwrap();
    assert!(outcomes.len() > 100, "only {} frames", outcomes.len());
    let mut listed: BTreeMap<String, Difference> =
        listed().into_iter().map(|difference| (difference.case.clone(), difference)).collect();
    let mut wrong = Vec::new();
    for (case, outcome) in &outcomes {
        let feast = &outcome["feast"];
        let ours: Vec<(&String, &Value)> = outcome.iter().filter(|(way, _)| *way != "feast").collect();
        let difference = listed.remove(case);
        let expected = match &difference {
            None => feast.clone(),
            Some(difference) => {
                assert!(difference.reason.len() > 10, "{case}: a difference has a reason");
                let theirs: Value = serde_json::from_str(&difference.feast).unwrap();
                if theirs != *feast {
                    wrong.push(format!("{case}: the list has {theirs} for Feast, which returns {feast}"));
                }
                serde_json::from_str(&difference.littoral).unwrap()
            }
        };
        if difference.is_some() && expected == *feast {
            wrong.push(format!("{case} is listed with equal results"));
        }
        for (way, became) in ours {
            if *became != expected {
                wrong.push(format!("{case} by {way}: {expected} expected, got {became}; Feast returns {feast}"));
            }
        }
    }
    wrong.extend(listed.keys().map(|case| format!("{case} is listed, but there is no such frame")));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
