//! Tests how the kernel's faults affect the feed, with leader and edge in network namespaces, or with a link where that
//! is impossible.

use crate::rig::{self, Leading, QUICK};
use littoral_cluster::accounts;
use littoral_faults::{
    Link, Network,
    link::Side,
    network::{Site, Unavailable},
};
use littoral_provision::{Node, Plan, apt, missing::say};
use serde_json::json;
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// The connection between leader and edge.
enum Between {
    Sites { leader: Site, edge: Site, _network: Network },
    Host(Runtime, Option<Link>),
}

impl Between {
    /// Creates two sites, or uses this host if that is impossible.
    fn new(test: &str) -> Self {
        Self::sites().unwrap_or_else(|reason| {
            say(format_args!("{test}: NOT IN NETWORK NAMESPACES but over a link in user space, because {reason}"));
            Self::Host(rig::runtime(), None)
        })
    }

    fn sites() -> Result<Self, String> {
        if std::env::var_os("LITTORAL_NO_NAMESPACES").is_some_and(|value| !value.is_empty() && value != "0") {
            return Err("LITTORAL_NO_NAMESPACES forbids them".to_owned());
        }
        apt::program("ip", "iproute2").map_err(|missing| missing.to_string())?;
        let make = || -> Result<Self, Unavailable> {
            let mut network = Network::new()?;
            let (leader, edge) = (network.site("leader")?, network.site("edge")?);
            Ok(Self::Sites { leader, edge, _network: network })
        };
        make().map_err(|reason| reason.to_string())
    }

    /// Places a node: this process reaches its door whatever the state of the trunks, and its feed uses the trunks.
    fn place(&self, plan: Plan) -> Plan {
        let Self::Sites { leader, edge, .. } = self else { return plan };
        let site = if plan.role == "leader" { leader } else { edge };
        Plan {
            door: SocketAddr::new(site.access_address(), 0),
            peer: SocketAddr::new(site.address(), 0),
            launcher: site.launcher(),
            flags: vec!["--insecure".to_owned()],
            ..plan
        }
    }

    /// Returns the address at which the edge reaches its leader.
    fn way_to(&mut self, leader: &Node) -> SocketAddr {
        match self {
            Self::Sites { .. } => leader.ready.peer.unwrap(),
            Self::Host(runtime, made) => made.insert(rig::link(runtime, leader)).address(),
        }
    }

    fn partition(&self) {
        match self {
            Self::Sites { edge, .. } => edge.partition().unwrap(),
            Self::Host(_, link) => link.as_ref().unwrap().cut(Side::Both),
        }
    }

    fn join(&self) {
        match self {
            Self::Sites { edge, .. } => edge.join().unwrap(),
            Self::Host(_, link) => link.as_ref().unwrap().heal(),
        }
    }

    fn narrow(&self, bytes_per_second: Option<NonZeroU32>) {
        match self {
            Self::Sites { edge, .. } => edge.narrow(bytes_per_second).unwrap(),
            Self::Host(_, link) => link.as_ref().unwrap().narrow(bytes_per_second),
        }
    }
}

#[test]
fn an_edge_catches_up_after_its_link_was_down() {
    let mut between = Between::new("link down");
    let leading = Leading::start("link down", "", |plan| between.place(plan));
    let address = between.way_to(&leading.leader);
    let rig = leading.edge(address, QUICK, |plan| between.place(plan));
    // Once shorter than the edge's timeout, once longer.
    for down in [Duration::from_millis(800), Duration::from_millis(4_000)] {
        let partitioned = Instant::now();
        between.partition();
        sleep(down);
        let report = rig.watch.check(partitioned);
        assert!(report.truly_behind_max >= down.mul_f64(0.8), "partitioned for {down:?}: {report}");
        between.join();
        rig.settles(Duration::ZERO);
        eprintln!("link down for {down:?}: settled {:.1?} after it was up", partitioned.elapsed() - down);
    }
    let report = rig.converges(Duration::ZERO);
    assert!(report.leader_lost > 0, "{report}");
}

/// The rows before the edge starts, and the length of the note in each; `LITTORAL_ROWS` sets another number.
const ROWS: u32 = 12_000;
const NOTE_LEN: usize = 250;
/// The bandwidth in bytes per second: 8 Mbit. `LITTORAL_WIDTH` sets another: at 250,000, with 19,000 rows, half of
/// HTTP/2's window takes more than eight seconds, and an edge must not be disconnected for that.
const WIDTH: u32 = 1_000_000;
/// The bytes that may wait at the leader for one edge: few, so that a snapshot of this size reaches the limit.
const LEADER: &str = "[feed]\nsubscriber_bytes_max = 65536\n";

/// Returns a number from the environment.
fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn an_edge_starts_over_a_narrow_link() {
    let mut between = Between::new("narrow bootstrap");
    let leading = Leading::start("narrow bootstrap", LEADER, |plan| between.place(plan));
    let (rows, width) = (number("LITTORAL_ROWS").unwrap_or(ROWS), number("LITTORAL_WIDTH").unwrap_or(WIDTH));
    write_notes(&leading.leader, rows.into());
    let address = between.way_to(&leading.leader);
    between.narrow(NonZeroU32::new(width));
    let begun = Instant::now();
    let mut rig = leading.edge(address, QUICK, |plan| between.place(plan));
    let took = begun.elapsed();
    let least = Duration::from_secs_f64(f64::from(rows) * NOTE_LEN as f64 / f64::from(width)).mul_f64(0.8);
    eprintln!("narrow bootstrap: {rows} rows over {width} bytes a second took {took:.1?}, with writes throughout");
    assert!(took >= least, "the link was not narrow: {took:?}");
    let log = rig.leader.process().log();
    assert_eq!(
        log.matches("a subscriber has joined").count(),
        1,
        "an edge that keeps reading is not disconnected:\n{log}"
    );
    sleep(Duration::from_millis(1_500));
    // The tail needs far less than the bandwidth.
    rig.settles(Duration::from_millis(200));
    between.narrow(None);
    rig.converges(Duration::ZERO);
}

/// Writes notes that cannot be compressed.
fn write_notes(leader: &Node, rows: i64) {
    let mut chance = fastrand::Rng::with_seed(3);
    let mut client = leader.client();
    for first in (0..rows).step_by(1_000) {
        let rows: Vec<_> = (first..rows.min(first + 1_000))
            .map(|id| {
                let note: String = std::iter::repeat_with(|| chance.alphanumeric()).take(NOTE_LEN).collect();
                json!({ "key": { "account_id": 10_000 + id }, "values": { "balance": id, "note": note } })
            })
            .collect();
        accounts::must_write(&mut client, &rows);
    }
}
