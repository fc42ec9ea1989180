//! One drill, from its start to its report.

mod clock;
mod damage;
mod member;
mod rolling;
mod roots;

use super::{
    clients::{Load, Seen, VIEW},
    ends,
    scenario::{Drill, Fault, Response, Scenario},
    watcher::{self, Watcher},
};
use crate::drill::report::{self, Check, Event, Figures, Kind, Objectives, Outcome, Report, Window};
use crate::{
    failure::Failure,
    local::{
        Program,
        regions::{Plan, Regions},
    },
    plain_http::Http,
};
use littoral_lease::Profile;
use littoral_model::region::Region as Name;
use littoral_router::{Topology, topology::Role};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Undisturbed time at the beginning.
const WARM_UP: Duration = Duration::from_secs(3);
/// Undisturbed time at the end.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// How long the router may take to detect something.
const NOTICE_MAX: Duration = Duration::from_secs(10);
/// How long regions may take to have each other's records again.
const LEVEL_MAX: Duration = Duration::from_secs(60);
/// How long a loss must last before the response, so that a region with a short disturbance stays active.
const SURE_AFTER: Duration = Duration::from_millis(300);
/// The percentages by which traffic returns, and how long each is held.
const BACK_BY: [u8; 3] = [10, 50, 100];
const BACK_STEP: Duration = Duration::from_millis(500);

/// The objective for the first acknowledged write with the aggressive lease, in milliseconds.
const AGGRESSIVE_MS_MAX: u64 = 1_000;

/// The drill to run.
pub struct Order {
    pub drill: Drill,
    pub topology: Topology,
    pub seed: u64,
    /// Where the nodes keep their data and logs.
    pub data_dir: PathBuf,
    /// Whether each region runs in a network namespace of its own, where this host allows it.
    pub apart: bool,
    /// The times of the leases of regions with members.
    pub lease: Profile,
    /// Whether the nodes use TLS.
    pub tls: bool,
    /// The executable of the previous release, for the drill that replaces it.
    pub previous: Option<PathBuf>,
}

/// Runs a drill. `note` is called with each event when it happens.
///
/// # Errors
/// When the cluster cannot be started, or the topology lacks what the drill breaks. A missed objective is not an error.
pub async fn carry_out(order: Order, note: impl FnMut(&Event)) -> Result<Report, Failure> {
    let scenario = order.drill.scenario();
    let began = Instant::now();
    let plan = Plan {
        topology: order.topology,
        data_dir: order.data_dir,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        fixed: false,
        apart: order.apart,
        clocks: scenario.fault == Fault::Clock,
        router_everywhere: false,
        lease: order.lease,
        routers: if scenario.fault == Fault::Upgrade { rolling::ROUTERS } else { 1 },
        program: if scenario.fault == Fault::Upgrade { rolling::before(&order.previous) } else { Program::default() },
        seed: order.seed,
        tls: order.tls,
    };
    let regions = Regions::start(plan).await?;
    let mut running = Running {
        drill: order.drill,
        scenario,
        seed: order.seed,
        lease: order.lease,
        previous: order.previous,
        regions,
        began,
        events: Vec::new(),
        checks: Vec::new(),
        on_event: note,
    };
    let reported = running.play().await;
    running.regions.stop().await;
    reported
}

struct Running<T> {
    drill: Drill,
    scenario: Scenario,
    seed: u64,
    lease: Profile,
    previous: Option<PathBuf>,
    regions: Regions,
    began: Instant,
    events: Vec<Event>,
    checks: Vec<Check>,
    on_event: T,
}

impl<T: FnMut(&Event)> Running<T> {
    fn note(&mut self, kind: Kind, what: impl Into<String>) {
        let event = Event { at_ms: self.began.elapsed().as_millis() as u64, kind, what: what.into() };
        (self.on_event)(&event);
        self.events.push(event);
    }

    fn names(&self) -> Vec<Name> {
        self.regions.topology.regions.iter().map(|region| region.name).collect()
    }

    /// Returns the region that is broken, in which the clients are.
    fn victim(&self) -> Result<Name, Failure> {
        let active = self.regions.topology.regions.iter().find(|region| region.role == Role::Active);
        active.map(|region| region.name).ok_or_else(|| Failure::usage("the topology has no active region"))
    }

