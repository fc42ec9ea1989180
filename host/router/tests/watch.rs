//! Tests that the topology's file is watched: a valid one takes effect, an invalid one is reported.

mod fixture;

use fixture::{Edge, Fixture, topology};
use littoral_router::watch;
use std::time::Duration;

#[tokio::test]
async fn a_valid_file_takes_effect_and_an_invalid_one_is_reported_and_rejected() {
    let edges = [Edge::start("west").await, Edge::start("east").await];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), topology(&edges)).unwrap();
    let fixture = Fixture::start(&edges, |config| {
        config.topology = file.path().to_owned();
        config.watch_ms = 20;
    })
    .await;
    tokio::spawn(watch::watch(fixture.router.clone()));

    let text = topology(&edges);
    std::fs::write(file.path(), text.replace("latitude = 0.0", "latitude = north")).unwrap();
    let problem = loop {
        if let Some(problem) = fixture.router.topology_problem() {
            break problem;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(problem.contains("line 6") && problem.contains(&file.path().display().to_string()), "{problem}");
    assert_eq!(fixture.read("1", &[]).await.header("littoral-routed-to"), "west/west-1", "the last valid one stays");
    let status = fixture.send("GET", "/router/v1/status", &[], "").await;
    assert!(status.text.contains("line 6"), "{status:?}");

    // Renamed over it, as programs do that never leave half a file.
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), text.replacen("latitude", "role = \"draining\"\nlatitude", 1)).unwrap();
    std::fs::rename(other.path(), file.path()).unwrap();
    fixture.eventually(|view| view.regions[0].role == littoral_router::topology::Role::Draining).await;
    assert_eq!(fixture.read("1", &[]).await.header("littoral-routed-to"), "east/east-1");
    while fixture.router.topology_problem().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
