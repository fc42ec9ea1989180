//! An edge does not rely on its publisher for residency rules: it discards rows that its region may not hold. The
//! publisher here sends them because the edge's certificate is of another region than its configuration.

use crate::{leader::*, support::*};
use littoral_edge::Config;
use littoral_feed::{
    server::{self, Shared},
    source::FeedLog as _,
};
use littoral_model::{
    catalogue::CatalogueChange,
    freshness::{Consistency, ReadDemand},
    ports::*,
    position::Lsn,
    project::Project,
    read::ReadError,
    record::Payload,
    view::ViewId,
};
use littoral_tls::{
    self as tls, Identity, Tls,
    ca::{Ca, LIFETIME, Leaf},
    files,
};
use littoral_wire::records;
use std::{path::Path, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The view whose rows only `east` may hold.
const RESTRICTED: u32 = 3;
/// A value whose bytes no file of an edge elsewhere contains.
const SECRET: i64 = 0x5345_4352_4554_2121;

struct World {
    leader: Arc<Leader>,
    address: String,
    ca: Ca,
    dir: tempfile::TempDir,
    _stop: DropGuard,
}

fn certified(ca: &Ca, dir: &Path, identity: &str) -> Tls {
    let identity: Identity = identity.parse().unwrap();
    let file = dir.join(format!("{}.pem", identity.name));
    let leaf = Leaf { identity, dns_names: Vec::new(), addresses: Vec::new(), lifetime: LIFETIME };
    files::install(&file, &file, &ca.issue(&leaf).unwrap()).unwrap();
    Tls::load(&tls::Config { cert: Some(file), trust: Some(ca.trust_file()), ..tls::Config::default() }).unwrap()
}

impl World {
    /// Starts a leader whose view [`RESTRICTED`] has rows that only its region may hold.
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::init(&dir.path().join("ca"), "prod").unwrap();
        let leader = Leader::new(7);
        let project = Project { name: "fraud".into(), regions: vec![region()], ..Project::default() };
        leader.take(CatalogueChange::PutProject(Box::new(project)));
        leader.take(CatalogueChange::PutView(view("fraud/v")));
        for key in 0..100 {
            leader.put(1, key, 1);
            leader.put(RESTRICTED, key, SECRET);
        }
        let (listener, stop) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), CancellationToken::new());
        let address = listener.local_addr().unwrap().to_string();
        let config = server::Config { heartbeat_ms: 20, ..server::Config::default() };
        let shared = Shared::new(leader.clone(), config, stop.clone());
        let shared = shared.with_tls(certified(&ca, dir.path(), "littoral://prod/east/leader/m1"));
        tokio::spawn(server::serve_shared(listener, shared));
        Self { leader, address, ca, dir, _stop: stop.drop_guard() }
    }

    /// Starts an edge whose certificate is one of `east`, in this region by its configuration.
    async fn edge(&self, name: &str, region: &str) -> TestEdge {
        let data = self.dir.path().join(format!("data-{name}"));
        let mut config = Config { region: Some(region.parse().unwrap()), ..stored(&self.address, &data) };
        config.views.clear();
        let identity = format!("littoral://prod/east/relay/{name}");
        config.leader.tls = Some(certified(&self.ca, self.dir.path(), &identity));
        let edge = start(config).await;
        edge.bootstrapped().await;
        edge
    }

    fn has_secret(&self, name: &str) -> bool {
        let file = std::fs::read(self.dir.path().join(format!("data-{name}/replica.snapshot"))).unwrap();
        let secret = body(SECRET);
        file.windows(secret.len()).any(|window| window == secret)
    }
}

fn rows_of(edge: &TestEdge) -> (String, u64) {
    let status = edge.node.status();
    let view = status.views.iter().find(|view| view.name == "fraud/v").expect("the view is in the catalogue");
    (view.residency.clone(), view.rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_region_may_not_hold_are_discarded_from_snapshots_and_the_tail() {
    let world = World::start().await;
    let (inside, outside) = (world.edge("inside", "east").await, world.edge("outside", "west").await);
    assert_eq!((rows_of(&inside), rows_of(&outside)), (("full".to_owned(), 100), ("outside".to_owned(), 0)));
    for key in 100..110 {
        world.leader.put(RESTRICTED, key, SECRET);
    }
    let token = world.leader.delete(RESTRICTED, 3);
    let token_of_other = world.leader.put(1, 5, 2);
    for edge in [&inside, &outside] {
        // The stream is dense: later records of other projects are applied.
        assert_eq!(edge.values(1, &[4, 5], &token_of_other).await, [Some(1), Some(2)]);
        edge.read(1, &[4], at_least(&token)).await;
    }
    assert_eq!((rows_of(&inside), rows_of(&outside)), (("full".to_owned(), 109), ("outside".to_owned(), 0)));
    assert_eq!(outside.node.page(ViewId(RESTRICTED), None, 10).map(|page| page.rows.len()), None);
    // A relay publishes stubs in place of the rows, under the same hashes.
    let head = outside.node.status().position.lsn;
    let mut withheld = 0;
    let mut next = Lsn(head.0 - 11);
    while next <= head {
        let block = outside.node.records(next, 1).await.unwrap();
        for record in records::iter(&block.bytes) {
            let record = record.unwrap();
            withheld += u32::from(record.payload == Payload::Withheld);
            if let Payload::Row { view, .. } | Payload::Tombstone { view, .. } = record.payload {
                assert_ne!(view.0, RESTRICTED);
            }
        }
        next = block.last.next();
    }
    assert_eq!(withheld, 11);
    assert_eq!(outside.node.chain_at(head), world.leader.chain_at(head));
    for edge in [inside, outside] {
        edge.stop().await;
    }
    assert!(world.has_secret("inside") && !world.has_secret("outside"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_region_may_not_hold_are_not_requested() {
    let world = World::start().await;
    let (inside, outside) = (world.edge("inside", "east").await, world.edge("outside", "west").await);
    let before = world.leader.keys_read.load(std::sync::atomic::Ordering::SeqCst);
    for consistency in [Consistency::Replica, Consistency::Leader, Consistency::Quorum] {
        let demand = || ReadDemand { consistency, ..ReadDemand::default() };
        let rejected = outside.node.read(&request(RESTRICTED, [1], demand())).await;
        let Err(ReadError::OutsideRegions(reason)) = rejected else { panic!("{consistency:?}: {rejected:?}") };
        assert!(reason.contains("rows of view 'fraud/v' stay in 'east'"), "{reason}");
    }
    assert_eq!(world.leader.keys_read.load(std::sync::atomic::Ordering::SeqCst), before);
    assert_eq!(values(&inside.read(RESTRICTED, &[1], ReadDemand::default()).await), [Some(SECRET)]);
}