    /// Returns the region that is promoted.
    fn standby(&self) -> Result<Name, Failure> {
        let standby = self.regions.topology.regions.iter().find(|region| region.role == Role::Standby);
        standby.map(|region| region.name).ok_or_else(|| {
            Failure::usage(format!("drill {} needs a topology with a standby region", self.drill.name()))
        })
    }

    async fn play(&mut self) -> Result<Report, Failure> {
        match self.scenario.fault {
            Fault::Leader(loss) => return self.lose_leader(loss).await,
            Fault::Root => return self.rotate_root().await,
            Fault::Upgrade => return self.upgrade().await,
            _ => {}
        }
        let (victim, names) = (self.victim()?, self.names());
        let router = self.regions.router_url()?;
        self.prepare(&names, &router).await?;
        let watcher = Watcher::new(&router);
        let load = Load::start(self.began, router, victim.to_string(), self.scenario.concern);
        tokio::time::sleep(WARM_UP).await;
        if self.scenario.fault == Fault::Clock {
            self.tolerate(victim, &names).await?;
        }

        let mut fault_ms = self.began.elapsed().as_millis() as u64;
        let within = self.break_it(victim, &load).await?;
        if matches!(self.scenario.fault, Fault::Links | Fault::LinksWithWriters) {
            // Answers that arrived while the links were being taken down do not count as answers after the fault.
            fault_ms = self.began.elapsed().as_millis() as u64;
        }
        let broken = Instant::now();
        self.detect(victim, &names, &watcher).await?;
        let promoted = self.respond(victim, &watcher).await?;
        tokio::time::sleep(self.scenario.broken.saturating_sub(broken.elapsed())).await;
        let late = self.known_only_there(victim, &names, &load).await?;

        if let Some(within) = within {
            within.cancel();
        }
        let repair_ms = self.repair(victim).await?;
        self.check_level(&names).await;
        if let Some(promoted) = promoted {
            self.fail_back(victim, promoted).await?;
        }
        let whole = watcher.until(NOTICE_MAX, |view| watcher::unusable(view, None) == 0).await;
        self.note(Kind::Normal, if whole { "all doors are usable again" } else { "some doors are still not usable" });
        let normal_ms = self.began.elapsed().as_millis() as u64;
        tokio::time::sleep(COOL_DOWN).await;

        let seen = load.finish().await;
        ends::level(&self.regions, &names, LEVEL_MAX).await;
        let mut figures = self.figures(&seen, fault_ms, repair_ms);
        figures.checks = std::mem::take(&mut self.checks);
        figures.back_to_normal_ms = whole.then(|| normal_ms.saturating_sub(repair_ms));
        figures.writes_late = late;
        self.compare(&names, &seen, &mut figures).await?;
        Ok(self.report(figures, seen))
    }

    /// Waits until the fault is detected: by the router, or, if a clock is wrong, by the other regions.
    async fn detect(&mut self, victim: Name, names: &[Name], watcher: &Watcher) -> Result<(), Failure> {
        match self.scenario.fault {
            Fault::Nothing => {}
            Fault::Clock => self.see_rejection(names).await?,
            _ => {
                let is_seen = |view: &serde_json::Value| watcher::unusable(view, Some(victim.as_str())) > 0;
                if watcher.until(NOTICE_MAX.min(self.scenario.broken), is_seen).await {
                    self.note(Kind::Detection, "the router has detected it");
                } else {
                    self.note(Kind::Note, "the router has detected nothing");
                }
            }
        }
        Ok(())
    }

    /// Checks that the regions catch up with each other.
    async fn check_level(&mut self, names: &[Name]) {
        let level = ends::level(&self.regions, names, LEVEL_MAX).await;
        if !level {
            self.note(Kind::Note, "the regions did not catch up with each other in time");
        }
        self.checks.push(Check { name: "regions that do not catch up by themselves", missed: u64::from(!level) });
    }

