//! Rows that the leader's log has lost in a rollback: saved to a file, shown, and merged.

use crate::{leader::*, support::*};
use littoral_edge::Config;
use littoral_model::{
    catalogue::CatalogueChange,
    cluster::Affiliation,
    hlc::Hlc,
    ports::*,
    position::{Incarnation, Lsn},
    project::Project,
    tail::{TailMerged, TailRecord},
    write::WriteError,
};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
};

/// Creates a leader whose log has three records: two views, and row 1 of the first.
fn copy() -> Arc<Leader> {
    let leader = Leader::new(7);
    leader.put(1, 1, 10);
    leader
}

/// Creates the same log, continued in another life from that copy, with a clock that is ahead.
fn rolled_back() -> Arc<Leader> {
    let leader = copy();
    leader.clock.store(500_000, SeqCst);
    leader.begin(9);
    leader
}

/// Starts an edge that holds what `copy` has, plus rows 2 and 3, but not row 1, which was deleted.
/// Returns it and the address, which is no longer served.
async fn ahead(directory: &Path) -> (TestEdge, String) {
    let leader = copy();
    let served = serve(&leader).await;
    leader.put(1, 2, 20);
    leader.put(1, 3, 30);
    let token = leader.delete(1, 1);
    let edge = start(stored(&served.address, directory)).await;
    assert_eq!(edge.values(1, &[1, 2, 3], &token).await, [None, Some(20), Some(30)]);
    let address = served.address.clone();
    served.stop().await;
    (edge, address)
}

/// Returns the names of detached tails in a directory.
fn files(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("tail-")).collect();
    names.sort();
    names
}

fn tails(edge: &TestEdge) -> Arc<dyn Tails> {
    edge.node.tails().expect("it has a data directory")
}

fn keys(shown: &[TailRecord]) -> Vec<(u64, u64, bool)> {
    let key = |record: &TailRecord| u64::from_le_bytes(record.key[..].try_into().unwrap());
    shown.iter().map(|record| (record.lsn.0, key(record), record.body.is_none())).collect()
}

async fn merge(edge: &TestEdge, name: &str) -> Result<TailMerged, WriteError> {
    tails(edge).merge(name.to_owned()).await
}

const TAIL: &str = "tail-0000000000000007-4.rows";

#[tokio::test]
async fn rows_lost_by_the_leader_are_saved_and_can_be_merged() {
    let data = tempfile::tempdir().unwrap();
    let (edge, address) = ahead(data.path()).await;
    let leader = rolled_back();
    // Row 2 was written again, with a later event.
    let token = leader.put_at(1, 2, 200, 2);
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[1, 2, 3], &token).await, [Some(10), Some(200), None], "it serves what the leader has");

    let listed = tails(&edge).list().unwrap();
    let [tail] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((tail.name.as_str(), tail.incarnation), (TAIL, Incarnation(7)));
    assert_eq!((tail.first, tail.last), (Lsn(4), Lsn(6)));
    let shown = tails(&edge).show(TAIL, Lsn::NONE, 10).unwrap();
    assert_eq!(keys(&shown), [(4, 2, false), (5, 3, false), (6, 1, true)]);
    assert_eq!(keys(&tails(&edge).show(TAIL, Lsn(5), 1).unwrap()), [(5, 3, false)]);
    let version = shown[1].version;
    assert_eq!((version.hlc, version.region), (Hlc::new(1_005, 0), region()), "under their old versions");
    assert_eq!(shown[1].view.as_ref().unwrap().name, "a");

    let merged = merge(&edge, TAIL).await.unwrap();
    assert_eq!(merged, TailMerged { rows: 3, last: merged.last, ..TailMerged::default() });
    let token = leader.token();
    assert_eq!(edge.values(1, &[1, 2, 3], &token).await, [None, Some(200), Some(30)], "newer rows stay");
    let read = edge.read(1, &[3], at_least(&token)).await;
    assert_eq!(read.rows[0][0].as_ref().unwrap().header().version, version);
    assert_eq!(files(data.path()), [""; 0], "all of it is durable at the leader");
    let gone = merge(&edge, TAIL).await.unwrap_err().to_string();
    assert!(gone.contains(TAIL), "{gone}");
    drop(served);
}

