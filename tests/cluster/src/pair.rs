//! Two regions of real processes, which take each other's records.

use crate::{accounts, equality};
use littoral_provision::{Node, Plan, cluster::eventually, http::Answer};
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

/// How long anything may take until it comes about.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Two regions; `east` is the catalogue's home.
#[derive(Debug)]
pub struct Pair {
    /// The leader of one.
    pub east: Node,
    /// The leader of the other.
    pub west: Node,
    /// Where they keep their data.
    pub dir: tempfile::TempDir,
}

/// An address that nobody has just now.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// A region's leader that is to be started.
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
    /// Starts both, makes the view and writes a row in each, as in any pair of active regions: row 900 in the west, 901 in the east.
    ///
    /// # Panics
    /// When that does not come about.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().expect("a directory");
        let (east_peer, west_peer) = (free(), free());
        let east = Node::start(plan(dir.path(), "east", east_peer, ("west", west_peer))).expect("the east starts");
        let west = Node::start(plan(dir.path(), "west", west_peer, ("east", east_peer))).expect("the west starts");
        accounts::make_view(&east);
        let pair = Self { east, west, dir };
        let view = format!("/v1/views/{}", accounts::VIEW);
        eventually("the view is everywhere", PATIENCE, || {
            pair.west.client().get(&view).is_ok_and(|answer| answer.status == 200)
        });
        write(&pair.west, 900, "regions=1");
        write(&pair.east, 901, "regions=1");
        pair
    }

    /// An edge of the east alone.
    ///
    /// # Panics
    /// When it does not start, or does not come to have what the east has.
    #[must_use]
    pub fn edge(&self) -> Node {
        let peer = self.east.ready.peer.expect("a leader has a peer address");
        let plan = Plan::edge("edge", &self.dir.path().join("edge"), peer);
        let edge = Node::start(plan.with_config("[edge]\nreconnect_ms_max = 200\n")).expect("the edge starts");
        eventually("the edge has what its leader has", PATIENCE, || has(&edge, 900) && has(&edge, 901));
        edge
    }

    /// Waits until both have these rows, and the same of all rows.
    ///
    /// # Panics
    /// When that does not come about.
    pub fn both_have(&self, ids: impl IntoIterator<Item = i64>) {
        for id in ids {
            eventually(&format!("both have row {id}"), PATIENCE, || has(&self.east, id) && has(&self.west, id));
        }
        eventually("both hold the same rows", PATIENCE, || rows(&self.east) == rows(&self.west));
    }
}

/// Writes a row, which asks for this, and waits up to so long for it.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn try_write(node: &Node, id: i64, concern: &str, wait: Duration) -> Answer {
    let wait = wait.as_millis().to_string();
    let headers = [("littoral-concern", concern), ("littoral-wait-ms", &*wait)];
    accounts::write_with(&mut node.client(), &[accounts::row(id, 1)], &headers).expect("the node answers")
}

/// Writes a row and gives its token.
///
/// # Panics
/// When it is not acknowledged as it asks.
pub fn write(node: &Node, id: i64, concern: &str) -> String {
    let answer = try_write(node, id, concern, PATIENCE / 2).ok();
    answer.json()["token"].as_str().expect("a write answers with a token").to_owned()
}

/// Whether a node has a row.
#[must_use]
pub fn has(node: &Node, id: i64) -> bool {
    let answer = accounts::read(&mut node.client(), &[id], &[]);
    answer.is_ok_and(|answer| answer.status == 200 && accounts::balances(&answer)[0].is_some())
}

/// All rows of a node, without the number that each region's log gives them.
#[must_use]
pub fn rows(node: &Node) -> Vec<Value> {
    let mut rows = equality::held_rows(node);
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.remove("lsn");
    }
    rows
}

/// Why a node is degraded, as it says; null when it is not.
#[must_use]
pub fn degraded(node: &Node) -> Value {
    node.status()["degraded"].clone()
}

/// Whether a node takes writes, as it says.
#[must_use]
pub fn is_writable(node: &Node) -> bool {
    node.status()["writable"] == json!(true)
}
