//! Residency rules at a publisher: a peer receives no row that its region may not hold, whatever it requests and
//! states.

mod support;

use littoral_feed::{
    client,
    server::{self, Config, Shared},
};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    freshness::Consistency,
    lineage::Lineage,
    ports::FeatureReader,
    position::{Epoch, Incarnation, Lsn, Position},
    project::{Project, Receiver},
    read::ReadError,
    record::{Payload, Record},
    region::Region,
    view::ViewId,
};
use littoral_protocol::{
    frame::*,
    members::rpc::Request,
    subscriber::{Block, BlockCheck},
};
use littoral_tls::{
    self as tls, Identity, Tls,
    ca::{Ca, LIFETIME, Leaf},
    files,
};
use littoral_wire::{records, rows};
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};
use support::*;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The view whose rows only `eu` may hold: made by records 3 (its project) and 4.
const RESTRICTED: u32 = 3;

fn us() -> Region {
    "us".parse().unwrap()
}

/// A leader in `eu` with rows in the views 1 and [`RESTRICTED`]: records 5 to 10.
fn leader() -> Arc<Leader> {
    restricted_to(region())
}

/// Like [`leader`], with another region that alone may hold the rows.
fn restricted_to(allowed: Region) -> Arc<Leader> {
    restrict(Leader::new(), allowed)
}

/// Makes `region` the only one that may hold the rows, and writes some.
fn restrict(leader: Arc<Leader>, allowed: Region) -> Arc<Leader> {
    let project = Project { name: "fraud".into(), regions: vec![allowed], ..Project::default() };
    leader.append(Payload::Catalogue(Box::new(CatalogueChange::PutProject(Box::new(project)))));
    leader.make_view("fraud/v");
    for key in 0..3 {
        leader.put(1, key);
        leader.put(RESTRICTED, key);
    }
    leader
}

/// Connects as a node that states this region.
async fn connect_from(address: &str, region: Option<Region>) -> client::Connection {
    let config = client::Config { leader: vec![address.to_owned()], region, ..client::Config::default() };
    client::connect(&config).await.unwrap()
}

/// The views of the rows that a subscriber receives: those of a snapshot, or of the tail behind record 4.
async fn received(address: &str, region: Option<Region>, views: Views, resume: Option<Resume>) -> Vec<u32> {
    received_by(connect_from(address, region).await, views, resume).await
}

