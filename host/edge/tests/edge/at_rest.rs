//! Stored files are encrypted, and the edge stays warm whatever happens to keys.

use crate::{leader::*, support::*};
use littoral_at_rest::{Encryption, FileKind, KeyId, KeyRing, Standing};
use littoral_edge::{Config, StartError, rewrite_snapshot, stored_files};
use littoral_model::{freshness::*, ports::*, position::Lsn};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::SeqCst},
};
use tokio_util::sync::CancellationToken;

/// The value of a row: its bytes are nowhere else.
const PLANTED: i64 = i64::from_le_bytes(*b"PLANTED!");
/// The bytes of a module's component.
const COMPONENT: &[u8] = b"a component that was planted";

/// An entry of a key ring: a new key.
fn entry(id: &str) -> String {
    KeyRing::new_entry(&KeyId::parse(id).unwrap()).unwrap().to_string()
}

fn ring(entries: &[&str]) -> KeyRing {
    KeyRing::parse(&entries.join("\n")).unwrap()
}

fn with(entries: &[&str], config: Config) -> Config {
    Config { encryption: Encryption::with(ring(entries)), ..config }
}

/// Returns under which keys the files of a directory are, by file name.
fn standings(directory: &Path) -> BTreeMap<String, String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files = stored_files(directory).unwrap().into_iter();
    files.map(|(path, (_, standing))| (name(path), standing.label().to_owned())).collect()
}

fn all_files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

/// Returns the files that contain the bytes.
fn containing(directory: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let contains = |path: &PathBuf| fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    all_files(directory).into_iter().filter(contains).collect()
}

/// Returns a leader with rows 1 to 3 and a module, and an address at which it is served.
async fn leader() -> (Arc<Leader>, Served) {
    let leader = Leader::new(7);
    (1..=3).for_each(|key| drop(leader.put(1, key, PLANTED)));
    leader.release("m", "1", COMPONENT);
    let served = serve(&leader).await;
    (leader, served)
}

/// Starts an edge, waits until it has the rows and the module, and stops it and the leader. Returns the address.
async fn filled(config: impl Fn(&str) -> Config) -> String {
    let (leader, served) = leader().await;
    let edge = start(config(&served.address)).await;
    assert_eq!(edge.values(1, &[1, 2, 3], &leader.token()).await, [Some(PLANTED); 3]);
    edge.eventually("the module is ready", |node| node.status().modules.iter().any(|module| module.ready)).await;
    edge.stop().await;
    let address = served.address.clone();
    served.stop().await;
    address
}

/// Checks that an edge without a leader answers from its local snapshot and has its module.
async fn is_warm(edge: &TestEdge) {
    let answer = edge.read(1, &[1, 2, 3, 4], ReadDemand::default()).await;
    assert_eq!(values(&answer), [Some(PLANTED), Some(PLANTED), Some(PLANTED), None]);
    edge.eventually("the module is ready", |node| node.status().modules.iter().any(|module| module.ready)).await;
}

fn is_cold(edge: &TestEdge) -> bool {
    edge.node.status().degraded == Some(Degraded::Bootstrapping)
}

#[tokio::test]
async fn stored_files_contain_nothing_readable_and_a_restart_is_warm() {
    let (plain, encrypted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = entry("a");
    filled(|address| stored(address, plain.path())).await;
    let address = filled(|address| with(&[&key], stored(address, encrypted.path()))).await;
    for planted in [&PLANTED.to_le_bytes()[..], COMPONENT] {
        assert!(!containing(plain.path(), planted).is_empty(), "this test would not find it");
        assert_eq!(containing(encrypted.path(), planted), [""; 0].map(PathBuf::from));
    }
    let found = standings(encrypted.path());
    assert!(found.len() == 2 && found.values().all(|label| label == "a"), "{found:?}");
    let edge = start(with(&[&key], stored(&address, encrypted.path()))).await;
    is_warm(&edge).await;
}

#[tokio::test]
async fn a_rotation_encrypts_every_file_again_and_the_edge_stays_warm() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (entry("old"), entry("new"));
    let address = filled(|address| with(&[&old], stored(address, directory.path()))).await;
    // A snapshot of another log, which only this file has.
    fs::copy(directory.path().join("replica.snapshot"), directory.path().join("replica.previous")).unwrap();
    let config = with(&[&old], stored(&address, directory.path()));
    let edge = start(config.clone()).await;
    is_warm(&edge).await;
    assert!(standings(directory.path()).values().all(|label| label == "old"));
    config.encryption.replace(ring(&[&new, &old]));
    edge.eventually("every file is under the new key", |_| {
        standings(directory.path()).values().all(|label| label == "new")
    })
    .await;
    is_warm(&edge).await;
    edge.stop().await;
    assert_eq!(standings(directory.path()).len(), 3, "nothing is lost, and nothing is left over");
    // The old key can be removed.
    let edge = start(with(&[&new], stored(&address, directory.path()))).await;
    is_warm(&edge).await;
    edge.stop().await;
    fs::rename(directory.path().join("replica.previous"), directory.path().join("replica.snapshot")).unwrap();
    is_warm(&start(with(&[&new], stored(&address, directory.path()))).await).await;
}

