//! Every recorded exchange with Feast's feature server, replayed against an edge in the order of its recording.

use littoral_conformance::{compare::mismatch, differences, differences::Expected, fixture, golden};
use littoral_provision::http::Client;
use serde_json::json;

#[test]
fn an_edge_answers_as_feast_did() {
    let cluster = fixture::start();
    let mut edge = cluster.edges[0].client();
    let goldens = golden::all().expect("the recorded exchanges can be read");
    assert!(goldens.len() >= 50, "only {} recorded exchanges", goldens.len());
    let differences = differences::all().unwrap();
    let mut mismatches = Vec::new();
    let mut token = None;
    for golden in &goldens {
        let difference = differences.iter().find(|difference| difference.name == golden.name);
        let expected = difference.map(|difference| &difference.expected);
        let recorded = match expected {
            Some(Expected::SameAs { other }) => &goldens.iter().find(|golden| golden.name == *other).unwrap().response,
            _ => &golden.response,
        };
        let body = golden.request.body_text.clone().unwrap_or_default();
        let mut headers: Vec<(&str, &str)> =
            golden.request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // A replica is behind by milliseconds; a read that follows a write demands its token.
        headers.extend(token.as_deref().map(|token| ("littoral-at-least", token)));
        let answer = edge
            .send(&golden.request.method, &golden.request.path, &headers, body.as_bytes())
            .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        let wrote = matches!(golden.request.path.as_str(), "/push" | "/write-to-online-store");
        if wrote && answer.status == 200 {
            let given = answer.header("littoral-token").map(str::to_owned);
            assert!(given.is_some(), "{}: a write answers with a token", golden.name);
            token = given;
        }
        mismatches.extend(mismatch(golden, expected, recorded, &answer));
    }
    assert!(mismatches.is_empty(), "{} differ:\n{}", mismatches.len(), mismatches.join("\n"));
    a_late_event_does_not_overwrite(&mut edge, token.as_deref().unwrap_or_default());
}

/// The recorded push of an older row was accepted by Feast's SQLite store; here the latest event wins.
fn a_late_event_does_not_overwrite(edge: &mut Client, token: &str) {
    let read =
        json!({ "features": ["driver_hourly_stats_fresh:avg_daily_trips"], "entities": { "driver_id": [1001] } });
    let headers = [("littoral-at-least", token)];
    let answer = edge.send("POST", "/get-online-features", &headers, read.to_string().as_bytes()).unwrap().ok();
    let trips: Vec<_> =
        answer.json()["results"].as_array().unwrap().iter().map(|column| column["values"][0].clone()).collect();
    assert_eq!(trips, [json!(1001), json!(4242)]);
}

#[test]
fn every_difference_names_a_recorded_exchange() {
    let goldens = golden::all().unwrap();
    for difference in differences::all().unwrap() {
        let recorded = |name: &str| goldens.iter().any(|golden| golden.name == name);
        assert!(recorded(&difference.name), "{} is not recorded", difference.name);
        assert!(!difference.reason.is_empty(), "{} has no reason", difference.name);
        if let Expected::SameAs { other } = &difference.expected {
            assert!(recorded(other), "{other} is not recorded");
        }
    }
}