async fn received_by(mut peer: client::Connection, views: Views, resume: Option<Resume>) -> Vec<u32> {
    peer.sender.send(&hello(views, resume)).unwrap();
    let mode = next_hello(&mut peer.receiver).await.mode;
    let mut views = Vec::new();
    loop {
        match next(&mut peer.receiver).await {
            Downstream::SnapshotBegin { .. } => {}
            Downstream::SnapshotRows { bytes, .. } => {
                views.extend(rows::iter(&bytes).map(|row| row.unwrap().unwrap().view.0));
            }
            Downstream::SnapshotEnd { rows } => {
                assert_eq!((mode, rows), (Mode::Snapshot, views.len() as u64));
                break;
            }
            Downstream::Records { last, bytes, .. } => {
                views.extend(records::iter(&bytes).filter_map(|record| match record.unwrap().payload {
                    Payload::Row { view, .. } => Some(view.0),
                    _ => None,
                }));
                if last == Lsn(10) {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    views.sort_unstable();
    views
}

#[tokio::test]
async fn only_a_peer_in_the_allowed_region_receives_the_rows() {
    let served = serve_leader(leader(), Config::default()).await;
    let behind = Some(served.leader.resume_at(4));
    for resume in [None, behind] {
        for views in [Views::All, Views::Names(vec!["a".into(), "fraud/v".into()])] {
            let all = received(&served.address, Some(region()), views.clone(), resume).await;
            assert_eq!(all, [1, 1, 1, 3, 3, 3], "{views:?}");
            for elsewhere in [Some(us()), None] {
                let some = received(&served.address, elsewhere, views.clone(), resume).await;
                assert_eq!(some, [1, 1, 1], "{views:?} in {elsewhere:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_leader_of_another_region_that_requests_records_for_an_allowed_one_receives_none() {
    let served = serve_leader(leader(), Config::default()).await;
    for resume in [None, Some(served.leader.resume_at(4))] {
        for (stated, requested) in [(Some(us()), region()), (Some(region()), us()), (None, us())] {
            let received = received(&served.address, stated, Views::ForRegion(requested), resume).await;
            assert!(!received.contains(&RESTRICTED), "{stated:?} for {requested}");
        }
        let received = received(&served.address, Some(region()), Views::ForRegion(region()), resume).await;
        assert!(received.contains(&RESTRICTED));
    }
}

#[tokio::test]
async fn a_certificate_counts_and_not_what_the_peer_states() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::init(&dir.path().join("ca"), "prod").unwrap();
    let tls = |identity: &str| {
        let identity: Identity = identity.parse().unwrap();
        let file = dir.path().join(format!("{}.pem", identity.name));
        let leaf = Leaf { identity, dns_names: Vec::new(), addresses: Vec::new(), lifetime: LIFETIME };
        files::install(&file, &file, &ca.issue(&leaf).unwrap()).unwrap();
        Tls::load(&tls::Config { cert: Some(file), trust: Some(ca.trust_file()), ..tls::Config::default() }).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (leader, shutdown) = (leader(), CancellationToken::new());
    let _end = shutdown.clone().drop_guard();
    let shared = Shared::new(leader.clone(), Config::default(), shutdown).with_tls(tls("littoral://prod/eu/leader/m1"));
    tokio::spawn(server::serve_shared(listener, shared));
    let connect = async |identity: &str, stated: Region| {
        let (leader, tls) = (vec![address.clone()], Some(tls(identity)));
        let config = client::Config { leader, region: Some(stated), tls, ..client::Config::default() };
        client::connect(&config).await.unwrap()
    };
    for (identity, is_allowed) in [
        ("littoral://prod/us/edge/liar", false),
        ("littoral://prod/us/relay/liar", false),
        ("littoral://prod/eu/edge/e1", true),
    ] {
        for stated in [region(), us()] {
            for resume in [None, Some(leader.resume_at(4))] {
                let received = received_by(connect(identity, stated).await, Views::All, resume).await;
                assert_eq!(received.contains(&RESTRICTED), is_allowed, "{identity} that states {stated}");
            }
            let calls = connect(identity, stated).await.calls;
            let read = calls.read(keys(RESTRICTED, [1]), Consistency::Replica).await;
            assert_eq!(matches!(read, Err(ReadError::OutsideRegions(_))), !is_allowed, "{identity}: {read:?}");
            let bucket = calls.bucket(ViewId(RESTRICTED), 0, None).await;
            assert_eq!(matches!(bucket, Err(ReadError::OutsideRegions(_))), !is_allowed, "{identity}: {bucket:?}");
        }
    }
    // A leader of another region: for its own region it receives none, and for the allowed one it may not subscribe.
    let other = "littoral://prod/us/leader/l1";
    let received = received_by(connect(other, region()).await, Views::ForRegion(us()), None).await;
    assert!(!received.contains(&RESTRICTED));
    let mut liar = connect(other, region()).await;
    liar.sender.send(&hello(Views::ForRegion(region()), None)).unwrap();
    match next(&mut liar.receiver).await {
        Downstream::Error { message, .. } => {
            assert!(message.contains("may not replicate for region 'eu'"), "{message}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn calls_return_no_row_outside_the_allowed_region() {
    let served = serve_leader(leader(), Config::default()).await;
    for elsewhere in [Some(us()), None] {
        let calls = connect_from(&served.address, elsewhere).await.calls;
        for consistency in [Consistency::Replica, Consistency::Leader] {
            let read = calls.read(keys(RESTRICTED, [1]), consistency).await;
            let Err(ReadError::OutsideRegions(reason)) = read else { panic!("{read:?}") };
            assert!(reason.contains("rows of view 'fraud/v' stay in 'eu'"), "{reason}");
        }
        assert!(matches!(calls.held(keys(RESTRICTED, [1])).await, Err(ReadError::OutsideRegions(_))));
        assert!(matches!(calls.bucket(ViewId(RESTRICTED), 0, None).await, Err(ReadError::OutsideRegions(_))));
        assert!(calls.read(keys(1, [1]), Consistency::Replica).await.is_ok());
    }
    let calls = connect_from(&served.address, Some(region())).await.calls;
    assert!(calls.read(keys(RESTRICTED, [1]), Consistency::Replica).await.unwrap().rows[0][0].is_some());
}

#[tokio::test]
async fn the_stream_to_a_peer_elsewhere_stays_dense_and_chained() {
    let served = serve_leader(leader(), Config::default()).await;
    let mut peer = connect_from(&served.address, Some(us())).await;
    let resume = served.leader.resume_at(4);
    peer.sender.send(&hello(Views::All, Some(resume))).unwrap();
    next_hello(&mut peer.receiver).await;
    let mut chain_before = resume.chain;
    loop {
        let Downstream::Records { first, last, chain_after, bytes } = next(&mut peer.receiver).await else { panic!() };
        let epoch_min = Epoch::FIRST;
        let block = Block { first, last, chain_before, chain_after, bytes, dense: true, epoch_min };
        let mut check = BlockCheck::new(&block);
        let all: Vec<Record<'_>> = records::iter(&block.bytes).map(|record| record.unwrap()).collect();
        all.iter().for_each(|record| check.record(record).unwrap());
        check.finish().unwrap();
        chain_before = chain_after;
        if last == Lsn(10) {
            break;
        }
    }
    assert_eq!(chain_before, served.leader.last().chain);
}

#[tokio::test]
async fn a_rule_that_is_created_while_a_peer_follows_concerns_it_at_once() {
    let served = serve_leader(Leader::new(), Config::default()).await;
    let mut peer = connect_from(&served.address, Some(us())).await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    let project = Project { name: "fraud".into(), regions: vec![region()], ..Project::default() };
    served.leader.append(Payload::Catalogue(Box::new(CatalogueChange::PutProject(Box::new(project)))));
    served.leader.make_view("fraud/v");
    served.leader.put(RESTRICTED, 1);
    let mut withheld = 0;
    loop {
        let Downstream::Records { last, bytes, .. } = next(&mut peer.receiver).await else { panic!() };
        for record in records::iter(&bytes) {
            let record = record.unwrap();
            assert!(!matches!(record.payload, Payload::Row { .. }));
            withheld += u32::from(record.payload == Payload::Withheld);
        }
        if last == Lsn(5) {
            break;
        }
    }
    assert_eq!(withheld, 1);
}

#[tokio::test]
async fn only_a_node_of_the_logs_region_can_be_a_member_once_there_are_rules() {
    // The rule allows `us` as well, but a member receives every record, and there may be other rules.
    let leader = Leader::new();
    let project = Project { name: "fraud".into(), regions: vec![region(), us()], ..Project::default() };
    leader.append(Payload::Catalogue(Box::new(CatalogueChange::PutProject(Box::new(project)))));
    leader.make_view("fraud/v");
    let restricted_elsewhere = restricted_to(us());
    for (leader, stated, is_allowed) in [
        (leader.clone(), Some(region()), true),
        (leader.clone(), Some(us()), false),
        (leader, None, false),
        (restricted_elsewhere.clone(), Some(region()), true),
        (restricted_elsewhere, Some(us()), false),
        (Leader::new(), None, true),
    ] {
        let served = serve_leader(leader, Config::default()).await;
        let prepare = Request::Prepare { member: "m2".into(), epoch: Epoch(9) };
        let error = connect_from(&served.address, stated).await.calls.member(prepare).await.unwrap_err().to_string();
        // This node has no members, so a call that is allowed is answered with that.
        let expected = if is_allowed { "is the only member of its region" } else { "only a node of region 'eu'" };
        assert!(error.contains(expected), "{stated:?}: {error}");
    }
}

#[tokio::test]
async fn a_relay_answers_no_call_about_a_view_whose_rule_it_does_not_know() {
    // It is in the region that may hold the rows, so the leader would answer calls that it forwards.
    let relay = restrict(Leader::relay(Receiver::In(region())), region());
    let served = serve_leader(relay.clone(), Config::default()).await;
    let applied = &relay.relay.as_ref().unwrap().catalogue;
    for (known, expected) in [
        (None, "has not finished its first snapshot"),
        (Some(Leader::new().catalogue()), "the definition of view number 3"),
        (Some(relay.catalogue()), "rows of view 'fraud/v' stay in 'eu'"),
    ] {
        *applied.lock() = known;
        let calls = connect_from(&served.address, Some(us())).await.calls;
        let rejected = [
            calls.bucket(ViewId(RESTRICTED), 0, None).await.map(drop).unwrap_err(),
            calls.read(keys(RESTRICTED, [1]), Consistency::Leader).await.map(drop).unwrap_err(),
            calls.read(keys(RESTRICTED, [1]), Consistency::Replica).await.map(drop).unwrap_err(),
            calls.quorum(keys(RESTRICTED, [1]), Duration::ZERO).await.map(drop).unwrap_err(),
        ];
        for error in rejected {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    let calls = connect_from(&served.address, Some(region())).await.calls;
    assert!(calls.read(keys(RESTRICTED, [1]), Consistency::Replica).await.unwrap().rows[0][0].is_some());
}

#[tokio::test]
async fn records_are_never_filtered_by_the_rules_of_a_replica_that_replaced_theirs() {
    // At an edge there is no replica for a moment, or already one of another log.
    for next_catalogue in [None, Some(Leader::new().catalogue())] {
        let relay = restrict(Leader::relay(Receiver::In(region())), region());
        let state = relay.relay.as_ref().unwrap();
        *state.catalogue.lock() = Some(relay.catalogue());
        let served = serve_leader(relay.clone(), Config::default()).await;
        let mut peer = connect_from(&served.address, Some(us())).await;
        peer.sender.send(&hello(Views::All, Some(relay.last()))).unwrap();
        next_hello(&mut peer.receiver).await;
        *state.replaced_by.lock() = Some(next_catalogue);
        relay.put(RESTRICTED, 9);
        match next(&mut peer.receiver).await {
            Downstream::Error { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Subscribes in `eu` at a relay, and returns the reason if it rejects the subscription.
async fn rejection(relay: &Arc<Leader>, views: Views) -> Option<String> {
    *relay.relay.as_ref().unwrap().catalogue.lock() = Some(relay.catalogue());
    let served = serve_leader(relay.clone(), Config::default()).await;
    let mut peer = connect_from(&served.address, Some(region())).await;
    peer.sender.send(&hello(views, Some(relay.last()))).unwrap();
    match next(&mut peer.receiver).await {
        Downstream::Error { code: ErrorCode::Behind, message } => Some(message),
        Downstream::Hello(_) => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_relay_rejects_only_subscribers_that_request_rows_of_views_that_it_may_not_hold() {
    for held_in in [Receiver::In(us()), Receiver::Unknown] {
        let relay = restrict(Leader::relay(held_in), region());
        for views in [Views::All, Views::Names(vec!["a".into(), "fraud/v".into()])] {
            let reason = rejection(&relay, views).await.expect("it would lack rows");
            assert!(reason.contains("rows of view 'fraud/v'"), "{reason}");
        }
        assert_eq!(rejection(&relay, Views::Names(vec!["a".into()])).await, None);
        for change in [CatalogueChange::DropView("fraud/v".into()), CatalogueChange::DropProject("fraud".into())] {
            relay.append(Payload::Catalogue(Box::new(change)));
        }
        assert_eq!(rejection(&relay, Views::All).await, None, "nobody lacks rows of a dropped view");
    }
}

/// How the leader brings a replica in `eu` up to date that comes from the log of `us`.
async fn comes_from_us(leader: &Arc<Leader>, views: Views) -> Mode {
    let served = serve_leader(leader.clone(), Config::default()).await;
    let mut peer = connect_from(&served.address, Some(region())).await;
    let position = Position { incarnation: Incarnation(70), lsn: Lsn(4) };
    let Upstream::Hello(mut greeting) = hello(views, Some(Resume { position, ..leader.last() })) else { panic!() };
    greeting.lineages.set(us(), Lineage::of(position.incarnation));
    peer.sender.send(&Upstream::Hello(greeting)).unwrap();
    next_hello(&mut peer.receiver).await.mode
}

#[tokio::test]
async fn a_replica_of_another_regions_log_takes_a_snapshot_only_while_it_lacks_rows() {
    let leader = leader();
    leader.rehomes_after.store(4, SeqCst);
    assert_eq!(comes_from_us(&leader, Views::All).await, Mode::Snapshot);
    assert_eq!(comes_from_us(&leader, Views::Names(vec!["a".into()])).await, Mode::Tail);
    leader.append(Payload::Catalogue(Box::new(CatalogueChange::DropView("fraud/v".into()))));
    assert_eq!(comes_from_us(&leader, Views::All).await, Mode::Tail);
}

#[tokio::test]
async fn a_relay_ends_a_stream_before_the_record_that_creates_a_view_whose_rows_it_may_not_hold() {
    for held_in in [Receiver::In(us()), Receiver::Unknown] {
        let relay = Leader::relay(held_in);
        let applied = &relay.relay.as_ref().unwrap().catalogue;
        *applied.lock() = Some(relay.catalogue());
        let served = serve_leader(relay.clone(), Config::default()).await;
        let mut peer = connect_from(&served.address, Some(region())).await;
        peer.sender.send(&hello(Views::All, Some(relay.last()))).unwrap();
        next_hello(&mut peer.receiver).await;
        // A relay applies records, and then its head shows them.
        let project = Project { name: "fraud".into(), regions: vec![region()], ..Project::default() };
        let mut later = Catalogue::clone(&relay.catalogue());
        for change in [CatalogueChange::PutProject(Box::new(project)), CatalogueChange::PutView(view("fraud/v"))] {
            let change = later.prepare(change).unwrap().unwrap();
            later.apply(&change);
            *applied.lock() = Some(Arc::new(later.clone()));
            relay.append(Payload::Catalogue(Box::new(change)));
        }
        let reason = loop {
            match next(&mut peer.receiver).await {
                Downstream::Records { last, .. } => assert!(last < Lsn(4), "the view's record was sent"),
                Downstream::Error { code: ErrorCode::Behind, message } => break message,
                other => panic!("{other:?}"),
            }
        };
        assert!(reason.contains("rows of view 'fraud/v'"), "{reason}");
    }
}
