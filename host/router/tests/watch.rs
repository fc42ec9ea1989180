//! The topology's file is looked at again and again: a valid one takes effect, an invalid one is reported.

mod stand;

use littoral_router::watch;
use stand::{Edge, Stand, topology};
use std::time::Duration;

#[tokio::test]
async fn a_valid_file_takes_effect_and_an_invalid_one_is_told_and_not_taken() {
    let edges = [Edge::start("west").await, Edge::start("east").await];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), topology(&edges)).unwrap();
    let stand = Stand::start(&edges, |config| {
        config.topology = file.path().to_owned();
        config.watch_ms = 20;
    })
    .await;
    tokio::spawn(watch::watch(stand.router.clone()));

    let text = topology(&edges);
    std::fs::write(file.path(), text.replace("latitude = 0.0", "latitude = north")).unwrap();
    let problem = loop {
        if let Some(problem) = stand.router.topology_problem() {
            break problem;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(problem.contains("line 6") && problem.contains(&file.path().display().to_string()), "{problem}");
    assert_eq!(stand.read("1", &[]).await.header("littoral-routed-to"), "west/west-1", "the last valid one stays");
    let status = stand.send("GET", "/router/v1/status", &[], "").await;
    assert!(status.text.contains("line 6"), "{status:?}");

    // Renamed over it, as those do who never leave half a file.
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), text.replacen("latitude", "role = \"draining\"\nlatitude", 1)).unwrap();
    std::fs::rename(other.path(), file.path()).unwrap();
    stand.eventually(|view| view.regions[0].role == littoral_router::topology::Role::Draining).await;
    assert_eq!(stand.read("1", &[]).await.header("littoral-routed-to"), "east/east-1");
    while stand.router.topology_problem().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