    /// Compares the regions' rows with each other and with the acknowledged writes.
    async fn compare(&self, names: &[Name], seen: &Seen, figures: &mut Figures) -> Result<(), Failure> {
        figures.equal_everywhere = ends::equal(&self.regions, names).await?;
        let mut held = std::collections::BTreeSet::new();
        for name in names {
            held.extend(ends::numbers(&self.regions, *name).await?);
            figures.conflicts = figures.conflicts.max(self.conflicts(*name).await?);
        }
        figures.writes_lost = seen.acknowledged.keys().copied().filter(|number| !held.contains(number)).collect();
        Ok(())
    }

    /// Creates the view, and waits until every region has it and every door is usable.
    async fn prepare(&mut self, names: &[Name], router: &str) -> Result<(), Failure> {
        let home = names.first().copied().ok_or_else(|| Failure::usage("the topology has no region"))?;
        let view = json!({
            "entities": [{ "name": "id", "join_key": "id", "value_type": "int64" }],
            "features": [{ "name": "number", "value_type": "int64" }],
            "merge": "latest_write",
        });
        let url = format!("{}/v1/views/{VIEW}", self.regions.leader_url(home));
        let http = Http::new();
        http.put(&url, &view).await?.json()?;
        if !ends::level(&self.regions, names, LEVEL_MAX).await {
            return Err(Failure::rejected("the regions do not replicate each other's records; see the nodes' logs"));
        }
        let well = Watcher::new(router).until(NOTICE_MAX, |view| watcher::unusable(view, None) == 0).await;
        if !well {
            return Err(Failure::rejected("the router does not find every node usable; see the nodes' logs"));
        }
        let count = names.len();
        self.note(Kind::Note, self.regions.place.describe());
        self.note(Kind::Note, format!("{count} regions run; clients in '{}' read and write", self.victim()?));
        Ok(())
    }

    async fn break_it(
        &mut self,
        victim: Name,
        load: &std::sync::Arc<Load>,
    ) -> Result<Option<tokio_util::sync::CancellationToken>, Failure> {
        match self.scenario.fault {
            Fault::Node | Fault::Zone => {
                let edges = self.chosen_edges(victim)?;
                self.note(Kind::Fault, format!("killed: {}", edges.join(", ")));
                for edge in edges {
                    if let Some(node) = self.regions.edges.get_mut(&edge) {
                        node.kill().await;
                    }
                }
            }
            Fault::Region => {
                self.note(Kind::Fault, format!("region '{victim}' is killed: its leader and its edges"));
                self.regions.kill(victim).await;
            }
            Fault::Links | Fault::LinksWithWriters => {
                self.note(Kind::Fault, format!("region '{victim}' is partitioned from the others and the router"));
                self.regions.partition(victim)?;
                if self.scenario.fault == Fault::LinksWithWriters {
                    return Ok(Some(load.write_within(self.regions.leader_url(victim))));
                }
            }
            Fault::Slow(longer) => {
                let ms = longer.as_millis();
                self.note(
                    Kind::Fault,
                    format!("all links to and from region '{victim}' take {ms} ms longer in each direction"),
                );
                self.regions.slow(victim, longer);
            }
            Fault::Clock => return self.set_wrong(victim, load),
            Fault::Log => self.damage_log(victim).await?,
            Fault::Nothing | Fault::Leader(_) | Fault::Root | Fault::Upgrade => {
                self.note(Kind::Fault, format!("region '{victim}' is about to be drained"));
            }
        }
        Ok(None)
    }

    /// Returns the edges that are lost: one, which the seed decides, or all of its zone.
    fn chosen_edges(&self, victim: Name) -> Result<Vec<String>, Failure> {
        let all = self.regions.edges_of(victim, None);
        let one = all.get((self.seed % all.len().max(1) as u64) as usize);
        let one = one.ok_or_else(|| Failure::usage(format!("region '{victim}' has no edges")))?;
        if self.scenario.fault == Fault::Node {
            return Ok(vec![one.clone()]);
        }
        let edges = self.regions.region(victim).map(|region| &region.edges[..]).unwrap_or_default();
        let zone = edges.iter().find(|edge| edge.name == *one).and_then(|edge| edge.zone.clone());
        let zone = zone.ok_or_else(|| Failure::usage(format!("edge '{one}' has no zone; set `zone` of each edge")))?;
        let within = self.regions.edges_of(victim, Some(&zone));
        if within.len() == all.len() {
            return Err(Failure::usage(format!("all edges of region '{victim}' are in zone '{zone}'")));
        }
        Ok(within)
    }

