//! Regions that replicate to each other over the real feed: a row that is written in one region arrives in every other,
//! once and identical, whatever fails in between.

#[path = "support/regions.rs"]
mod regions_support;
mod support;

use littoral_feed::source::{FeedLog as _, RegionPeer as _};
use littoral_leader::Config;
use littoral_log::storage::Memory;
use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    freshness::{Consistency, Degraded, OnUnmet, ReadDemand, Source},
    merge::MergePolicy,
    parts,
    ports::{FeatureReader as _, FeatureWriter as _, Node as _},
    read::{ReadAnswer, ReadError, ReadRequest},
    view::{FeatureView, ViewId},
    write::{WriteConcern, WriteError},
};
use regions_support::{NAMES, Regions, demanding, region, regions_wanted, until};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use support::{NOW_MS, Running, read, try_start, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_in_one_region_is_visible_in_every_region_with_its_token() {
    let regions = Regions::start(3).await;
    let view = regions.view("a").await;
    for round in 0..30_i64 {
        for (at, key) in [(0, round), (1, 100 + round), (2, 200 + round), (round as usize % 3, 7_000)] {
            let receipt = regions.at(at).put(view, key, round, round + 1).await.unwrap();
            let elsewhere = (at + 1) % 3;
            let answer = regions.at(elsewhere).leader.read(&demanding(view, key, &receipt.token)).await.unwrap();
            assert_eq!(answer.rows[0][0].as_ref().map(support::value), Some(round), "{key}");
            assert!(answer.freshness.watermark.covers(&receipt.token));
        }
    }
    regions.at(1).leader.write(write(view, &[(3, None)], 1_000)).await.unwrap();
    regions.level().await;
    assert_eq!(regions.at(2).get(view, 3), None);
    for at in 0..3 {
        let head = regions.at(at).leader.status().position;
        assert!(head.lsn.0 < 1_500, "regions replicate position records to each other endlessly: {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_region_has_a_part_of_a_combined_row_and_all_regions_read_the_same() {
    let regions = Regions::start(3).await;
    let mut views = Vec::new();
    for merge in [MergePolicy::Sum, MergePolicy::Max, MergePolicy::Min] {
        let view = FeatureView { merge, ..support::view(merge.name()) };
        regions.at(0).leader.change(CatalogueChange::PutView(view)).await.unwrap();
        let id = regions.at(0).leader.catalogue().view(merge.name()).unwrap().id;
        for at in 1..3 {
            until("the view is everywhere", || regions.at(at).leader.catalogue().view(merge.name()).is_some()).await;
        }
        views.push(id);
    }
    let combined = async |at: usize| {
        let mut all = Vec::new();
        for view in &views {
            let mut answer = ReadAnswer::default();
            parts::read(&regions.at(at).leader, &read(*view, &[1]), EventTime(0), &mut answer).await.unwrap();
            all.push(answer.rows[0][0].as_ref().map(support::value));
        }
        all
    };
    assert_eq!(combined(0).await, [None, None, None]);
    for (at, value) in [(0, 1), (1, -20), (2, 300), (0, 5)] {
        for view in &views {
            regions.at(at).put(*view, 1, value, 1).await.unwrap();
            // A retry adds nothing.
            regions.at(at).put(*view, 1, value, 1).await.unwrap();
        }
    }
    regions.level().await;
    for (at, name) in NAMES.iter().enumerate() {
        assert_eq!(combined(at).await, [Some(285), Some(300), Some(-20)], "{name}");
        assert_eq!(regions.at(at).leader.conflicts().unwrap(), [], "parts of different regions do not conflict");
    }
    // A deletion ends the parts that every region has written before, and a later write starts the row again.
    for view in &views {
        regions.at(1).leader.write(write(*view, &[(1, None)], 2)).await.unwrap();
    }
    regions.level().await;
    for (at, name) in NAMES.iter().enumerate() {
        assert_eq!(combined(at).await, [None, None, None], "{name}");
    }
    for view in &views {
        regions.at(2).put(*view, 1, 7, 3).await.unwrap();
    }
    regions.level().await;
    for (at, name) in NAMES.iter().enumerate() {
        assert_eq!(combined(at).await, [Some(7), Some(7), Some(7)], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_catalogue_goes_to_its_home_and_returns_with_its_module() {
    let regions = Regions::start(2).await;
    let view = support::view("made_elsewhere");
    let change = CatalogueChange::PutView(view.clone());
    until("the home is connected", || regions.at(1).leader.status().regions[0].connected).await;
    regions.at(1).leader.change(change).await.unwrap();
    assert!(regions.at(1).leader.catalogue().view(&view.name).is_some(), "it is applied here before the answer");
    let put = regions.at(1).leader.put_module("m".into(), "1".into(), b"component"[..].into()).await.unwrap();
    assert!(regions.at(0).leader.catalogue().module("m").is_some());
    until("the module is ready", || regions.at(1).modules.ready.lock().unwrap().contains(&put.digest)).await;
    assert_eq!(regions.at(1).leader.component(put.digest).await.unwrap(), b"component"[..]);
    regions.shut(0);
    until("the home is lost", || !regions.at(1).leader.status().regions[0].connected).await;
    let change = CatalogueChange::DropModule("m".into());
    let rejected = regions.at(1).leader.change(change).await.unwrap_err();
    assert!(matches!(&rejected, WriteError::LeaderUnavailable(why) if why.contains("'eu'")), "{rejected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_the_disks_of_other_regions_and_its_error_names_those_that_were_reached() {
    let regions = Regions::start(3).await;
    let view = regions.view("a").await;
    let request = |key, count, wait_ms| regions_wanted(write(view, &[(key, Some(key))], 1), count, wait_ms);
    let receipt = regions.at(1).leader.write(request(1, 2, 20_000)).await.unwrap();
    assert_eq!(receipt.concern, WriteConcern::Regions(2));
    for at in [0, 2] {
        assert!(regions.at(at).leader.status().covers(&receipt.token), "acknowledged before it was stored there");
    }
    let invalid = regions.at(1).leader.write(request(2, 3, 1_000)).await.unwrap_err();
    assert!(matches!(&invalid, WriteError::Invalid(why) if why.contains("knows 2 other regions")), "{invalid}");
    // The others cannot fetch from region 1 any more.
    regions.shut(1);
    until("no region follows it", || {
        [0, 2]
            .iter()
            .all(|at| !regions.at(*at).leader.status().regions.iter().any(|r| r.region == region("us") && r.connected))
    })
    .await;
    let late = regions.at(1).leader.write(request(3, 1, 200)).await.unwrap_err();
    let WriteError::ConcernNotReached { token, waited_ms: 200, .. } = &late else { panic!("{late}") };
    assert!(late.to_string().contains("in no other region"), "{late}");
    assert_eq!(regions.at(1).get(view, 3), Some(3), "it was stored");
    let mut regions = regions;
    regions.serve(1).await;
    let answer = regions.at(0).leader.read(&demanding(view, 3, &token.parse().unwrap())).await.unwrap();
    assert_eq!(answer.rows[0][0].as_ref().map(support::value), Some(3));
}

fn quorum(view: ViewId, keys: &[i64], on_unmet: OnUnmet) -> ReadRequest {
    let demand = ReadDemand {
        consistency: Consistency::Quorum,
        on_unmet,
        wait_max: Duration::from_secs(5),
        ..ReadDemand::default()
    };
    ReadRequest { demand, ..read(view, keys) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_read_returns_rows_that_only_one_region_has_and_fails_when_too_few_answer() {
    let regions = Regions::start(3).await;
    let view = regions.view("a").await;
    let request = |key| regions_wanted(write(view, &[(key, Some(key))], 1), 2, 20_000);
    for key in 1..4 {
        regions.at(0).leader.write(request(key)).await.unwrap();
    }
    until("all are connected", || {
        (0..3).all(|at| regions.at(at).leader.status().regions.iter().all(|other| other.connected))
    })
    .await;
    // The other regions no longer follow region 0, and continue to answer.
    let values = |answer: &littoral_model::read::ReadAnswer| -> Vec<Option<i64>> {
        answer.rows[0].iter().map(|row| row.as_ref().map(support::value)).collect()
    };
    regions.shut(0);
    until("no region follows region 0", || {
        [1, 2]
            .iter()
            .all(|at| !regions.at(*at).leader.status().regions.iter().any(|r| r.region == region("eu") && r.connected))
    })
    .await;
    regions.at(0).put(view, 1, 100, 5).await.unwrap();
    regions.at(0).leader.write(write(view, &[(2, None)], 5)).await.unwrap();
    assert_eq!((regions.at(1).get(view, 1), regions.at(1).get(view, 2)), (Some(1), Some(2)), "region 1 lacks both");
    // A read at region 0: its own rows and its deletion outrank the others'.
    let own = regions.at(0).leader.read(&quorum(view, &[1, 2, 3, 9], OnUnmet::Fail)).await.unwrap();
    assert_eq!(values(&own), [Some(100), None, Some(3), None]);
    assert_eq!((own.freshness.source, own.freshness.degraded), (Source::Quorum, None));
    assert!(own.freshness.regions.len() >= 2 && own.freshness.regions.contains(&region("eu")));
    // A read at region 1: region 0 is unreachable, and the other two are a majority that does not have its writes.
    let others = regions.at(1).leader.read(&quorum(view, &[1], OnUnmet::Fail)).await.unwrap();
    assert_eq!((values(&others), &others.freshness.regions), (vec![Some(1)], &vec![region("asia"), region("us")]));
    regions.shut(2);
    until("region 1 is alone", || regions.at(1).leader.status().regions.iter().all(|other| !other.connected)).await;
    let alone = regions.at(1).leader.read(&quorum(view, &[1], OnUnmet::Wait)).await.unwrap_err();
    assert!(matches!(&alone, ReadError::QuorumNotReached { needed: 2, of: 3, .. }), "{alone}");
    assert!(alone.to_string().contains("only 'us' answered") && alone.to_string().contains("'asia': "), "{alone}");
    for on_unmet in [OnUnmet::ServeStale, OnUnmet::Leader] {
        let stale = regions.at(1).leader.read(&quorum(view, &[1], on_unmet)).await.unwrap();
        assert_eq!((values(&stale), stale.freshness.degraded), (vec![Some(1)], Some(Degraded::DemandUnmet)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_that_crash_or_are_partitioned_converge_to_the_same_rows() {
    let mut regions = Regions::start(3).await;
    let view = regions.view("a").await;
    for round in 0..6_u64 {
        let cut = (round % 3) as usize;
        regions.shut(cut);
        for step in 0..40_i64 {
            for at in 0..3 {
                let value = (step % 7 != 3).then_some(step * 10 + at as i64);
                let event_ms = 1 + (step * 13 + at as i64 * 5) % 50;
                regions.at(at).leader.write(write(view, &[(step % 11, value)], event_ms)).await.unwrap();
            }
        }
        if round % 2 == 0 {
            regions.crash((cut + 1) % 3, round).await;
        }
        if round == 3 {
            assert!(regions.at(0).leader.snapshot_now());
        }
        regions.serve(cut).await;
    }
    regions.level().await;
    assert!(
        regions.at(0).leader.conflicts().unwrap().len() > 10,
        "they wrote the same rows without knowing of each other"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_was_away_replicates_a_snapshot_of_the_trimmed_records() {
    let mut regions = Regions::start(2).await;
    let view = regions.view("a").await;
    regions.shut(0);
    regions.shut(1);
    for round in 1..4_i64 {
        for key in 0..3_000 / 50 {
            let rows: Vec<_> = (0..50).map(|row| (key * 50 + row, (row % 9 != round).then_some(round))).collect();
            regions.at(0).leader.write(write(view, &rows, round)).await.unwrap();
        }
        assert!(regions.at(0).leader.snapshot_now());
    }
    // An empty disk: everything is replicated from the other region.
    let fresh = regions.nodes[1].take().unwrap();
    fresh.stop().await;
    regions.serve(0).await;
    regions.open(1, Memory::new(), Memory::new()).await;
    regions.level().await;
    assert_eq!(regions.at(1).get(view, 3), None);
    assert_eq!(regions.at(1).get(view, 5), Some(3));
    regions.crash(1, 3).await;
    regions.at(1).put(view, 1, 77, 9).await.unwrap();
    regions.level().await;
    assert_eq!(regions.at(0).get(view, 1), Some(77));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_did_not_know_of_each_other_are_conflicts_and_others_are_not() {
    let mut regions = Regions::start(2).await;
    let view = regions.view("a").await;
    // One after the other, each with knowledge of the previous one.
    for round in 0..10_i64 {
        let receipt = regions.at(round as usize % 2).put(view, 1, round, 1).await.unwrap();
        regions.at((round as usize + 1) % 2).leader.read(&demanding(view, 1, &receipt.token)).await.unwrap();
    }
    regions.level().await;
    assert_eq!(
        (regions.at(0).leader.conflicts().unwrap().len(), regions.at(1).leader.conflicts().unwrap().len()),
        (0, 0)
    );
    regions.shut(0);
    regions.shut(1);
    regions.at(0).put(view, 5, 50, 1).await.unwrap();
    regions.at(1).put(view, 5, 51, 2).await.unwrap();
    regions.at(1).put(view, 6, 61, 1).await.unwrap();
    regions.serve(0).await;
    regions.serve(1).await;
    regions.level().await;
    for at in 0..2 {
        until("the conflict is known", || regions.at(at).leader.conflicts().unwrap().len() == 1).await;
        let conflict = regions.at(at).leader.conflicts().unwrap().remove(0);
        assert_eq!(conflict.kept.body.as_deref(), Some(&support::body(51)[..]), "the later event is kept");
        assert_eq!(conflict.lost.body.as_deref(), Some(&support::body(50)[..]));
        assert_eq!((conflict.kept.version.region, conflict.lost.version.region), (region("us"), region("eu")));
    }
    let before = regions.at(0).leader.conflicts().unwrap();
    assert!(regions.at(0).leader.snapshot_now());
    regions.crash(0, 1).await;
    assert_eq!(regions.at(0).leader.conflicts().unwrap(), before, "the ledger survives a crash");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_whose_clock_is_far_ahead_is_rejected_and_reported_until_the_clocks_agree() {
    let regions = Regions::start(2).await;
    let view = regions.view("a").await;
    regions.at(1).clock.store(NOW_MS + 60_000, Relaxed);
    regions.at(1).put(view, 1, 1, 1).await.unwrap();
    let trouble = || regions.at(0).leader.status().regions[0].trouble.clone();
    until("it is reported", || trouble().contains("ahead of ours") && trouble().contains("'us'")).await;
    assert_eq!(regions.at(0).get(view, 1), None);
    regions.at(0).put(view, 2, 2, 1).await.unwrap();
    regions.at(0).clock.store(NOW_MS + 59_000, Relaxed);
    regions.level().await;
    assert_eq!(regions.at(0).get(view, 1), Some(1));
}

#[tokio::test]
async fn regions_whose_catalogues_were_created_separately_do_not_mix_their_rows() {
    let mut regions = Regions::start(2).await;
    let alone = |at: usize| Config { regions: Vec::new(), catalogue_home: None, ..regions.config(at) };
    let mut kept = Vec::new();
    for (at, name) in [(0, "mine"), (1, "theirs")] {
        let node = try_start(alone(at), Memory::new(), Memory::new()).await.unwrap();
        let id = node.view(name).await;
        node.put(id, 1, 1, 1).await.unwrap();
        kept.push((node.disk.clone(), node.components.clone()));
        node.stop().await;
    }
    for (at, (disk, components)) in kept.into_iter().enumerate() {
        regions.shut(at);
        regions.nodes[at].take().unwrap().stop().await;
        regions.open(at, disk.crash(1), components.crash(1)).await;
    }
    let reports_conflict = |node: &Running| node.leader.status().regions[0].trouble.contains("created separately");
    for at in [0, 1, 0] {
        until("it is reported", || (0..2).all(|at| reports_conflict(regions.at(at)))).await;
        // From then on the lineage of the other log is known. It contains nothing about the views.
        regions.crash(at, 3).await;
    }
    until("it is reported", || (0..2).all(|at| reports_conflict(regions.at(at)))).await;
    for (at, name) in [(0, "mine"), (1, "theirs")] {
        let catalogue = regions.at(at).leader.catalogue();
        assert_eq!(catalogue.views().map(|view| view.name.as_str()).collect::<Vec<_>>(), [name]);
        assert_eq!(regions.at(at).get(catalogue.view(name).unwrap().id, 1), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_home_that_has_lost_its_log_restores_its_catalogue_and_removes_no_view_elsewhere() {
    let mut regions = Regions::start(2).await;
    let view = regions.view("a").await;
    regions.at(1).put(view, 1, 1, 1).await.unwrap();
    regions.level().await;
    regions.shut(0);
    regions.nodes[0].take().unwrap().stop().await;
    regions.open(0, Memory::new(), Memory::new()).await;
    until("the home has its catalogue again", || regions.at(0).leader.catalogue().view("a").is_some()).await;
    assert_eq!(regions.at(0).leader.catalogue().view("a").unwrap().id, view, "ids keep their meaning");
    assert_eq!(regions.at(1).get(view, 1), Some(1));
    regions.at(1).put(view, 2, 2, 1).await.unwrap();
    regions.at(0).put(view, 3, 3, 1).await.unwrap();
    regions.level().await;
    assert_eq!((regions.at(0).get(view, 1), regions.at(1).get(view, 3)), (Some(1), Some(3)));
    // It is still the home: its next view is replicated to the others, with an unused id.
    let next = regions.view("b").await;
    assert_ne!(next, view);
    // Now that it has a catalogue again, it does not import other regions' catalogues.
    regions.crash(0, 5).await;
    regions.level().await;
    assert_eq!(regions.at(0).leader.catalogue().views().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_with_an_empty_directory_waits_for_the_others_and_restores_its_rows_before_it_is_followed() {
    let mut regions = Regions::none(2).await;
    regions.open(0, Memory::new(), Memory::new()).await;
    let made = regions.at(0).leader.change(CatalogueChange::PutView(support::view("v"))).await;
    assert!(matches!(&made, Err(WriteError::NotLeader(reason)) if reason.contains("'us'")), "{made:?}");
    let status = regions.at(0).leader.status();
    assert!(!status.writable && !status.ready && status.not_ready_reason.contains("'us'"), "{status:?}");
    // A row that another region may have is not reported as absent either.
    let read = regions.at(0).leader.read(&ReadRequest::default()).await;
    assert!(matches!(&read, Err(ReadError::NotAllHere(reason)) if reason.contains("'us'")), "{read:?}");
    assert_eq!(regions.at(0).leader.belongs(), None);
    regions.open(1, Memory::new(), Memory::new()).await;
    let writable = |regions: &Regions| regions.at(0).leader.status().writable;
    let begun = std::time::Instant::now();
    while !writable(&regions) {
        assert!(begun.elapsed() < Duration::from_secs(60), "all regions are equally empty");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = regions.view("v").await;
    let founded = regions.at(0).leader.belongs().expect("the home founds the cluster");
    let receipt = regions.at(0).put(id, 1, 11, 1).await.unwrap();
    let log = receipt.position.incarnation;
    while regions.at(1).get(id, 1) != Some(11) || regions.at(1).leader.belongs().is_none_or(|b| !b.healed) {
        assert!(begun.elapsed() < Duration::from_secs(60), "us joins the cluster");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The home loses its disk.
    regions.shut(0);
    regions.nodes[0].take().unwrap().stop().await;
    regions.open(0, Memory::new(), Memory::new()).await;
    let healed = |regions: &Regions| regions.at(0).leader.belongs().filter(|belongs| belongs.healed);
    while healed(&regions).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "us confirms the cluster and has the lost rows");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(regions.at(0).leader.status().ready);
    let belongs = healed(&regions).unwrap();
    assert_eq!((belongs.cluster, belongs.succeeds), (founded.cluster, Some(log)));
    assert_eq!(regions.at(0).get(id, 1), Some(11));
}