#[tokio::test]
async fn rows_newer_than_the_position_are_saved_too() {
    let data = tempfile::tempdir().unwrap();
    let leader = copy();
    leader.lags.store(true, SeqCst);
    leader.put(1, 2, 20);
    leader.put(1, 3, 30);
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, data.path())).await;
    // The snapshot is as of record 3, and has rows of records 4 and 5.
    edge.eventually("its rows are there", |node| node.status().views.first().is_some_and(|view| view.rows == 3)).await;
    assert_eq!(edge.node.status().position.lsn, Lsn(3));
    let address = served.address.clone();
    served.stop().await;

    let leader = rolled_back();
    (0..5).for_each(|_| drop(leader.put(1, 4, 40)));
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[2, 3, 4], &leader.token()).await, [None, None, Some(40)]);
    let shown = tails(&edge).show(TAIL, Lsn::NONE, 10).unwrap();
    assert_eq!(keys(&shown), [(4, 2, false), (5, 3, false)], "the position belongs to the log, and they do not");
    drop(served);
}

#[tokio::test]
async fn repeated_snapshot_attempts_save_every_held_row_once() {
    let data = tempfile::tempdir().unwrap();
    let snapshot = data.path().join("replica.snapshot");
    let elsewhere = tempfile::tempdir().unwrap();
    let (edge, address) = ahead(data.path()).await;
    edge.stop().await;
    let newest = std::fs::read(&snapshot).unwrap();
    // An older local snapshot of the same life, in which record 4 is the only lost one.
    let leader = copy();
    let token = leader.put(1, 2, 20);
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, elsewhere.path())).await;
    edge.values(1, &[2], &token).await;
    edge.stop().await;
    served.stop().await;
    let older = std::fs::read(elsewhere.path().join("replica.snapshot")).unwrap();

    let leader = rolled_back();
    leader.no_snapshots.store(true, SeqCst);
    let served = serve_at(&leader, &address).await;
    let second = TAIL.replace(".rows", "-2.rows");
    let mut attempts = 0;
    for (local, kept) in [(&older, 1), (&newest, 2), (&older, 2), (&newest, 2)] {
        std::fs::write(&snapshot, local).unwrap();
        let edge = start(stored(&served.address, data.path())).await;
        attempts = leader.snapshots.load(SeqCst).max(attempts) + 3;
        edge.eventually("it retries repeatedly", |_| leader.snapshots.load(SeqCst) >= attempts).await;
        edge.stop().await;
        assert_eq!(files(data.path()), [second.as_str(), TAIL][2 - kept..]);
    }
    leader.no_snapshots.store(false, SeqCst);
    let edge = start(stored(&served.address, data.path())).await;
    assert_eq!(edge.values(1, &[1, 2, 3], &leader.token()).await, [Some(10), None, None]);
    let shown = |name: &str| keys(&tails(&edge).show(name, Lsn::NONE, 10).unwrap());
    assert_eq!((shown(TAIL), shown(&second)), (vec![(4, 2, false)], vec![(5, 3, false), (6, 1, true)]));
    assert_eq!(tails(&edge).list().unwrap().len(), 2);
    merge(&edge, TAIL).await.unwrap();
    merge(&edge, &second).await.unwrap();
    assert_eq!(edge.values(1, &[1, 2, 3], &leader.token()).await, [None, Some(20), Some(30)]);
}