    /// Carries out the response. Returns the region that was promoted.
    async fn respond(&mut self, victim: Name, watcher: &Watcher) -> Result<Option<Name>, Failure> {
        let standby = match self.scenario.response {
            Response::None => return Ok(None),
            Response::Promote => {
                let standby = self.standby()?;
                tokio::time::sleep(SURE_AFTER).await;
                self.note(Kind::Decision, format!("'{victim}' is replaced by '{standby}'"));
                self.regions.set_role(victim, Role::Draining, 100)?;
                standby
            }
            Response::Orderly => {
                let standby = self.standby()?;
                self.note(Kind::Decision, format!("'{victim}' is drained"));
                self.regions.set_role(victim, Role::Draining, 100)?;
                self.catch_up(victim, standby).await?;
                standby
            }
        };
        self.regions.set_role(standby, Role::Active, 100)?;
        if watcher.until(NOTICE_MAX, |view| watcher::has_role(view, standby.as_str(), "active")).await {
            self.note(Kind::Promotion, format!("'{standby}' is active"));
        }
        Ok(Some(standby))
    }

    /// Waits until `to` has everything that `from` has accepted. `from` must be drained.
    async fn catch_up(&mut self, from: Name, to: Name) -> Result<(), Failure> {
        // Requests that were in flight when the router changed its routes have ended by then.
        tokio::time::sleep(SURE_AFTER).await;
        let wanted = ends::status(&self.regions, from).await?.watermark;
        if !ends::has_all(&self.regions, to, &wanted, LEVEL_MAX).await {
            return Err(Failure::rejected(format!("'{to}' does not catch up with '{from}'; it was not promoted")));
        }
        self.note(Kind::Note, format!("'{to}' has everything that '{from}' has"));
        Ok(())
    }

    /// Counts the acknowledged writes that no other region has while the region is lost.
    async fn known_only_there(&mut self, victim: Name, names: &[Name], load: &Load) -> Result<u64, Failure> {
        match self.scenario.fault {
            Fault::Clock => return self.not_everywhere(names, load).await,
            Fault::Region | Fault::Links | Fault::LinksWithWriters | Fault::Log if names.len() > 1 => {}
            _ => return Ok(0),
        }
        let acknowledged = load.acknowledged();
        let mut held = std::collections::BTreeSet::new();
        for name in names.iter().filter(|name| **name != victim) {
            held.extend(ends::numbers(&self.regions, *name).await?);
        }
        let late = acknowledged.iter().filter(|number| !held.contains(number)).count() as u64;
        self.note(Kind::Note, format!("{late} acknowledged writes exist in '{victim}' only"));
        Ok(late)
    }

    async fn repair(&mut self, victim: Name) -> Result<u64, Failure> {
        match self.scenario.fault {
            Fault::Node | Fault::Zone => {
                for edge in self.chosen_edges(victim)? {
                    if let Some(node) = self.regions.edges.get_mut(&edge) {
                        node.restart().await?;
                    }
                }
                self.note(Kind::Repair, "the killed edges are restarted");
            }
            Fault::Region => {
                self.regions.restart(victim).await?;
                self.note(Kind::Repair, format!("region '{victim}' is restarted"));
            }
            Fault::Links | Fault::LinksWithWriters => {
                self.regions.reconnect(victim)?;
                self.note(Kind::Repair, format!("region '{victim}' is connected again"));
            }
            Fault::Slow(_) => {
                self.regions.slow(victim, Duration::ZERO);
                self.note(Kind::Repair, "the links are as fast as before");
            }
            Fault::Clock => self.set_right(victim)?,
            Fault::Log => self.start_over(victim).await?,
            Fault::Nothing | Fault::Leader(_) | Fault::Root | Fault::Upgrade => {
                self.note(Kind::Repair, format!("'{victim}' is about to become active again"))
            }
        }
        Ok(self.began.elapsed().as_millis() as u64)
    }

