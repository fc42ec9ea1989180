//! One soak, from the start of the nodes to the last comparison.

use crate::{
    careless,
    findings::Findings,
    reads::{Latencies, MODULE, Readers},
    report::Report,
    watch::{self, Held},
    writes,
};
use littoral_cluster::{
    accounts, equality,
    load::{self, Writers},
};
use littoral_provision::{Cluster, Node, cluster::Options, modules};
use serde_json::json;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Writers of single rows.
const WRITERS: usize = 4;
/// The length of a cycle in seconds: a kill and an upload, then calm.
const CYCLE: u64 = 10;
/// Seconds of a cycle after which a kill no longer affects latencies.
const CALM_AFTER: u64 = 5;
/// The memory limit of every process.
const MEMORY_MAX: u64 = 900 << 20;
/// The allowed growth of memory from the first third to the end: a fraction, and noise of the allocator.
const GROWTH_PARTS: u64 = 4;
const GROWTH_NOISE: u64 = 64 << 20;
/// The allowed slowdown of the last third's tail: a factor, and noise of a busy machine.
const DRIFT_FACTOR: u32 = 3;
const DRIFT_NOISE_US: u32 = 40_000;
/// How much more of a resource a node may use after the load than before it.
const LEFT_OVER_MAX: u64 = 8;
/// How long a node may take to release the load's resources. Idle threads end after ten seconds.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// The log keeps 8 MiB; in addition there are two snapshots, the next segment, and modules.
const DIRECTORY_MAX: u64 = 128 << 20;

/// Small segments and snapshots, so that trimming and checkpoints happen throughout.
const LEADER: &str = "[leader]\nsegment_bytes = 1048576\nsnapshot_log_bytes = 4194304\nretention_bytes_max = 8388608\n";

/// The settings of a soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The duration of the load.
    pub duration: Duration,
    /// Chooses moments and keys.
    pub seed: u64,
}

/// Runs a soak.
///
/// # Errors
/// If it cannot be started, because nodes do not start or the module cannot be built. Later problems are findings.
pub fn run(plan: Plan) -> io::Result<Report> {
    let component = modules::build("misbehaving/deeds").map_err(io::Error::other)?;
    let options =
        Options { leader_config: Some(LEADER.to_owned()), edge_configs: vec![None, None], ..Options::default() };
    let mut cluster = Cluster::start_with(&options)?;
    accounts::make_view(&cluster.leader);
    let airports = json!({
        "entities": [{ "name": "airport", "join_key": "airport", "value_type": "string" }],
        "features": [{ "name": "mean_delay_24h", "value_type": "float" }],
    });
    cluster.leader.client().put("/v1/views/airport_hourly", &airports)?.ok();
    upload(&cluster.leader, &component, 0)?;
    accounts::catch_up(&cluster);

    let findings = Findings::default();
    let mut soak = Soak {
        plan,
        began: Instant::now(),
        chance: fastrand::Rng::with_seed(plan.seed),
        findings: &findings,
        edge: Vec::new(),
        leader: Vec::new(),
        kills: [0; 2],
        uploads: 1,
    };
    let before = watch::held_by(&mut cluster.edges[0], 0).unwrap_or_default();
    let (stop, reads, batches, latencies) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), Latencies::default());
    let writers = Writers::start(cluster.leader.ready.door, WRITERS);
    let doors: Vec<_> = cluster.edges.iter().map(|edge| edge.ready.door).collect();
    let leader_door = cluster.leader.ready.door;
    thread::scope(|scope| {
        let (stop, findings, count, began) = (&stop, &findings, &reads, soak.began);
        for (edge, door) in doors.iter().enumerate() {
            for _ in 0..2 {
                let chance = soak.chance.fork();
                // Only the steady edge's latencies are compared.
                let latencies = (edge == 0).then_some(&latencies);
                let readers = Readers { door: *door, began, stop, latencies, count, findings };
                scope.spawn(move || readers.run(chance));
            }
        }
        let chance = soak.chance.fork();
        scope.spawn(|| writes::batches(leader_door, chance, stop, &batches, findings));
        let chance = soak.chance.fork();
        scope.spawn(|| careless::clients(&doors, chance, stop));
        soak.cycles(&mut cluster, &component);
        stop.store(true, Relaxed);
    });
    let seconds = soak.began.elapsed().as_secs_f64();
    let known = writers.stop();
    let settled = soak.settle(&mut cluster.edges[0], before);
    let p99_us = soak.drift(&latencies);
    soak.growth();
    soak.compare(&mut cluster, &known);
    let directory_bytes = soak.directories(&cluster);
    let (acknowledged, unanswered) =
        known.iter().fold((0, 0), |sum, account| (sum.0 + account.count, sum.1 + account.failed));
    if reads.load(Relaxed) == 0 || batches.load(Relaxed) == 0 || acknowledged == 0 {
        findings.add("there was no load", || "no read, batch or row was ever acknowledged".to_owned());
    }
    let third = soak.edge.get(soak.edge.len() / 3).copied();
    let edge = [Some(before), third, soak.edge.last().copied(), settled].into_iter().flatten().collect();
    let leader = [soak.leader.first().copied(), soak.leader.last().copied()].into_iter().flatten().collect();
    let (kills, uploads, seed) = (soak.kills, soak.uploads, plan.seed);
    let (reads, batches, findings) = (reads.into_inner(), batches.into_inner(), findings.lines());
    let rows = acknowledged;
    Ok(Report {
        seed,
        seconds,
        reads,
        batches,
        rows,
        unanswered,
        kills,
        uploads,
        p99_us,
        edge,
        leader,
        directory_bytes,
        findings,
    })
}

