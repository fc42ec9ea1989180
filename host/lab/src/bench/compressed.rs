//! A compressed feed beside an uncompressed one: from commit to visible, and the bootstrap of an edge. One leader feeds
//! both kinds of edges, and the rounds alternate. An edge that states another region than the leader's receives a
//! compressed feed.

use crate::bench::{
    data::Rows,
    failure::Failure,
    measurement::{Figures, Measurement},
    names,
    session::Effort,
    setup::Setup,
    visible::{self, Door, RATE},
};
use std::time::Instant;

/// The configuration of an edge that receives a compressed feed.
pub const FAR_EDGE: &str = "[edge]\nregion = \"far\"\n";

/// How much longer a write may take to become visible through a compressed feed.
const VISIBLE_MAX: f64 = 1.3;
/// How much of the rows per second of an uncompressed bootstrap a compressed one reaches at least.
const BOOTSTRAP_MIN: f64 = 0.75;

/// What a leader has sent to the far edge, in bytes.
#[derive(Clone, Copy, Debug)]
struct Sent {
    compressed: f64,
    uncompressed: f64,
}

impl Sent {
    fn so_far(setup: &Setup) -> Result<Self, Failure> {
        let text = setup.cluster.leader.client().get("/metrics")?.text();
        let of = |name: &str| {
            let start = format!("littoral_peer_{name}_bytes_total{{region=\"far\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok());
            value.ok_or_else(|| Failure::new("the leader's metrics", format_args!("no {start}")))
        };
        Ok(Self { compressed: of("sent")?, uncompressed: of("uncompressed")? })
    }

    /// Describes what was sent since `before`.
    fn since(self, before: Self) -> String {
        let (sent, whole) = (self.compressed - before.compressed, self.uncompressed - before.uncompressed);
        format!("{:.1} MB instead of {:.1} MB, {:.2} times less", sent / 1e6, whole / 1e6, whole / sent)
    }
}

/// Measures how long a commit takes to become visible at edge 1, whose feed is compressed, and at edge 0.
pub fn visible(setup: &Setup, rows: Rows, effort: Effort) -> Result<Measurement, Failure> {
    let before = Sent::so_far(setup)?;
    let (mut plain, mut compressed) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        for (edge, figures) in [(0, &mut plain), (1, &mut compressed)] {
            let door = Door::plain(setup.edge_door(edge)?);
            let seen = setup.runtime.block_on(visible::follow(setup.calls(), door, rows, effort, RATE))?;
            figures.push(seen.from_commit.quantile_us(0.99) / 1_000.0);
        }
    }
    let work = format!("commit to visible at an edge with a compressed feed, p99, {RATE} writes/s");
    let measured = Measurement::new(names::COMPRESSED_VISIBLE, work, "ms", &compressed[..]);
    let measured = measured.at_most(VISIBLE_MAX, "uncompressed", Some(Figures::from(&plain[..])));
    Ok(measured.note(format!("the tail took {}", Sent::so_far(setup)?.since(before))))
}

/// Measures the bootstrap of edges with and without a compressed feed.
pub fn bootstrap(setup: &mut Setup, effort: Effort) -> Result<Measurement, Failure> {
    let (mut plain, mut compressed, mut sent) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..effort.rounds {
        for (config, figures) in [(None, &mut plain), (Some(FAR_EDGE), &mut compressed)] {
            let before = Sent::so_far(setup).ok();
            let start = Instant::now();
            let edge = setup.add_edge(config)?;
            setup.catch_up()?;
            figures.push(effort.rows_large as f64 / start.elapsed().as_secs_f64());
            if config.is_some() {
                let nothing = Sent { compressed: 0.0, uncompressed: 0.0 };
                sent = Sent::so_far(setup)?.since(before.unwrap_or(nothing));
            }
            // Further edges would only compete for memory.
            setup.cluster.edges.remove(edge);
        }
    }
    let work = format!("bootstrap of an edge with a compressed feed, {} rows", effort.rows_large);
    let measured = Measurement::new(names::COMPRESSED_BOOTSTRAP, work, "rows/s", &compressed[..]);
    let measured = measured.at_least(BOOTSTRAP_MIN, "uncompressed", Some(Figures::from(&plain[..])));
    Ok(measured.note(format!("a snapshot took {sent}")))
}
