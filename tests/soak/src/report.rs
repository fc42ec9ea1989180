//! The report of a soak.

use crate::watch::Held;
use serde::Serialize;
use std::fmt;

/// The result of a soak. It has passed if there are no findings.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed of moments and keys: it repeats load and kills, though not the interleaving.
    pub seed: u64,
    /// The duration of the load in seconds.
    pub seconds: f64,
    /// Answered reads.
    pub reads: u64,
    /// Acknowledged batches.
    pub batches: u64,
    /// Acknowledged single rows, each of which was checked in the end.
    pub rows: u64,
    /// Single rows without an answer or rejected, because of a kill.
    pub unanswered: u64,
    /// How often the leader and the second edge were killed.
    pub kills: [u64; 2],
    /// Uploaded releases of the module.
    pub uploads: u64,
    /// The median of the calm seconds' 99th percentiles of reads at the steady edge, in microseconds: in the first
    /// third and in the last.
    pub p99_us: [u32; 2],
    /// The steady edge's resources: before the load, at the end of the first third, at the end, and after the load.
    pub edge: Vec<Held>,
    /// The leader's resources after its last kill, and at the end.
    pub leader: Vec<Held>,
    /// Bytes in the directories of the leader and of the edges.
    pub directory_bytes: Vec<u64>,
    /// The problems found.
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
        for (name, samples) in [("steady edge", &self.edge), ("leader", &self.leader)] {
            for held in samples {
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