#[tokio::test]
async fn plain_files_are_read_once_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let address = filled(|address| stored(address, directory.path())).await;
    fs::copy(directory.path().join("replica.snapshot"), directory.path().join("replica.previous")).unwrap();
    // Left by a process that was killed.
    fs::write(directory.path().join("replica.unfinished"), PLANTED.to_le_bytes()).unwrap();
    fs::write(directory.path().join("modules/x.unfinished"), COMPONENT).unwrap();
    let edge = start(with(&[&entry("a")], stored(&address, directory.path()))).await;
    is_warm(&edge).await;
    edge.eventually("every file is encrypted", |_| standings(directory.path()).values().all(|label| label == "a"))
        .await;
    assert_eq!(standings(directory.path()).len(), 3);
    for planted in [&PLANTED.to_le_bytes()[..], COMPONENT] {
        assert_eq!(containing(directory.path(), planted), [""; 0].map(PathBuf::from));
    }
}

#[tokio::test]
async fn a_snapshot_whose_key_is_missing_is_kept_and_can_be_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("replica.snapshot");
    let (old, new, same_name) = (entry("old"), entry("new"), entry("old"));
    let address = filled(|address| with(&[&old], stored(address, directory.path()))).await;
    let first = fs::read(&snapshot).unwrap();
    // Without a leader the edge waits and replaces nothing.
    for wrong in [&new, &same_name] {
        let edge = start(with(&[wrong], stored(&address, directory.path()))).await;
        assert!(is_cold(&edge));
        edge.stop().await;
        assert!(fs::read(&snapshot).unwrap() == first);
    }
    let edge = start(with(&[&new, &old], stored(&address, directory.path()))).await;
    is_warm(&edge).await;
    edge.stop().await;
    let rotated = fs::read(&snapshot).unwrap();
    // With a leader it serves the leader's rows, and keeps the file that it cannot read.
    let leader = Leader::new(7);
    let token = leader.put(1, 1, 11);
    let served = serve_at(&leader, &address).await;
    let edge = start(with(&[&old], stored(&address, directory.path()))).await;
    assert_eq!(edge.values(1, &[1, 2], &token).await, [Some(11), None]);
    edge.stop().await;
    served.stop().await;
    let kept = directory.path().join("replica.new.unreadable");
    assert!(fs::read(&kept).unwrap() == rotated);
    let found = standings(directory.path());
    assert_eq!((&*found["replica.snapshot"], &*found["replica.new.unreadable"]), ("old", "new"));
    // As the guide says: the key is added, and the file renamed.
    fs::rename(&kept, &snapshot).unwrap();
    is_warm(&start(with(&[&old, &new], stored(&address, directory.path()))).await).await;
}

#[tokio::test]
async fn an_edge_without_a_key_ring_rejects_to_replace_an_encrypted_snapshot_by_a_plain_one() {
    let directory = tempfile::tempdir().unwrap();
    let address = filled(|address| with(&[&entry("a")], stored(address, directory.path()))).await;
    let before = fs::read(directory.path().join("replica.snapshot")).unwrap();
    let config = stored(&address, directory.path());
    let error = littoral_edge::start(config.clone(), Arc::new(Runtime::default()), CancellationToken::new()).await;
    let error = error.map(drop).unwrap_err();
    assert!(matches!(&error, StartError::Encrypted { key, .. } if key == "a"), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("replica.snapshot") && text.contains("[at_rest]") && text.contains("remove this file"),
        "{text}"
    );
    assert!(fs::read(directory.path().join("replica.snapshot")).unwrap() == before);
    fs::remove_file(directory.path().join("replica.snapshot")).unwrap();
    assert!(is_cold(&start(config).await), "as the error says");
}