#[tokio::test]
async fn an_edge_continues_to_follow_when_rows_cannot_be_saved() {
    let data = tempfile::tempdir().unwrap();
    let (edge, address) = ahead(data.path()).await;
    // The file cannot be created, as on a full disk.
    std::fs::create_dir(data.path().join(TAIL.replace(".rows", ".unfinished"))).unwrap();
    let leader = rolled_back();
    let token = leader.put(1, 4, 40);
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[1, 3, 4], &token).await, [Some(10), None, Some(40)]);
    assert_eq!(tails(&edge).list().unwrap(), []);
    served.stop().await;

    // Without a data directory nothing can be saved.
    let leader = copy();
    let token = leader.put(1, 2, 20);
    let served = serve(&leader).await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[2], &token).await, [Some(20)]);
    let address = served.address.clone();
    served.stop().await;
    let leader = rolled_back();
    let _served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[1, 2], &leader.token()).await, [Some(10), None]);
    assert!(edge.node.tails().is_none());
}

#[tokio::test]
async fn a_tail_is_merged_only_into_its_own_log_and_views() {
    let data = tempfile::tempdir().unwrap();
    let (edge, address) = ahead(data.path()).await;
    let unreachable = merge(&edge, TAIL).await.unwrap_err();
    assert!(matches!(unreachable, WriteError::Invalid(_)), "nothing is kept yet: {unreachable}");
    let leader = rolled_back();
    let served = serve_at(&leader, &address).await;
    edge.values(1, &[1], &leader.token()).await;

    // The view is dropped and recreated with its name.
    leader.take(CatalogueChange::DropView("a".into()));
    leader.take(CatalogueChange::PutView(view("a")));
    edge.values(3, &[1], &leader.token()).await;
    let refused = merge(&edge, TAIL).await.unwrap_err().to_string();
    assert!(refused.contains("view 'a'") && refused.contains("ID was 1, and is now 3"), "{refused}");
    assert_eq!(leader.pieces.lock().len(), 0, "nothing of it was sent");

    // There is no leader.
    served.stop().await;
    edge.eventually("no leader is connected", |node| !node.status().writable).await;
    let refused = merge(&edge, TAIL).await.unwrap_err();
    assert!(matches!(refused, WriteError::LeaderUnavailable(_)), "{refused}");

    // Another log, which replaces this one.
    let other = Leader::new(8);
    other.put(1, 1, 1);
    *other.belongs.lock() =
        Some(Affiliation { succeeds: Some(Incarnation(7)), ..Affiliation::founder(Incarnation(7)) });
    let _served = serve_at(&other, &address).await;
    edge.values(1, &[1], &other.token()).await;
    let refused = merge(&edge, TAIL).await.unwrap_err().to_string();
    assert!(refused.contains("log 0000000000000007") && refused.contains("0000000000000008"), "{refused}");
    assert_eq!(files(data.path()), [TAIL], "it is still there");
    tails(&edge).drop_tail(TAIL).unwrap();
    assert_eq!(tails(&edge).list().unwrap(), []);
}

