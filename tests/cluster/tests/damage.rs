//! Flips, truncates and deletes every stored file. A node then refuses to start and names the file, or serves correct
//! data. It is never silently wrong.

use littoral_cluster::{
    accounts,
    damage::{self, Damage},
    equality,
};
use littoral_provision::{Cluster, Node, Plan, cluster::Options};
use std::path::Path;

/// The rows that are written, each several times.
const ROWS: i64 = 300;
const ROUNDS: i64 = 8;

/// Different positions: a header, the middle, and near the end.
const DAMAGES: [Damage; 5] = [Damage::Flip(3), Damage::Flip(120), Damage::Flip(501), Damage::Halve, Damage::Delete];

/// Returns a leader and an edge after an orderly shutdown, with logs and snapshots on their disks.
fn stopped() -> Cluster {
    let config = "[leader]\nsegment_bytes = 65536\nsnapshot_log_bytes = 131072\nretention_bytes_max = 262144\n";
    let options = Options { leader_config: Some(config.to_owned()), edge_configs: vec![None], ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    let mut client = cluster.leader.client();
    for round in 1..=ROUNDS {
        let rows: Vec<_> = (0..ROWS).map(|id| accounts::row(id, id + round)).collect();
        rows.chunks(50).for_each(|rows| drop(accounts::must_write(&mut client, rows)));
    }
    accounts::catch_up(&cluster);
    assert!(cluster.edges[0].stop().is_some_and(|status| status.success()));
    assert!(cluster.leader.stop().is_some_and(|status| status.success()));
    cluster
}

fn expected() -> Vec<Option<i64>> {
    (0..ROWS).map(|id| Some(id + ROUNDS)).collect()
}

/// Returns a plan for the same node with a damaged copy of its data.
fn damaged(node: &mut Node, into: &Path, file: &Path, damage: Damage) -> Plan {
    let plan = Plan { data_dir: into.join("data"), ..node.plan_mut().clone() };
    damage::copy(node.data_dir(), &plan.data_dir).unwrap();
    damage.inflict(&plan.data_dir.join(file)).unwrap();
    plan
}

#[test]
fn a_leader_with_a_damaged_file_names_it_and_does_not_start_or_serves_every_row() {
    let mut cluster = stopped();
    let (mut refused, mut served) = (0, 0);
    let ids: Vec<_> = (0..ROWS).collect();
    for file in damage::files(cluster.leader.data_dir()).unwrap() {
        for damage in DAMAGES {
            let dir = tempfile::tempdir().unwrap();
            match Node::start(damaged(&mut cluster.leader, dir.path(), &file, damage)) {
                Ok(leader) => {
                    let read = accounts::must_read(&mut leader.client(), &ids);
                    assert_eq!(read, expected(), "{} {damage:?}: served wrong rows", file.display());
                    served += 1;
                }
                Err(error) => {
                    let output = error.to_string();
                    let name = file.file_name().unwrap().to_string_lossy();
                    let names = output.contains(&*name) || output.contains("segment") || output.contains("snapshot");
                    assert!(names, "{} {damage:?}: the reason does not name the file: {output}", file.display());
                    refused += 1;
                }
            }
        }
    }
    eprintln!(
        "of {} starts with damage, {refused} failed with the file's name and {served} served every row",
        refused + served
    );
    assert!(refused > 0 && served > 0, "{refused} refused, {served} served");
}

#[test]
fn an_edge_with_a_damaged_file_serves_correct_rows_or_nothing_without_its_leader() {
    let mut cluster = stopped();
    let ids: Vec<_> = (0..ROWS).collect();
    let mut cold = 0;
    for file in damage::files(cluster.edges[0].data_dir()).unwrap() {
        for damage in DAMAGES {
            let dir = tempfile::tempdir().unwrap();
            let edge = Node::start(damaged(&mut cluster.edges[0], dir.path(), &file, damage)).unwrap();
            let answer = accounts::read(&mut edge.client(), &ids, &[]).unwrap();
            if answer.status == 200 {
                assert_eq!(accounts::balances(&answer), expected(), "{} {damage:?}: served wrong rows", file.display());
            } else {
                // Without a catalogue the edge does not have the view.
                assert!(matches!(answer.status, 400 | 404 | 503), "{} {damage:?}: {}", file.display(), answer.text());
                cold += 1;
            }
        }
    }
    assert!(cold > 0, "no damage was noticed");
    cluster.leader.restart().unwrap();
    cluster.edges[0].restart().unwrap();
    accounts::catch_up(&cluster);
    equality::assert_equal(&cluster.leader, &cluster.edges[0]);
}