    /// Moves requests back to the region `to`, in steps, and makes `from` a standby again.
    async fn fail_back(&mut self, to: Name, from: Name) -> Result<(), Failure> {
        for share in BACK_BY {
            self.regions.set_role(to, Role::Active, share)?;
            self.note(Kind::Note, format!("'{to}' receives {share} % of its requests"));
            tokio::time::sleep(BACK_STEP).await;
        }
        self.regions.set_role(from, Role::Standby, 100)?;
        self.note(Kind::Note, format!("'{from}' is a standby again"));
        Ok(())
    }

    async fn conflicts(&self, name: Name) -> Result<u64, Failure> {
        let conflicts = ends::leader(&self.regions, name)?.conflicts(1).await;
        conflicts.map(|conflicts| conflicts.known).map_err(crate::target::failed)
    }

    fn figures(&self, seen: &Seen, fault_ms: u64, repair_ms: u64) -> Figures {
        let after = |kind| {
            let event = self.events.iter().find(|event| event.kind == kind)?;
            Some(event.at_ms.saturating_sub(fault_ms))
        };
        let first_good = |write: bool| {
            let good = seen.samples.iter().filter(|sample| {
                sample.write == write && sample.sent_ms >= fault_ms && sample.outcome != Outcome::Failed
            });
            good.map(|sample| sample.done_ms().saturating_sub(fault_ms)).min()
        };
        let count = |write: bool, failed: bool| {
            let all = seen.samples.iter().filter(|sample| sample.write == write);
            all.filter(|sample| !failed || sample.outcome == Outcome::Failed).count() as u64
        };
        let stale = seen.samples.iter().filter_map(|sample| match sample.outcome {
            Outcome::Good(stale) => stale,
            Outcome::Behind | Outcome::Failed => None,
        });
        let bound = self.objectives().staleness_ms_max.unwrap_or(u64::MAX);
        let before = Window { from_ms: 0, until_ms: fault_ms };
        let during = Window { from_ms: fault_ms, until_ms: repair_ms };
        Figures {
            detection_ms: after(Kind::Detection),
            decision_ms: after(Kind::Decision),
            promotion_ms: after(Kind::Promotion),
            first_good_read_ms: first_good(false),
            first_good_write_ms: first_good(true),
            reads: count(false, false),
            reads_failed: count(false, true),
            reads_behind: seen.samples.iter().filter(|sample| sample.outcome == Outcome::Behind).count() as u64,
            reads_too_stale: stale.clone().filter(|stale| *stale > bound).count() as u64,
            staleness_ms_max: stale.max().unwrap_or_default(),
            read_p99_ms_before: report::percentile(&seen.samples, before, false, 99.0),
            read_p99_ms_during: report::percentile(&seen.samples, during, false, 99.0),
            writes: count(true, false),
            writes_acknowledged: seen.acknowledged.len() as u64,
            writes_failed: count(true, true),
            ..Figures::default()
        }
    }

    fn objectives(&self) -> Objectives {
        let mut promised = self.regions.topology.objectives;
        if matches!(self.scenario.fault, Fault::Leader(_)) && self.lease == Profile::Aggressive {
            // The profile guarantees this.
            promised.first_good_write_ms_max = promised.first_good_write_ms_max.map(|most| most.min(AGGRESSIVE_MS_MAX));
        }
        Objectives {
            first_good_read_ms_max: promised.first_good_read_ms_max,
            first_good_write_ms_max: promised.first_good_write_ms_max,
            writes_lost_max: promised.writes_lost_max,
            reads_failed_max: promised.reads_failed_max,
            staleness_ms_max: promised.staleness_ms_max,
        }
    }

    fn report(&self, figures: Figures, seen: Seen) -> Report {
        let objectives = report::evaluate(&figures, &self.objectives());
        let passed = objectives.iter().all(|objective| objective.verdict == report::Verdict::Met);
        Report {
            drill: self.drill.name(),
            topology: self.regions.topology.name.clone(),
            network: self.regions.place.describe(),
            seed: self.seed,
            took_ms: self.began.elapsed().as_millis() as u64,
            events: self.events.clone(),
            figures,
            objectives,
            passed,
            samples: seen.samples,
        }
    }
}