#[tokio::test]
async fn rows_of_a_lost_view_wait_until_the_view_is_recreated() {
    let data = tempfile::tempdir().unwrap();
    let leader = copy();
    leader.put(1, 2, 20);
    leader.take(CatalogueChange::PutView(view("c")));
    let token = leader.put(3, 5, 50);
    let served = serve(&leader).await;
    let edge = start(stored(&served.address, data.path())).await;
    assert_eq!(edge.values(3, &[5], &token).await, [Some(50)]);
    let address = served.address.clone();
    served.stop().await;

    let leader = rolled_back();
    let _served = serve_at(&leader, &address).await;
    edge.values(1, &[1], &leader.token()).await;
    let merged = merge(&edge, TAIL).await.unwrap();
    assert_eq!((merged.rows, merged.without_view), (1, 1));
    assert_eq!(files(data.path()), [TAIL], "it is kept for the view's row");
    leader.take(CatalogueChange::PutView(view("c")));
    edge.values(3, &[5], &leader.token()).await;
    let merged = merge(&edge, TAIL).await.unwrap();
    assert_eq!((merged.rows, merged.without_view), (2, 0));
    assert_eq!(edge.values(1, &[2], &leader.token()).await, [Some(20)]);
    assert_eq!(edge.values(3, &[5], &leader.token()).await, [Some(50)]);
    assert_eq!(leader.pieces.lock().len(), 2, "the first piece was not merged twice");
    assert_eq!(files(data.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_forwards_a_tail_to_its_leader() {
    let data = tempfile::tempdir().unwrap();
    let (edge, _) = ahead(data.path()).await;
    edge.stop().await;
    let leader = rolled_back();
    let root = serve(&leader).await;
    let relay = start(Config { views: Default::default(), ..config(&root.address) }).await;
    relay.bootstrapped().await;
    let middle = serve(&Arc::new(relay.node.clone())).await;
    let far = start(stored(&middle.address, data.path())).await;
    assert_eq!(far.values(1, &[1, 3], &leader.token()).await, [Some(10), None]);
    assert_eq!(merge(&far, TAIL).await.unwrap().rows, 3);
    assert_eq!(far.values(1, &[1, 3], &leader.token()).await, [None, Some(30)]);
    assert_eq!(relay.values(1, &[1, 3], &leader.token()).await, [None, Some(30)]);
}

#[tokio::test]
async fn a_damaged_tail_is_rejected_by_name_and_hides_no_other() {
    let data = tempfile::tempdir().unwrap();
    let (edge, address) = ahead(data.path()).await;
    let leader = rolled_back();
    let _served = serve_at(&leader, &address).await;
    edge.values(1, &[1], &leader.token()).await;
    let whole = std::fs::read(data.path().join(TAIL)).unwrap();
    let other = "tail-0000000000000007-9.rows";
    for (damaged, listed) in [(&whole[..whole.len() - 1], 2), (&whole[..9], 1), (&b"not a tail at all"[..], 1)] {
        std::fs::write(data.path().join(other), damaged).unwrap();
        assert_eq!(tails(&edge).list().unwrap().len(), listed);
        for refused in [
            merge(&edge, other).await.map(drop).unwrap_err().to_string(),
            tails(&edge).show(other, Lsn::NONE, 10).map(drop).unwrap_err().to_string(),
        ] {
            assert!(refused.contains(other), "{refused}");
        }
    }
    assert_eq!(merge(&edge, TAIL).await.unwrap().rows, 3);
}

#[tokio::test]
async fn an_edge_that_has_moved_shows_no_lost_row_that_may_not_leave_its_region() {
    let data = tempfile::tempdir().unwrap();
    let with_rule = || {
        let leader = Leader::new(7);
        let project = Project { name: "fraud".into(), regions: vec![region()], ..Project::default() };
        leader.take(CatalogueChange::PutProject(Box::new(project)));
        leader.take(CatalogueChange::PutView(view("fraud/v")));
        leader
    };
    let in_region =
        |region: &str, address: &str| Config { region: Some(region.parse().unwrap()), ..stored(address, data.path()) };
    let leader = with_rule();
    let served = serve(&leader).await;
    leader.put(1, 1, 10);
    let token = leader.put(3, 2, 20);
    let edge = start(in_region("east", &served.address)).await;
    assert_eq!(edge.values(3, &[2], &token).await, [Some(20)]);
    let address = served.address.clone();
    served.stop().await;
    let leader = with_rule();
    leader.begin(9);
    let token = leader.put(1, 5, 50);
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[5], &token).await, [Some(50)]);
    let [tail] = &tails(&edge).list().unwrap()[..] else { panic!("one tail is kept") };
    assert_eq!(tails(&edge).show(&tail.name, Lsn::NONE, 10).unwrap().len(), 2);
    edge.stop().await;

    let edge = start(in_region("west", &address)).await;
    let rejected = tails(&edge).show(&tail.name, Lsn::NONE, 10).unwrap_err();
    assert!(matches!(&rejected, WriteError::OutsideRegions(reason) if reason.contains("rows of view 'fraud/v'")));
    assert_eq!(tails(&edge).show(&tail.name, Lsn::NONE, 1).unwrap().len(), 1, "rows without a rule are shown");
    drop(served);
}
