//! A leader that is killed, gets a torn log or a full disk loses nothing that it acknowledged; killed edges restart
//! equal.

use littoral_cluster::{
    accounts,
    disk::SmallDisk,
    equality, load,
    load::{Size, Writers},
};
use littoral_provision::{
    Cluster, Node, Plan,
    cluster::{Options, eventually},
    missing::require,
};
use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a node is killed; `LITTORAL_KILLS` sets another number.
const KILLS: u64 = 20;

/// Writers that run throughout: of single rows, and of batches.
const WRITERS: [Size; 8] = [Size::Row, Size::Row, Size::Row, Size::Row, Size::Row, Size::Row, Size::Batch, Size::Batch];

/// Returns a number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_acknowledged_write_is_lost_when_leader_and_edges_are_killed() {
    let kills = number("LITTORAL_KILLS").unwrap_or(KILLS);
    let seed = number("LITTORAL_SEED").unwrap_or_else(|| std::process::id().into());
    eprintln!("LITTORAL_SEED={seed} LITTORAL_KILLS={kills} repeats these kills");
    let mut chance = fastrand::Rng::with_seed(seed);
    // Small segments and frequent snapshots, so that kills meet every kind of work on the disk.
    let config = "[leader]\nsegment_bytes = 262144\nsnapshot_log_bytes = 524288\nretention_bytes_max = 1048576\n";
    let options =
        Options { leader_config: Some(config.to_owned()), edge_configs: vec![None, None], ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    let writers = Writers::start_each(cluster.leader.ready.door, &WRITERS, &[]);
    for _ in 0..kills {
        // However slow the machine is, each kill happens while writers are at work.
        writers.wait_for_more("writes are acknowledged", Duration::from_secs(60), 10);
        // A kill may happen at any moment: in the middle of a batch, a snapshot, a recovery's first writes, or a
        // bootstrap.
        std::thread::sleep(Duration::from_millis(40 + chance.u64(..200)));
        let victim = chance.usize(..4);
        if let Some(edge) = cluster.edges.get_mut(victim) {
            edge.kill();
            std::thread::sleep(Duration::from_millis(chance.u64(..100)));
            edge.restart().unwrap();
            continue;
        }
        cluster.leader.kill();
        let known = writers.snapshot();
        cluster.leader.restart().unwrap();
        load::assert_kept(&mut cluster.leader.client(), &known);
    }
    std::thread::sleep(Duration::from_millis(200));
    let known = writers.stop();
    load::assert_kept(&mut cluster.leader.client(), &known);
    load::assert_not_invented(&mut cluster.leader.client(), &known);
    let acknowledged: u64 = known.iter().map(|account| account.count).sum();
    let failed: u64 = known.iter().map(|account| account.failed).sum();
    eprintln!("{kills} kills, {acknowledged} acknowledged writes all present, {failed} without an answer");
    assert!(failed > 0, "no write was interrupted by a kill");
    accounts::catch_up(&cluster);
    cluster.edges.iter().for_each(|edge| equality::assert_equal(&cluster.leader, edge));
}

#[test]
fn a_torn_tail_loses_only_itself() {
    let mut cluster = Cluster::start(0).unwrap();
    accounts::make_view(&cluster.leader);
    let mut client = cluster.leader.client();
    for version in 1..=200 {
        accounts::must_write(&mut client, &[accounts::row(version, version)]);
    }
    cluster.leader.kill();
    tear(&newest_segment(cluster.leader.data_dir()));
    cluster.leader.restart().unwrap();
    let mut client = cluster.leader.client();
    let ids: Vec<_> = (1..200).collect();
    let expected: Vec<_> = ids.iter().copied().map(Some).collect();
    assert_eq!(accounts::must_read(&mut client, &ids), expected, "every write before the torn one is present");
    // The log continues where it was, and again after a restart.
    accounts::must_write(&mut client, &[accounts::row(200, 1_000)]);
    cluster.leader.kill();
    cluster.leader.restart().unwrap();
    let mut client = cluster.leader.client();
    assert_eq!(accounts::must_read(&mut client, &[199, 200]), [Some(199), Some(1_000)]);
}

