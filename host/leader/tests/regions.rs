//! Regions that take each other's records, over the real feed: what is written anywhere is everywhere, once and in the same
//! form, whatever breaks in between.

mod support;

use littoral_feed::server;
use littoral_feed::source::{FeedLog as _, RegionPeer as _};
use littoral_leader::{Config, OtherRegion};
use littoral_log::storage::Memory;
use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    freshness::{Consistency, Degraded, OnUnmet, ReadDemand, Source},
    merge::MergePolicy,
    parts,
    ports::{FeatureReader as _, FeatureWriter as _, Node as _},
    read::{ReadAnswer, ReadError, ReadRequest},
    region::Region,
    token::Watermark,
    view::{FeatureView, ViewId},
    write::{WriteConcern, WriteError, WriteRequest},
};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use support::{NOW_MS, Running, read, try_start, write};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const NAMES: [&str; 3] = ["eu", "us", "asia"];

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

/// Leaders of several regions that know each other, each behind a real peer listener.
struct Regions {
    nodes: Vec<Option<Running>>,
    doors: Vec<(SocketAddr, CancellationToken)>,
    /// All of the cluster begins: nobody waits for what another region may hold.
    init: bool,
}

impl Regions {
    async fn start(count: usize) -> Self {
        let mut regions = Self::none(count).await;
        regions.init = true;
        for at in 0..count {
            regions.open(at, Memory::new(), Memory::new()).await;
        }
        regions.init = false;
        regions
    }