#[tokio::test]
async fn every_change_of_an_encrypted_snapshot_is_detected_and_the_edge_heals() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("replica.snapshot");
    let key = entry("a");
    let config = with(&[&key], stored("127.0.0.1:1", directory.path()));
    let (leader, served) = leader().await;
    let encrypted =
        |address: &str| Config { encryption: config.encryption.clone(), ..stored(address, directory.path()) };
    let edge = start(encrypted(&served.address)).await;
    edge.values(1, &[1], &leader.token()).await;
    edge.stop().await;
    let whole = fs::read(&snapshot).unwrap();
    let (changed, to) = (directory.path().join("changed"), directory.path().join("written"));
    let read = |bytes: &[u8]| {
        fs::write(&changed, bytes).unwrap();
        rewrite_snapshot(&config, &changed, &to)
    };
    assert_eq!(read(&whole), Ok(Some(3)));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = read(&bytes).expect_err(&format!("byte {at} of {}", whole.len()));
        assert!(error.contains("changed"), "the file is named: {error}");
    }
    for len in 0..whole.len() {
        read(&whole[..len]).expect_err(&format!("{len} of {} bytes", whole.len()));
    }
    [&changed, &to].iter().for_each(|file| fs::remove_file(file).unwrap());
    // The edge takes the leader's snapshot and writes a good one.
    let (middle, taken) = (whole.len() / 2, leader.snapshots.load(SeqCst));
    let mut bytes = whole;
    bytes[middle] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    for snapshots in [taken + 1, taken + 1] {
        let edge = start(encrypted(&served.address)).await;
        assert_eq!(edge.values(1, &[1], &leader.token()).await, [Some(PLANTED)]);
        edge.stop().await;
        assert_eq!(leader.snapshots.load(SeqCst), snapshots);
    }
    assert!(!directory.path().join("replica.a.unreadable").exists(), "a damaged file is not kept");
}

#[tokio::test]
async fn detached_tails_are_encrypted_renewed_and_bound_to_their_names() {
    const TAIL: &str = "tail-0000000000000007-4.rows";
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (entry("old"), entry("new"));
    let config = |address: &str| with(&[&old], stored(address, directory.path()));
    let lost = Leader::new(7);
    lost.put(1, 1, 10);
    let served = serve(&lost).await;
    let token = lost.put(1, 2, PLANTED);
    let config = config(&served.address);
    let edge = start(config.clone()).await;
    edge.values(1, &[2], &token).await;
    let address = served.address.clone();
    served.stop().await;
    let leader = Leader::new(7);
    leader.put(1, 1, 10);
    leader.clock.store(500_000, SeqCst);
    leader.begin(9);
    let served = serve_at(&leader, &address).await;
    assert_eq!(edge.values(1, &[1, 2], &leader.token()).await, [Some(10), None]);
    assert_eq!(containing(directory.path(), &PLANTED.to_le_bytes()), [""; 0].map(PathBuf::from));
    let tails = edge.node.tails().unwrap();
    assert_eq!(tails.list().unwrap().len(), 1);
    config.encryption.replace(ring(&[&new, &old]));
    edge.eventually("the tail is under the new key", |_| standings(directory.path())[TAIL] == "new").await;
    assert_eq!(tails.show(TAIL, Lsn::NONE, 10).unwrap().len(), 1);
    // Under another tail's name it is rejected, and the others are still listed.
    let other = TAIL.replace("-4.", "-5.");
    fs::copy(directory.path().join(TAIL), directory.path().join(&other)).unwrap();
    assert_eq!(tails.list().unwrap().into_iter().map(|tail| tail.name).collect::<Vec<_>>(), [TAIL]);
    assert!(tails.show(&other, Lsn::NONE, 10).is_err());
    assert_eq!(tails.merge(TAIL.to_owned()).await.unwrap().rows, 1);
    assert_eq!(edge.values(1, &[2], &leader.token()).await, [Some(PLANTED)]);
    assert!(!directory.path().join(TAIL).exists());
    drop(served);
}

#[tokio::test]
async fn a_component_under_another_name_or_key_is_downloaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let key = entry("a");
    let address = filled(|address| with(&[&key], stored(address, directory.path()))).await;
    let files = stored_files(directory.path()).unwrap();
    let (component, _) = files.iter().find(|(_, (kind, _))| *kind == FileKind::Component).unwrap();
    let mut bytes = fs::read(component).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(component, &bytes).unwrap();
    let edge = start(with(&[&key], stored(&address, directory.path()))).await;
    let module = |node: &littoral_edge::Handle| node.status().modules.iter().any(|module| module.ready);
    assert_eq!(values(&edge.read(1, &[1], ReadDemand::default()).await), [Some(PLANTED)]);
    let leader = Leader::new(7);
    (1..=3).for_each(|key| drop(leader.put(1, key, PLANTED)));
    leader.release("m", "1", COMPONENT);
    let _served = serve_at(&leader, &address).await;
    edge.eventually("the module is ready", module).await;
    assert!(fs::read(component).unwrap() != bytes, "the damaged copy was not used");
    assert!(matches!(Standing::of(component).unwrap().unwrap(), Standing::Encrypted { .. }));
}
