//! Leaders of several regions that replicate to each other.

use super::support::{Running, read, try_start};
use littoral_feed::server;
use littoral_feed::source::FeedLog as _;
use littoral_leader::{Config, OtherRegion};
use littoral_log::storage::Memory;
use littoral_model::{
    freshness::{OnUnmet, ReadDemand},
    ports::{FeatureReader as _, Node as _},
    position::Lsn,
    read::ReadRequest,
    region::Region,
    token::Watermark,
    view::ViewId,
    write::{WriteConcern, WriteRequest},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub const NAMES: [&str; 3] = ["eu", "us", "asia"];

pub fn region(name: &str) -> Region {
    name.parse().unwrap()
}

/// Leaders of several regions that know each other, each behind a real peer listener.
pub struct Regions {
    pub nodes: Vec<Option<Running>>,
    pub listeners: Vec<(SocketAddr, CancellationToken)>,
    /// Whether the whole cluster is new, so that no region waits for another.
    pub init: bool,
}

impl Regions {
    pub async fn start(count: usize) -> Self {
        let mut regions = Self::none(count).await;
        regions.init = true;
        for at in 0..count {
            regions.open(at, Memory::new(), Memory::new()).await;
        }
        regions.init = false;
        regions
    }

    /// Regions that are not running.
    pub async fn none(count: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listeners.push((listener.local_addr().unwrap(), CancellationToken::new()));
        }
        Self { nodes: (0..count).map(|_| None).collect(), listeners, init: false }
    }

    pub fn config(&self, at: usize) -> Config {
        let others = (0..self.listeners.len()).filter(|other| *other != at);
        Config {
            region: region(NAMES[at]),
            name: NAMES[at].to_owned(),
            catalogue_home: Some(region(NAMES[0])),
            regions: others
                .map(|other| OtherRegion {
                    name: region(NAMES[other]),
                    peers: vec![self.listeners[other].0.to_string()],
                })
                .collect(),
            init: self.init,
            ..super::support::config()
        }
    }

    pub async fn open(&mut self, at: usize, disk: Memory, components: Memory) {
        let node = try_start(self.config(at), disk, components).await.unwrap();
        self.nodes[at] = Some(node);
        self.serve(at).await;
    }

    /// Accepts connections of other regions.
    pub async fn serve(&mut self, at: usize) {
        let listener = loop {
            if let Ok(listener) = TcpListener::bind(self.listeners[at].0).await {
                break listener;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let stop = CancellationToken::new();
        self.listeners[at].1 = stop.clone();
        let config = server::Config { heartbeat_ms: 20, ..server::Config::default() };
        tokio::spawn(server::serve(listener, Arc::new(self.at(at).leader.clone()), config, stop));
    }

    /// Closes the connections of other regions to this one, and accepts no new ones. It still connects to others.
    pub fn shut(&self, at: usize) {
        self.listeners[at].1.cancel();
    }

    pub async fn crash(&mut self, at: usize, seed: u64) {
        self.shut(at);
        let node = self.nodes[at].take().unwrap();
        let (disk, components) = (node.disk.crash(seed), node.components.crash(seed));
        node.stop().await;
        self.open(at, disk, components).await;
    }

    pub fn at(&self, at: usize) -> &Running {
        self.nodes[at].as_ref().unwrap()
    }

    pub async fn view(&self, name: &str) -> ViewId {
        let id = self.at(0).view(name).await;
        for at in 0..self.nodes.len() {
            until("the view is everywhere", || self.at(at).leader.catalogue().view(name).is_some()).await;
            assert_eq!(self.at(at).leader.catalogue().view(name).unwrap().id, id);
        }
        id
    }

    /// Waits until every region has every write so far, and compares all rows.
    pub async fn level(&self) {
        let mut all = Watermark::default();
        for node in self.nodes.iter().flatten() {
            // Records that only state other regions' positions do not count.
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

    pub async fn last_own_write(&self, node: &Running) -> Lsn {
        let (own, mut last, mut from) = (node.leader.region(), Lsn::NONE, 1);
        loop {
            let block = node.leader.records(Lsn(from), 1 << 20).await.unwrap();
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
pub type RowContent = (u32, Vec<u8>, Option<Vec<u8>>, u64, String);

/// Every row and tombstone, as digests compare them: without the LSN that each log assigns.
pub fn rows(node: &Running) -> Vec<RowContent> {
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

pub async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("this never happened: {what}");
}

pub fn regions_wanted(mut request: WriteRequest, count: u8, wait_ms: u32) -> WriteRequest {
    (request.concern, request.concern_wait_ms) = (WriteConcern::Regions(count), wait_ms);
    request
}

pub fn demanding(view: ViewId, key: i64, token: &Watermark) -> ReadRequest {
    let demand = ReadDemand {
        at_least: Some(token.clone()),
        on_unmet: OnUnmet::Wait,
        wait_max: Duration::from_secs(20),
        ..ReadDemand::default()
    };
    ReadRequest { demand, ..read(view, &[key]) }
}
