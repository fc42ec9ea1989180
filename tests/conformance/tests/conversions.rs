//! The same pandas frames through a Feast of its own and into Littoral: values read back alike, but for what is listed.

use littoral_conformance::golden::fixtures;
use littoral_provision::{Cluster, binary, feast::Environment, missing::require};
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A frame that becomes something else here.
#[derive(Debug, Deserialize)]
struct Difference {
    /// Which: `case -> type`.
    case: String,
    /// What Feast makes of it, as JSON.
    feast: String,
    /// What Littoral makes of it, as JSON.
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
fn frames_become_what_feast_makes_of_them() {
    let name = "frames_become_what_feast_makes_of_them";
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
                    wrong.push(format!("{case}: Feast is listed with {theirs} and gives {feast}"));
                }
                serde_json::from_str(&difference.littoral).unwrap()
            }
        };
        if difference.is_some() && expected == *feast {
            wrong.push(format!("{case} is listed, and both are listed with the same"));
        }
        for (way, became) in ours {
            if *became != expected {
                wrong.push(format!("{case} by {way}: {expected} expected, got {became}; Feast gives {feast}"));
            }
        }
    }
    wrong.extend(listed.keys().map(|case| format!("{case} is listed, and there is no such frame")));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
