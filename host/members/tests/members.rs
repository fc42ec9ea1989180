//! Members of one region over real connections and a real lease: promotion, acknowledgement, detached tails and their
//! merge.

#[path = "../../leader/tests/support/mod.rs"]
mod support;

use littoral_faults::Link;
use littoral_feed::server;
use littoral_feed::source::{FeedLog as _, SourceRole};
use littoral_leader::{Config, Environment, MemberAddress};
use littoral_lease::{Timing, clock, store::open};
use littoral_log::storage::Memory;
use littoral_members::{Election, Member};
use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    freshness::{OnUnmet, ReadDemand, Source},
    ports::{FeatureReader as _, FeatureWriter as _, Node as _},
    position::Lsn,
    read::{ReadAnswer, ReadRequest},
    status::Role,
    token::Watermark,
    view::ViewId,
    write::{WriteConcern, WriteError, WriteReceipt, WriteRequest},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use support::{Modules, NOW_MS, read, value, view, with_key, write};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A member with its disks, running or not.
struct Node {
    disk: Memory,
    components: Memory,
    member: Option<(Member, CancellationToken)>,
    modules: Arc<Modules>,
    /// The link through which the others connect to it.
    link: Link,
    listens: SocketAddr,
}

struct Members {
    all: Vec<Node>,
    lease: tempfile::TempDir,
    base: Config,
}

impl Members {
    async fn start(base: Config) -> Self {
        let mut all = Vec::new();
        for at in 0..3 {
            // A free port, on which the member listens whenever it starts.
            let listens = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let link = Link::start("127.0.0.1:0".parse().unwrap(), listens, at).await.unwrap();
            let (disk, components, modules) = (Memory::new(), Memory::new(), Arc::default());
            all.push(Node { disk, components, member: None, modules, link, listens });
        }
        let mut members = Self { all, lease: tempfile::tempdir().unwrap(), base };
        for at in 0..3 {
            members.open(at).await;
        }
        members
    }

