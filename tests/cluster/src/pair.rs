//! Two regions of real processes that replicate to each other.

use crate::{accounts, equality};
use littoral_provision::{Node, Plan, cluster::eventually, http::Answer};
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

/// How long to wait for any condition.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// Two regions; `east` is the catalogue's home.
#[derive(Debug)]
pub struct Pair {
    /// The leader in the east.
    pub east: Node,
    /// The leader in the west.
    pub west: Node,
    /// The directory of their data.
    pub dir: tempfile::TempDir,
}

/// Returns a free address.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// Returns the plan of a region's leader.
#[must_use]
pub fn plan(dir: &Path, region: &str, peer: SocketAddr, (other, other_peer): (&str, SocketAddr)) -> Plan {
    let config = format!(
        "catalogue_home = \"east\"\n[[regions]]\nname = \"{other}\"\npeers = [\"{other_peer}\"]\n[leader]\nregion = \"{region}\"\n\
         checkpoint_interval_ms = 200\n"
    );
    let plan = Plan { name: region.to_owned(), peer, ..Plan::leader(&dir.join(region)) };
    plan.with_config(&config)
}

impl Pair {
    /// Starts both, creates the view, and writes a row in each, as in any pair of active regions: row 900 in the west,
    /// 901 in the east.
    ///
    /// # Panics
    /// When that does not happen in time.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().expect("a directory");
        let (east_peer, west_peer) = (free(), free());
        let east = Node::start(plan(dir.path(), "east", east_peer, ("west", west_peer))).expect("the east starts");
        let west = Node::start(plan(dir.path(), "west", west_peer, ("east", east_peer))).expect("the west starts");
        accounts::make_view(&east);
        let pair = Self { east, west, dir };
        let view = format!("/v1/views/{}", accounts::VIEW);
        eventually("the view is everywhere", WAIT_MAX, || {
            pair.west.client().get(&view).is_ok_and(|answer| answer.status == 200)
        });
        write(&pair.west, 900, "regions=1");
        write(&pair.east, 901, "regions=1");
        pair
    }

    /// Starts an edge that follows the east only.
    ///
    /// # Panics
    /// When it does not start, or does not catch up with the east.
    #[must_use]
    pub fn edge(&self) -> Node {
        let peer = self.east.ready.peer.expect("a leader has a peer address");
        let plan = Plan::edge("edge", &self.dir.path().join("edge"), peer);
        let edge = Node::start(plan.with_config("[edge]\nreconnect_ms_max = 200\n")).expect("the edge starts");
        eventually("the edge has what its leader has", WAIT_MAX, || has(&edge, 900) && has(&edge, 901));
        edge
    }

    /// Waits until both have these rows, and all their rows are equal.
    ///
    /// # Panics
    /// When that does not happen in time.
    pub fn both_have(&self, ids: impl IntoIterator<Item = i64>) {
        for id in ids {
            eventually(&format!("both have row {id}"), WAIT_MAX, || has(&self.east, id) && has(&self.west, id));
        }
        eventually("both hold the same rows", WAIT_MAX, || rows(&self.east) == rows(&self.west));
    }
}

/// Writes a row with a write concern, and waits for it up to a timeout.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn try_write(node: &Node, id: i64, concern: &str, wait: Duration) -> Answer {
    let wait = wait.as_millis().to_string();
    let headers = [("littoral-concern", concern), ("littoral-wait-ms", &*wait)];
    accounts::write_with(&mut node.client(), &[accounts::row(id, 1)], &headers).expect("the node answers")
}

/// Writes a row and returns its token.
///
/// # Panics
/// When it is not acknowledged with its write concern.
pub fn write(node: &Node, id: i64, concern: &str) -> String {
    let answer = try_write(node, id, concern, WAIT_MAX / 2).ok();
    answer.json()["token"].as_str().expect("a write answers with a token").to_owned()
}

/// Returns whether a node has a row.
#[must_use]
pub fn has(node: &Node, id: i64) -> bool {
    let answer = accounts::read(&mut node.client(), &[id], &[]);
    answer.is_ok_and(|answer| answer.status == 200 && accounts::balances(&answer)[0].is_some())
}

/// Returns all rows of a node without their LSNs, which differ from region to region.
#[must_use]
pub fn rows(node: &Node) -> Vec<Value> {
    let mut rows = equality::held_rows(node);
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.remove("lsn");
    }
    rows
}

/// Returns why a node is degraded; null when it is not.
#[must_use]
pub fn degraded(node: &Node) -> Value {
    node.status()["degraded"].clone()
}

/// Returns whether a node accepts writes, from its status.
#[must_use]
pub fn is_writable(node: &Node) -> bool {
    node.status()["writable"] == json!(true)
}
