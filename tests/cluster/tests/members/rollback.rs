//! Members whose data directories are restored from older copies, as followers, as leaders and as a majority.

use super::{Region, WAIT_MAX};
use littoral_cluster::{accounts, copies};
use littoral_provision::cluster::eventually;
use serde_json::json;
use std::path::PathBuf;

/// Writes rows that a majority has when they are acknowledged.
fn write(region: &Region, at: usize, ids: std::ops::Range<i64>) {
    let headers = [("littoral-concern", "quorum"), ("littoral-wait-ms", "30000")];
    for id in ids {
        let rows = [accounts::row(id, 1)];
        let _taken = accounts::write_with(&mut region.members[at].client(), &rows, &headers).unwrap().ok();
    }
}

/// Waits until every member and the edge has these rows.
fn all_have(region: &Region, ids: std::ops::Range<i64>) {
    region.settle();
    let ids: Vec<_> = ids.collect();
    for node in region.members.iter().chain([&region.edge]) {
        assert_eq!(accounts::must_read(&mut node.client(), &ids), vec![Some(1); ids.len()]);
    }
}

/// Copies the directory of each of these members.
fn copies(region: &mut Region, of: std::ops::Range<usize>) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for at in of {
        let copy = region.dir.path().join(format!("copy-{at}"));
        copies::take(&mut region.members[at], &copy);
        region.settle();
        all.push(copy);
    }
    all
}

#[test]
fn a_rolled_back_member_replicates_the_leaders_log_whether_it_followed_or_led() {
    let mut region = Region::start();
    write(&region, region.leader(), 0..5);
    let copies = copies(&mut region, 0..3);
    let mut rows = 0..5;
    for led in [false, true] {
        let leader = region.leader();
        write(&region, leader, rows.end..rows.end + 10);
        let at = if led { leader } else { (leader + 1) % 3 };
        copies::roll_back(&mut region.members[at], &copies[at]);
        write(&region, region.leader(), rows.end + 10..rows.end + 15);
        rows.end += 15;
        all_have(&region, rows.clone());
    }
}

#[test]
fn a_rolled_back_majority_does_not_lead_without_the_member_with_the_acknowledged_records() {
    let mut region = Region::start();
    write(&region, region.leader(), 0..5);
    region.settle();
    let copies = copies(&mut region, 0..2);
    write(&region, region.leader(), 5..15);
    region.settle();
    for member in &mut region.members {
        member.kill();
    }
    for (at, copy) in copies.iter().enumerate() {
        copies::replace(&region.members[at], copy);
        region.members[at].restart().unwrap();
    }
    let reports = |at: usize| std::fs::read_to_string(region.dir.path().join(["a.log", "b.log"][at])).unwrap();
    eventually("one reports what is missing", WAIT_MAX, || {
        (0..2).any(|at| reports(at).contains("as committed, and the members that replied have the log only up to"))
    });
    for at in 0..2 {
        assert_ne!(region.members[at].status()["role"], json!("leader"));
        let refused = accounts::write(&mut region.members[at].client(), &[accounts::row(50, 1)]).unwrap();
        assert_eq!(refused.status, 503, "{}", refused.text());
    }
    region.members[2].restart().unwrap();
    write(&region, region.leader(), 15..16);
    all_have(&region, 0..16);
}