struct Soak<'a> {
    plan: Plan,
    began: Instant,
    chance: fastrand::Rng,
    findings: &'a Findings,
    /// The steady edge's resources, second by second.
    edge: Vec<Held>,
    /// The leader's resources since its last kill.
    leader: Vec<Held>,
    kills: [u64; 2],
    uploads: u64,
}

impl Soak<'_> {
    /// Kills and uploads, with calm in between, until the time is over.
    fn cycles(&mut self, cluster: &mut Cluster, component: &[u8]) {
        let (mut second, end) = (0, self.plan.duration.as_secs().max(1));
        while second < end {
            // The first cycle warms up.
            if second >= CYCLE && second % CYCLE == 0 {
                self.kill(cluster, second < end / 2);
                self.uploads += 1;
                if let Err(error) = upload(&cluster.leader, component, self.uploads) {
                    self.findings.add("an upload failed", || error.to_string());
                }
            }
            second = self.began.elapsed().as_secs() + 1;
            let next = self.began + Duration::from_secs(second);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            self.sample(cluster, second);
        }
    }

    fn kill(&mut self, cluster: &mut Cluster, may_be_leader: bool) {
        let leader = may_be_leader && self.chance.bool();
        self.kills[usize::from(!leader)] += 1;
        let node = if leader { &mut cluster.leader } else { &mut cluster.edges[1] };
        node.kill();
        thread::sleep(Duration::from_millis(self.chance.u64(20..400)));
        if let Err(error) = node.restart() {
            self.findings.add("a killed node did not restart", || error.to_string());
        }
        if leader {
            self.leader.clear();
        }
    }

    fn sample(&mut self, cluster: &mut Cluster, second: u64) {
        for (node, samples) in [(&mut cluster.edges[0], &mut self.edge), (&mut cluster.leader, &mut self.leader)] {
            match watch::held_by(node, second) {
                Some(held) if held.resident_bytes > MEMORY_MAX => {
                    self.findings.add("memory exceeds its limit", || format!("{held:?}"));
                }
                Some(held) => samples.push(held),
                None => self.findings.add("a running node does not return its metrics", || format!("at {second} s")),
            }
        }
    }

    /// Waits until the edge has released the load's resources.
    fn settle(&self, edge: &mut Node, before: Held) -> Option<Held> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let now = watch::held_by(edge, self.began.elapsed().as_secs());
            let settled = now.is_some_and(|now| {
                let pairs = [(now.files, before.files), (now.threads, before.threads), (now.tasks, before.tasks)];
                pairs.iter().all(|(now, before)| *now <= before + LEFT_OVER_MAX)
            });
            if settled {
                return now;
            }
            if Instant::now() > deadline {
                self.findings.add("files, threads or tasks are left over", || format!("{now:?}, before {before:?}"));
                return now;
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// Compares the tail of the latencies in the calm seconds of the first and the last third.
    fn drift(&self, latencies: &Latencies) -> [u32; 2] {
        let calm = |second: u64| second >= CALM_AFTER && second % CYCLE >= CALM_AFTER;
        let p99s = latencies.p99s(calm);
        let third = p99s.len().div_ceil(3);
        let [first, last] = [p99s.iter().take(third), p99s[p99s.len() - third..].iter().take(third)].map(|seconds| {
            let mut micros: Vec<u32> = seconds.map(|(_, micros)| *micros).collect();
            micros.sort_unstable();
            micros.get(micros.len() / 2).copied().unwrap_or_default()
        });
        if last > first.saturating_mul(DRIFT_FACTOR).saturating_add(DRIFT_NOISE_US) {
            self.findings.add("the p99 of reads has drifted", || format!("from {first} us to {last} us"));
        }
        [first, last]
    }

    /// Compares memory at the end of the first third with the end.
    fn growth(&self) {
        for (name, samples) in [("the steady edge", &self.edge), ("the leader", &self.leader)] {
            let (Some(early), Some(late)) = (samples.get(samples.len() / 3), samples.last()) else { continue };
            let bound = early.resident_bytes + early.resident_bytes / GROWTH_PARTS + GROWTH_NOISE;
            if late.resident_bytes > bound {
                self.findings.add("memory grows", || format!("{name}: {early:?}, then {late:?}"));
            }
        }
    }

    /// Checks that nothing is lost, and that the edges are equal to their leader.
    fn compare(&self, cluster: &mut Cluster, known: &[load::Account]) {
        self.holds("a write is lost or invented", || {
            load::assert_kept(&mut cluster.leader.client(), known);
            load::assert_not_invented(&mut cluster.leader.client(), known);
        });
        self.holds("an edge does not catch up", || accounts::catch_up(cluster));
        for edge in &cluster.edges {
            self.holds("an edge differs from its leader", || equality::assert_equal(&cluster.leader, edge));
            self.holds("an edge is not verified as equal", || {
                let found = edge.client().post("/v1/verify", &json!({})).expect("the edge answers").ok().json();
                assert_eq!(found["equal"], json!(true), "{found}");
            });
        }
    }

    /// Turns a panic into a finding with its text.
    fn holds(&self, kind: &'static str, check: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            self.findings.add(kind, || words.unwrap_or_default());
        }
    }

    fn directories(&self, cluster: &Cluster) -> Vec<u64> {
        let nodes = [&cluster.leader].into_iter().chain(&cluster.edges);
        let bytes: Vec<u64> = nodes.map(|node| watch::bytes_below(node.data_dir()).unwrap_or_default()).collect();
        if bytes.iter().any(|bytes| *bytes > DIRECTORY_MAX) {
            self.findings.add("a directory exceeds its limit", || format!("{bytes:?} bytes"));
        }
        bytes
    }
}

fn upload(leader: &Node, component: &[u8], release: u64) -> io::Result<()> {
    let path = format!("/v1/modules/{MODULE}?version=1.0.{release}");
    let mut client = leader.client().with_timeout(Duration::from_secs(120));
    let answer = client.send("PUT", &path, &[], component)?;
    if answer.status == 200 { Ok(()) } else { Err(io::Error::other(format!("{} {}", answer.status, answer.text()))) }
}