    /// Regions of which none runs.
    async fn none(count: usize) -> Self {
        let mut doors = Vec::new();
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            doors.push((listener.local_addr().unwrap(), CancellationToken::new()));
        }
        Self { nodes: (0..count).map(|_| None).collect(), doors, init: false }
    }

    fn config(&self, at: usize) -> Config {
        let others = (0..self.doors.len()).filter(|other| *other != at);
        Config {
            region: region(NAMES[at]),
            name: NAMES[at].to_owned(),
            catalogue_home: Some(region(NAMES[0])),
            regions: others
                .map(|other| OtherRegion { name: region(NAMES[other]), peers: vec![self.doors[other].0.to_string()] })
                .collect(),
            init: self.init,
            ..support::config()
        }
    }

    async fn open(&mut self, at: usize, disk: Memory, components: Memory) {
        let node = try_start(self.config(at), disk, components).await.unwrap();
        self.nodes[at] = Some(node);
        self.serve(at).await;
    }

    /// Lets others connect.
    async fn serve(&mut self, at: usize) {
        let listener = loop {
            if let Ok(listener) = TcpListener::bind(self.doors[at].0).await {
                break listener;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let stop = CancellationToken::new();
        self.doors[at].1 = stop.clone();
        let config = server::Config { heartbeat_ms: 20, ..server::Config::default() };
        tokio::spawn(server::serve(listener, Arc::new(self.at(at).leader.clone()), config, stop));
    }

    /// Nobody can connect to this region, nor stays connected. It still connects to others.
    fn shut(&self, at: usize) {
        self.doors[at].1.cancel();
    }

    async fn crash(&mut self, at: usize, seed: u64) {
        self.shut(at);
        let node = self.nodes[at].take().unwrap();
        let (disk, components) = (node.disk.crash(seed), node.components.crash(seed));
        node.stop().await;
        self.open(at, disk, components).await;
    }

    fn at(&self, at: usize) -> &Running {
        self.nodes[at].as_ref().unwrap()
    }

    async fn view(&self, name: &str) -> ViewId {
        let id = self.at(0).view(name).await;
        for at in 0..self.nodes.len() {
            until("the view is everywhere", || self.at(at).leader.catalogue().view(name).is_some()).await;
            assert_eq!(self.at(at).leader.catalogue().view(name).unwrap().id, id);
        }
        id
    }

    /// Waits until every region has what every other has written so far, and compares all rows.
    async fn level(&self) {
        let mut all = Watermark::default();
        for node in self.nodes.iter().flatten() {
            // What only says how far others are makes nobody wait.
            let status = node.leader.status();
            let own = status.region;
            let head = self.last_own_write(node).await;
            all.set(own, status.position.incarnation, head);
        }
        for at in 0..self.nodes.len() {
            until("every region has every write", || self.at(at).leader.status().covers(&all)).await;
        }
        let first = rows(self.at(0));
        for (at, name) in NAMES.iter().enumerate().take(self.nodes.len()).skip(1) {
            assert_eq!(rows(self.at(at)), first, "{name} differs from {}", NAMES[0]);
        }
    }

    async fn last_own_write(&self, node: &Running) -> littoral_model::position::Lsn {
        let (own, mut last, mut from) = (node.leader.region(), littoral_model::position::Lsn::NONE, 1);
        loop {
            let block = node.leader.records(littoral_model::position::Lsn(from), 1 << 20).await.unwrap();
            if block.bytes.is_empty() {
                return last;
            }
            for record in littoral_wire::records::iter(&block.bytes) {
                let record = record.unwrap();
                if record.origin == own && record.begins().is_none() {
                    last = record.lsn;
                }
            }
            from = block.last.0 + 1;
        }
    }
}

/// View, key, values if any, clock reading and region.
type RowContent = (u32, Vec<u8>, Option<Vec<u8>>, u64, String);

/// Every row and tombstone, as digests compare them: without the number that each log gives it.
fn rows(node: &Running) -> Vec<RowContent> {
    let source = node.leader.snapshot().unwrap();
    let mut all: Vec<_> = source
        .chunks
        .flatten()
        .map(|row| {
            let header = *row.header();
            let body = (!row.is_tombstone()).then(|| row.body().to_vec());
            (header.view.0, row.key().to_vec(), body, header.version.hlc.0, header.version.region.to_string())
        })
        .collect();
    all.sort();
    all
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("did not come about: {what}");
}

fn regions_wanted(mut request: WriteRequest, count: u8, wait_ms: u32) -> WriteRequest {
    (request.concern, request.concern_wait_ms) = (WriteConcern::Regions(count), wait_ms);
    request
}

fn demanding(view: ViewId, key: i64, token: &Watermark) -> ReadRequest {
    let demand = ReadDemand {
        at_least: Some(token.clone()),
        on_unmet: OnUnmet::Wait,
        wait_max: Duration::from_secs(20),
        ..ReadDemand::default()
    };
    ReadRequest { demand, ..read(view, &[key]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_anywhere_is_everywhere_and_its_token_holds_there() {
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
        assert!(head.lsn.0 < 1_500, "regions answer each other without end: {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_region_has_a_part_of_a_row_that_combines_and_all_read_the_same() {
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
        assert_eq!(regions.at(at).leader.conflicts().unwrap(), [], "no region's part is another's loss");
    }
    // A deletion ends what every region had written by then, and what one writes later is the row.
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
async fn a_change_of_the_catalogue_goes_to_its_home_and_comes_back_with_its_module() {
    let regions = Regions::start(2).await;
    let view = support::view("made_elsewhere");
    let change = CatalogueChange::PutView(view.clone());
    until("the home is connected", || regions.at(1).leader.status().regions[0].connected).await;
    regions.at(1).leader.change(change).await.unwrap();
    assert!(regions.at(1).leader.catalogue().view(&view.name).is_some(), "it is here when the answer is");
    let put = regions.at(1).leader.put_module("m".into(), "1".into(), b"component"[..].into()).await.unwrap();
    assert!(regions.at(0).leader.catalogue().module("m").is_some());
    until("the module is here", || regions.at(1).modules.ready.lock().unwrap().contains(&put.digest)).await;
    assert_eq!(regions.at(1).leader.component(put.digest).await.unwrap(), b"component"[..]);
    regions.shut(0);
    until("the home is lost", || !regions.at(1).leader.status().regions[0].connected).await;
    let change = CatalogueChange::DropModule("m".into());
    let refused = regions.at(1).leader.change(change).await.unwrap_err();
    assert!(matches!(&refused, WriteError::LeaderUnavailable(why) if why.contains("'eu'")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_asks_for_other_regions_waits_for_their_disks_and_says_what_it_has_not_reached() {
    let regions = Regions::start(3).await;
    let view = regions.view("a").await;
    let asked = |key, count, wait_ms| regions_wanted(write(view, &[(key, Some(key))], 1), count, wait_ms);
    let receipt = regions.at(1).leader.write(asked(1, 2, 20_000)).await.unwrap();
    assert_eq!(receipt.concern, WriteConcern::Regions(2));
    for at in [0, 2] {
        assert!(regions.at(at).leader.status().covers(&receipt.token), "acknowledged before it was there");
    }
    let invalid = regions.at(1).leader.write(asked(2, 3, 1_000)).await.unwrap_err();
    assert!(matches!(&invalid, WriteError::Invalid(why) if why.contains("knows 2 other regions")), "{invalid}");
    // The others cannot fetch from region 1 any more.
    regions.shut(1);
    until("nobody takes from it", || {
        [0, 2]
            .iter()
            .all(|at| !regions.at(*at).leader.status().regions.iter().any(|r| r.region == region("us") && r.connected))
    })
    .await;
    let late = regions.at(1).leader.write(asked(3, 1, 200)).await.unwrap_err();
    let WriteError::ConcernNotReached { token, waited_ms: 200, .. } = &late else { panic!("{late}") };
    assert!(late.to_string().contains("in no other region"), "{late}");
    assert_eq!(regions.at(1).get(view, 3), Some(3), "it was taken");
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
async fn a_quorum_sees_what_only_another_region_has_and_says_when_too_few_answer() {
    let regions = Regions::start(3).await;
    let view = regions.view("a").await;
    let asked = |key| regions_wanted(write(view, &[(key, Some(key))], 1), 2, 20_000);
    for key in 1..4 {
        regions.at(0).leader.write(asked(key)).await.unwrap();
    }
    until("all are connected", || {
        (0..3).all(|at| regions.at(at).leader.status().regions.iter().all(|other| other.connected))
    })
    .await;
    // Region 2 takes nothing from region 0 any more, and goes on answering; region 0 does not know what 2 is about to write.
    let values = |answer: &littoral_model::read::ReadAnswer| -> Vec<Option<i64>> {
        answer.rows[0].iter().map(|row| row.as_ref().map(support::value)).collect()
    };
    regions.shut(0);
    until("nobody takes from region 0", || {
        [1, 2]
            .iter()
            .all(|at| !regions.at(*at).leader.status().regions.iter().any(|r| r.region == region("eu") && r.connected))
    })
    .await;
    regions.at(0).put(view, 1, 100, 5).await.unwrap();
    regions.at(0).leader.write(write(view, &[(2, None)], 5)).await.unwrap();
    assert_eq!((regions.at(1).get(view, 1), regions.at(1).get(view, 2)), (Some(1), Some(2)), "region 1 lacks both");
    // From region 0, whose own rows outrank the others': the deletion too.
    let own = regions.at(0).leader.read(&quorum(view, &[1, 2, 3, 9], OnUnmet::Fail)).await.unwrap();
    assert_eq!(values(&own), [Some(100), None, Some(3), None]);
    assert_eq!((own.freshness.source, own.freshness.degraded), (Source::Quorum, None));
    assert!(own.freshness.regions.len() >= 2 && own.freshness.regions.contains(&region("eu")));
    // From region 1 it is not to be reached, and the two that are left are a majority that has not seen it.
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
async fn regions_that_crash_and_are_cut_off_end_with_the_same_rows() {
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
async fn a_region_that_comes_late_takes_a_snapshot_of_what_was_trimmed() {
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
    // A disk with no log at all: everything comes from the other region.
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
    // One after the other, each in knowledge of the one before.
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
    assert_eq!(regions.at(0).leader.conflicts().unwrap(), before, "the ledger outlives a crash");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_whose_clock_is_far_ahead_is_refused_and_reported_until_it_is_not() {
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
async fn regions_whose_catalogues_were_made_apart_do_not_mix_their_rows() {
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
    let is_apart = |node: &Running| node.leader.status().regions[0].trouble.contains("created separately");
    for at in [0, 1, 0] {
        until("it is reported", || (0..2).all(|at| is_apart(regions.at(at)))).await;
        // From then on the history of the other's log is known, and says nothing of its views.
        regions.crash(at, 3).await;
    }
    until("it is reported", || (0..2).all(|at| is_apart(regions.at(at)))).await;
    for (at, name) in [(0, "mine"), (1, "theirs")] {
        let catalogue = regions.at(at).leader.catalogue();
        assert_eq!(catalogue.views().map(|view| view.name.as_str()).collect::<Vec<_>>(), [name]);
        assert_eq!(regions.at(at).get(catalogue.view(name).unwrap().id, 1), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_has_lost_its_log_takes_no_view_away_from_the_others_and_gets_its_own_back() {
    let mut regions = Regions::start(2).await;
    let view = regions.view("a").await;
    regions.at(1).put(view, 1, 1, 1).await.unwrap();
    regions.level().await;
    regions.shut(0);
    regions.nodes[0].take().unwrap().stop().await;
    regions.open(0, Memory::new(), Memory::new()).await;
    until("the home has its catalogue again", || regions.at(0).leader.catalogue().view("a").is_some()).await;
    assert_eq!(regions.at(0).leader.catalogue().view("a").unwrap().id, view, "numbers mean what they meant");
    assert_eq!(regions.at(1).get(view, 1), Some(1));
    regions.at(1).put(view, 2, 2, 1).await.unwrap();
    regions.at(0).put(view, 3, 3, 1).await.unwrap();
    regions.level().await;
    assert_eq!((regions.at(0).get(view, 1), regions.at(1).get(view, 3)), (Some(1), Some(3)));
    // It is the home as before: what is defined there next comes to the others, under a number that nothing had.
    let next = regions.view("b").await;
    assert_ne!(next, view);
    // And once it has something again, others' changes are none of its business.
    regions.crash(0, 5).await;
    regions.level().await;
    assert_eq!(regions.at(0).leader.catalogue().views().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_with_an_empty_directory_waits_for_the_others_and_heals_before_it_is_followed() {
    let mut regions = Regions::none(2).await;
    regions.open(0, Memory::new(), Memory::new()).await;
    let made = regions.at(0).leader.change(CatalogueChange::PutView(support::view("v"))).await;
    assert!(matches!(&made, Err(WriteError::NotLeader(reason)) if reason.contains("'us'")), "{made:?}");
    let status = regions.at(0).leader.status();
    assert!(!status.writable && !status.ready && status.not_ready_reason.contains("'us'"), "{status:?}");
    // Nor is anything said not to exist, which another region may have.
    let read = regions.at(0).leader.read(&ReadRequest::default()).await;
    assert!(matches!(&read, Err(ReadError::NotAllHere(reason)) if reason.contains("'us'")), "{read:?}");
    assert_eq!(regions.at(0).leader.belongs(), None);
    regions.open(1, Memory::new(), Memory::new()).await;
    let writable = |regions: &Regions| regions.at(0).leader.status().writable;
    let begun = std::time::Instant::now();
    while !writable(&regions) {
        assert!(begun.elapsed() < Duration::from_secs(60), "all are as empty");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = regions.view("v").await;
    let founded = regions.at(0).leader.belongs().expect("the home founds it");
    let receipt = regions.at(0).put(id, 1, 11, 1).await.unwrap();
    let log = receipt.position.incarnation;
    while regions.at(1).get(id, 1) != Some(11) || regions.at(1).leader.belongs().is_none_or(|b| !b.healed) {
        assert!(begun.elapsed() < Duration::from_secs(60), "us is taken into the cluster");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The home loses its disk.
    regions.shut(0);
    regions.nodes[0].take().unwrap().stop().await;
    regions.open(0, Memory::new(), Memory::new()).await;
    let healed = |regions: &Regions| regions.at(0).leader.belongs().filter(|belongs| belongs.healed);
    while healed(&regions).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "us vouches, and has what was lost");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(regions.at(0).leader.status().ready);
    let belongs = healed(&regions).unwrap();
    assert_eq!((belongs.cluster, belongs.succeeds), (founded.cluster, Some(log)));
    assert_eq!(regions.at(0).get(id, 1), Some(11));
}