    async fn open(&mut self, at: usize) {
        static STARTED: AtomicU64 = AtomicU64::new(4_242);
        let addresses = NAMES.iter().zip(&self.all);
        let addresses = addresses
            .map(|(name, one)| MemberAddress { name: (*name).to_owned(), peer: one.link.address().to_string() });
        let config = Config { name: NAMES[at].to_owned(), members: addresses.collect(), ..self.base.clone() };
        let address = format!("dir:{}", self.lease.path().display());
        let timing = Timing::AGGRESSIVE;
        let memory = Some(self.lease.path().join(format!("known-to-{}", NAMES[at])));
        let store = open::open(&address, &timing, clock::system(), Default::default(), memory).unwrap();
        let membership = Election { store, timing, clock: clock::system() };
        let one = &mut self.all[at];
        let environment = Environment {
            storage: Arc::new(one.disk.clone()),
            modules: Arc::new(one.components.clone()),
            clock: Arc::new(|| NOW_MS),
            entropy: STARTED.fetch_add(1, Relaxed),
            progress: Arc::default(),
            tls: None,
        };
        let stop = CancellationToken::new();
        let member =
            Member::start_on(environment, config, membership, one.modules.clone(), stop.clone()).await.unwrap();
        let listener = loop {
            if let Ok(listener) = TcpListener::bind(one.listens).await {
                break listener;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let source = Arc::new(member.clone());
        let shared = server::Shared::new(source.clone(), server::Config::default(), stop.clone()).with_members(source);
        tokio::spawn(server::serve_shared(listener, shared));
        one.member = Some((member, stop));
    }

    /// Stops a member in an orderly way.
    async fn stop(&mut self, at: usize) {
        let (member, stop) = self.all[at].member.take().unwrap();
        stop.cancel();
        member.stopped().await;
    }

    fn at(&self, at: usize) -> &Member {
        &self.all[at].member.as_ref().unwrap().0
    }

    fn running(&self) -> Vec<usize> {
        (0..3).filter(|at| self.all[*at].member.is_some()).collect()
    }

    /// Returns the leader as soon as one of `of` leads.
    async fn leader(&self, of: &[usize]) -> usize {
        let mut found = None;
        until("a member leads", || {
            found = of.iter().copied().find(|at| self.at(*at).source_role() == SourceRole::Leader);
            found.is_some_and(|at| self.at(at).status().role == Role::Leader)
        })
        .await;
        found.unwrap()
    }

    /// Writes, retrying while no member leads.
    async fn put(&self, at: usize, request: WriteRequest) -> WriteReceipt {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.at(at).write(request.clone()).await {
                Ok(receipt) => return receipt,
                Err(error) if Instant::now() < deadline => {
                    assert!(
                        matches!(error, WriteError::LeaderUnavailable(_) | WriteError::NotLeader(_)),
                        "a write is rejected although a member leads: {error}"
                    );
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("the write is rejected: {error}"),
            }
        }
    }

    async fn view(&self) -> ViewId {
        let leader = self.leader(&self.running()).await;
        self.at(leader).change(CatalogueChange::PutView(view("v"))).await.unwrap();
        let id = self.at(leader).catalogue().view("v").unwrap().id;
        for at in self.running() {
            until("every member has the view", || self.at(at).catalogue().view("v").is_some()).await;
        }
        id
    }

    /// Waits until all members have applied the same records, and compares the rows.
    async fn level(&self, view: ViewId) {
        let of = self.running();
        let leader = self.leader(&of).await;
        for at in &of {
            until("all members have every record", || {
                self.at(*at).status().position == self.at(leader).status().position
                    && self.at(*at).acknowledged() == self.at(leader).acknowledged()
                    && self.at(leader).acknowledged() == self.at(leader).status().position
            })
            .await;
        }
        let rows = |at: usize| {
            let page = self.at(at).page(view, None, 100_000).unwrap();
            page.rows.iter().map(|row| (row.key().to_vec(), value(row), *row.header())).collect::<Vec<_>>()
        };
        let first = rows(leader);
        for at in of {
            assert_eq!(rows(at), first, "member {at} differs from {leader}");
        }
    }

    fn cut(&self, at: usize) {
        self.all[at].link.cut(littoral_faults::link::Side::Both);
    }

    fn heal(&self, at: usize) {
        self.all[at].link.heal();
    }

    fn get(&self, at: usize, view: ViewId, key: i64) -> Option<i64> {
        let mut answer = ReadAnswer::default();
        assert!(self.at(at).read_local(&read(view, &[key]), &mut answer));
        answer.rows[0][0].as_ref().map(value)
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "this never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn quorum(request: WriteRequest) -> WriteRequest {
    WriteRequest { concern: WriteConcern::Quorum, ..request }
}

fn demanding(view: ViewId, key: i64, token: Watermark) -> ReadRequest {
    let demand = ReadDemand {
        at_least: Some(token),
        on_unmet: OnUnmet::Wait,
        wait_max: Duration::from_secs(10),
        ..ReadDemand::default()
    };
    ReadRequest { demand, ..read(view, &[key]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_leads_and_every_member_accepts_writes_and_answers_reads() {
    let members = Members::start(support::config()).await;
    let view = members.view().await;
    let leader = members.leader(&[0, 1, 2]).await;
    let leading: Vec<_> = (0..3).filter(|at| members.at(*at).source_role() == SourceRole::Leader).collect();
    assert_eq!(leading, [leader]);
    for at in 0..3 {
        let key = at as i64;
        let receipt = members.at(at).write(quorum(write(view, &[(key, Some(key + 10))], 1_000))).await.unwrap();
        assert_eq!(receipt.concern, WriteConcern::Quorum);
        for reader in 0..3 {
            let answer = members.at(reader).read(&demanding(view, key, receipt.token.clone())).await.unwrap();
            assert_eq!(answer.rows[0][0].as_ref().map(value), Some(key + 10), "{at} to {reader}");
            let expected = if reader == leader { Source::Leader } else { Source::Replica };
            assert_eq!(answer.freshness.source, expected);
        }
    }
    members.level(view).await;
    let roles: Vec<_> = (0..3).map(|at| members.at(at).status().role).collect();
    assert_eq!(roles.iter().filter(|role| **role == Role::Follower).count(), 2, "{roles:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_is_replaced_and_returns_as_a_follower() {
    let mut members = Members::start(support::config()).await;
    let view = members.view().await;
    let mut epochs = Vec::new();
    for round in 0..3_i64 {
        let leader = members.leader(&members.running()).await;
        epochs.push(members.at(leader).epoch());
        let retried = with_key(quorum(write(view, &[(round, Some(round))], 1_000)), &format!("round {round}"));
        let first = members.put(leader, retried.clone()).await;
        members.stop(leader).await;
        let others = members.running();
        let next = members.leader(&others).await;
        assert_ne!(next, leader);
        let again = members.put(next, retried).await;
        assert!(again.duplicate, "the new leader knows the key");
        assert_eq!(again.position, first.position);
        assert_eq!(members.get(next, view, round), Some(round));
        members.put(others[0], quorum(write(view, &[(100 + round, Some(round))], 1_000))).await;
        members.open(leader).await;
        members.level(view).await;
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_only_a_partitioned_leader_has_are_kept_as_a_detached_tail_and_can_be_merged() {
    let members = Members::start(support::config()).await;
    let view = members.view().await;
    let old = members.leader(&[0, 1, 2]).await;
    members.put(old, quorum(write(view, &[(1, Some(1)), (2, Some(2))], 1_000))).await;
    members.level(view).await;
    let others: Vec<_> = (0..3).filter(|at| *at != old).collect();
    // No member reaches it any more. It acknowledges `local` writes, until the others could elect a leader.
    members.cut(old);
    let alone = members.at(old).write(write(view, &[(1, Some(100)), (7, Some(700))], 2_000)).await.unwrap();
    assert_eq!(alone.concern, WriteConcern::Local);
    assert_eq!(members.get(old, view, 1), Some(1), "only rows that a majority has are visible");
    let unreached = members.at(old).write(quorum(write(view, &[(8, Some(8))], 2_000))).await;
    assert!(matches!(&unreached, Err(WriteError::LeaderUnavailable(_))), "{unreached:?}");
    let next = members.leader(&others).await;
    assert_ne!(members.at(old).source_role(), SourceRole::Leader);
    members.put(next, quorum(write(view, &[(1, Some(5)), (7, Some(5))], 3_000))).await;
    members.put(next, quorum(write(view, &[(9, Some(9))], 1_500))).await;
    assert_eq!(members.get(next, view, 7), Some(5));

    members.heal(old);
    members.level(view).await;
    let tails = members.at(old).tails().unwrap();
    let kept = tails.list().unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].first <= alone.first && kept[0].last >= alone.position.lsn, "{kept:?} {alone:?}");
    let shown = tails.show(&kept[0].name, Lsn::NONE, 100).unwrap();
    let events: Vec<_> = shown.iter().map(|record| (record.key.to_vec(), record.event_time.0)).collect();
    assert!(events.contains(&(7_i64.to_le_bytes().to_vec(), EventTime::from_ms(2_000).0)), "{events:?}");
    assert!(shown.iter().all(|record| record.view.as_ref().is_some_and(|view| view.name == "v")));
    // The merge adds missing rows under their old versions, and newer rows outrank it.
    let merged = tails.merge(kept[0].name.clone()).await.unwrap();
    assert_eq!(merged.rows as usize, shown.len());
    members.level(view).await;
    for at in 0..3 {
        assert_eq!(members.get(at, view, 1), Some(5));
        assert_eq!(members.get(at, view, 7), Some(5));
        assert_eq!(members.get(at, view, 8), Some(8), "the write that did not reach a majority was in the tail");
    }
    let row = members.at(next).page(view, Some(&7_i64.to_le_bytes()), 1).unwrap().rows.remove(0);
    assert_eq!(row.header().version, shown.iter().find(|r| r.key == 8_i64.to_le_bytes()[..]).unwrap().version);
    assert!(tails.list().unwrap().is_empty());
    let gone = tails.merge(kept[0].name.clone()).await.unwrap_err().to_string();
    assert!(gone.contains("no tail named"), "{gone}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_disk_or_is_far_behind_installs_a_snapshot() {
    let base = Config { snapshot_log_bytes: 64 << 10, retention_bytes_max: 1, retention_s_max: 0, ..support::config() };
    let mut members = Members::start(base).await;
    let view = members.view().await;
    let leader = members.leader(&[0, 1, 2]).await;
    let behind = (leader + 1) % 3;
    members.put(leader, quorum(write(view, &[(0, Some(0))], 1_000))).await;
    members.level(view).await;
    for (round, lost) in [(1_i64, false), (2, true)] {
        members.stop(behind).await;
        if lost {
            (members.all[behind].disk, members.all[behind].components) = (Memory::new(), Memory::new());
        }
        let from = members.at(leader).status().gauges["log_oldest_lsn"];
        for batch in 0..200_i64 {
            let rows: Vec<_> = (0..50).map(|key| (key + 100 * round, Some(batch))).collect();
            members.put(leader, quorum(write(view, &rows, 2_000 + batch))).await;
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while members.at(leader).status().gauges["log_oldest_lsn"] <= from {
            assert!(Instant::now() < deadline, "the log is never trimmed");
            members.put(leader, quorum(write(view, &[(1, Some(1))], 9_000))).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        members.open(behind).await;
        let before = members.at(behind).generation();
        members.level(view).await;
        assert_ne!(members.at(behind).generation(), before, "streams of the log before the snapshot end");
        assert_eq!(members.get(behind, view, 100 * round), Some(199));
        let oldest = members.at(behind).status().gauges["log_oldest_lsn"];
        assert!(oldest > from, "its log restarts after the snapshot: {oldest} {from}");
    }
    // It can lead.
    members.stop(leader).await;
    members.put(behind, quorum(write(view, &[(5_000, Some(1))], 9_000))).await;
    members.level(view).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_for_a_majority_are_bounded() {
    const WAITING_MAX: usize = 4;
    let members = Members::start(Config { queue_requests_max: WAITING_MAX, ..support::config() }).await;
    let view = members.view().await;
    let leader = members.leader(&[0, 1, 2]).await;
    members.level(view).await;
    members.cut(leader);
    let mut waiting = Vec::new();
    for key in 0..WAITING_MAX as i64 {
        let tail = members.at(leader).status().gauges["log_tail_lsn"];
        let member = members.at(leader).clone();
        waiting.push(tokio::spawn(async move { member.write(quorum(write(view, &[(key, Some(1))], 1_000))).await }));
        until("the write is in the leader's log", || members.at(leader).status().gauges["log_tail_lsn"] > tail).await;
    }
    let rejected = members.at(leader).write(quorum(write(view, &[(99, Some(1))], 1_000))).await;
    assert_eq!(rejected, Err(WriteError::Overloaded));
    let local = members.at(leader).write(write(view, &[(98, Some(1))], 1_000)).await.unwrap();
    assert_eq!(local.concern, WriteConcern::Local, "a write that does not wait for a majority is accepted");
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert!(matches!(answer, Err(WriteError::LeaderUnavailable(_))), "{answer:?}");
    }
    members.heal(leader);
    members.put(members.leader(&[0, 1, 2]).await, quorum(write(view, &[(99, Some(1))], 2_000))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_without_a_majority_rejects_writes_and_answers_reads() {
    let mut members = Members::start(support::config()).await;
    let view = members.view().await;
    let leader = members.leader(&[0, 1, 2]).await;
    members.put(leader, quorum(write(view, &[(1, Some(1))], 1_000))).await;
    members.level(view).await;
    for at in (0..3).filter(|at| *at != leader) {
        members.stop(at).await;
    }
    until("it no longer leads", || members.at(leader).source_role() == SourceRole::Follower).await;
    let rejected = members.at(leader).write(write(view, &[(2, Some(2))], 1_000)).await;
    assert!(matches!(&rejected, Err(WriteError::LeaderUnavailable(_))), "{rejected:?}");
    assert_eq!(members.get(leader, view, 1), Some(1));
    members.open((leader + 1) % 3).await;
    members.put(leader, quorum(write(view, &[(2, Some(2))], 1_000))).await;
    members.level(view).await;
}

/// Another program wrote to the member's log: its records have the LSNs and the epoch of the leader's, and only their
/// hashes differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_log_has_forked_follows_the_leader_and_keeps_its_own_records_as_a_detached_tail() {
    let mut members = Members::start(support::config()).await;
    let view = members.view().await;
    let leader = members.leader(&[0, 1, 2]).await;
    let forked = (leader + 1) % 3;
    members.put(leader, quorum(write(view, &[(1, Some(1))], 1_000))).await;
    members.level(view).await;
    members.stop(forked).await;
    let (disk, components) = (members.all[forked].disk.clone(), members.all[forked].components.clone());
    let other = support::try_start(support::config(), disk, components).await.unwrap();
    for key in 10..15 {
        other.put(view, key, 7, 1_000).await.unwrap();
    }
    other.stop().await;
    for key in 20..28 {
        members.put(leader, quorum(write(view, &[(key, Some(2))], 1_000))).await;
    }
    members.open(forked).await;
    members.level(view).await;
    assert_eq!((members.get(forked, view, 10), members.get(forked, view, 20)), (None, Some(2)));
    let tails = members.at(forked).tails().unwrap();
    let listed = tails.list().unwrap();
    assert_eq!(listed.len(), 1, "the records that only it had are kept: {listed:?}");
}
