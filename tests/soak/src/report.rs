//! What a soak came to.

use crate::watch::Held;
use serde::Serialize;
use std::fmt;

/// What a soak came to. It has passed when there are no findings.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What chose moments and keys: the same again gives the same load and kills, though not the same interleaving.
    pub seed: u64,
    /// How long the load was on, in seconds.
    pub seconds: f64,
    /// Reads that were answered.
    pub reads: u64,
    /// Batches that were acknowledged.
    pub batches: u64,
    /// Single rows that were acknowledged, each of which was looked for in the end.
    pub rows: u64,
    /// Single rows that got no answer or were refused: sent into a kill.
    pub unanswered: u64,
    /// How often the leader and the second edge were killed.
    pub kills: [u64; 2],
    /// Releases of the module that were uploaded.
    pub uploads: u64,
    /// The median of the calm seconds' 99th percentiles of reads at the steady edge, in microseconds: in the first third
    /// and in the last.
    pub p99_us: [u32; 2],
    /// What the steady edge held: before the load, at the end of the first third, at the end, and when the load was off.
    pub edge: Vec<Held>,
    /// What the leader held after its last kill, and at the end.
    pub leader: Vec<Held>,
    /// Bytes in the directories of the leader and of the edges.
    pub directory_bytes: Vec<u64>,
    /// What is wrong.
    pub findings: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [leader_kills, edge_kills] = self.kills;
        writeln!(f, "soak of {:.0} s, seed {}", self.seconds, self.seed)?;
        writeln!(f, "  reads answered       {}", self.reads)?;
        writeln!(
            f,
            "  rows acknowledged    {} single, {} batches; {} without an answer",
            self.rows, self.batches, self.unanswered
        )?;
        writeln!(
            f,
            "  kills                leader {leader_kills}, edge {edge_kills}; module uploads {}",
            self.uploads
        )?;
        let [first, last] = self.p99_us.map(|micros| f64::from(micros) / 1_000.0);
        writeln!(f, "  p99 of reads         {first:.1} ms in the first third, {last:.1} ms in the last")?;
        for (name, looks) in [("steady edge", &self.edge), ("leader", &self.leader)] {
            for held in looks {
                let mib = held.resident_bytes >> 20;
                let (second, files, threads, tasks) = (held.second, held.files, held.threads, held.tasks);
                writeln!(
                    f,
                    "  {name:<20} at {second:>4} s: {mib} MiB, {files} files, {threads} threads, {tasks} tasks"
                )?;
            }
        }
        let mib: Vec<String> = self.directory_bytes.iter().map(|bytes| format!("{} MiB", bytes >> 20)).collect();
        writeln!(f, "  directories          {}", mib.join(", "))?;
        match self.findings.as_slice() {
            [] => write!(f, "nothing grew, leaked or was lost"),
            findings => write!(f, "WRONG:\n  {}", findings.join("\n  ")),
        }
    }
}