/// Overwrites the last bytes that were written, like a power failure during a write.
fn tear(segment: &Path) {
    let mut file = fs::File::options().read(true).write(true).open(segment).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    file.seek(SeekFrom::Start(end as u64 - 3)).unwrap();
    file.write_all(&[0; 4]).unwrap();
    file.sync_all().unwrap();
}

/// Returns the segment with the newest records; a prepared one contains only zeros.
fn newest_segment(data_dir: &Path) -> PathBuf {
    let mut segments = Vec::new();
    let mut dirs = vec![data_dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "seg") {
                segments.push(path);
            }
        }
    }
    segments.sort();
    let written = |path: &&PathBuf| fs::read(path).unwrap().iter().any(|byte| *byte != 0);
    segments.iter().rev().find(written).unwrap_or_else(|| panic!("no segment below {}", data_dir.display())).clone()
}

#[test]
fn a_full_disk_rejects_writes_clearly_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = SmallDisk::mount(&dir.path().join("disk"), 24);
    let Some(disk) = require("a_full_disk_rejects_writes_clearly_and_recovers", mounted) else { return };
    let config = "[leader]\nsegment_bytes = 1048576\n";
    let mut leader = Node::start(Plan::leader(&dir.path().join("disk/leader")).with_config(config)).unwrap();
    accounts::make_view(&leader);
    let mut client = leader.client();
    accounts::must_write(&mut client, &[accounts::row(1, 1)]);

    let ballast = disk.fill(256 << 10).unwrap();
    let mut acknowledged = 1;
    let refusal = loop {
        let rows: Vec<_> = (0..200).map(|id| accounts::row(id, acknowledged + 1)).collect();
        let answer = accounts::write(&mut client, &rows).unwrap();
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 5_000, "the disk does not fill up");
    };
    assert!(matches!(refusal.status, 503 | 507), "{}: {}", refusal.status, refusal.text());
    assert_eq!(refusal.json()["code"], "not_durable", "{}", refusal.text());
    assert_eq!(
        accounts::must_read(&mut client, &[1]),
        [Some(acknowledged)],
        "reads continue, and return the acknowledged write"
    );

    fs::remove_file(ballast).unwrap();
    eventually("writes are accepted again", Duration::from_secs(20), || {
        accounts::write(&mut client, &[accounts::row(1, acknowledged + 10)]).is_ok_and(|answer| answer.status == 200)
    });
    leader.kill();
    leader.restart().unwrap();
    let mut client = leader.client();
    assert_eq!(accounts::must_read(&mut client, &[1, 2]), [Some(acknowledged + 10), Some(acknowledged)]);
    // The node is dropped before its disk.
    drop(leader);
    drop(disk);
}

#[test]
fn a_leader_on_a_read_only_disk_names_the_cause_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = SmallDisk::mount(&dir.path().join("disk"), 24);
    let Some(disk) = require("a_leader_on_a_read_only_disk_names_the_cause_and_loses_nothing", mounted) else {
        return;
    };
    // The files that the harness writes next to the data directory must not be on the read-only disk.
    let data_dir = dir.path().join("leader");
    std::os::unix::fs::symlink(dir.path().join("disk"), &data_dir).unwrap();
    let mut leader = Node::start(Plan::leader(&data_dir).with_config("[leader]\nsegment_bytes = 1048576\n")).unwrap();
    accounts::make_view(&leader);
    accounts::must_write(&mut leader.client(), &[accounts::row(1, 7)]);
    leader.kill();
    disk.read_only(true).unwrap();
    let refusal = leader.restart().unwrap_err().to_string();
    assert!(refusal.contains("Read-only file system") || refusal.contains("read-only"), "{refusal}");
    disk.read_only(false).unwrap();
    leader.restart().unwrap();
    assert_eq!(accounts::must_read(&mut leader.client(), &[1]), [Some(7)]);
    accounts::must_write(&mut leader.client(), &[accounts::row(1, 8)]);
    drop(leader);
    drop(disk);
}
