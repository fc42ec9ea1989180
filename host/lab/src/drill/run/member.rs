//! The leading member is killed, paused, or partitioned from the others, while clients continue.
//!
//! Detection is when the router no longer considers it the leader, promotion when another member reports itself as
//! leader.

use super::{COOL_DOWN, LEVEL_MAX, NOTICE_MAX, Running, WARM_UP};
use crate::drill::report::{Event, Kind, Report};
use crate::{
    drill::{
        clients::Load,
        ends,
        scenario::Loss,
        watcher::{self, Watcher},
    },
    failure::Failure,
    target::{client, failed},
};
use littoral_client::{Client, HeldRow, Tail};
use littoral_model::{
    region::Region as Name,
    status::{NodeStatus, Role},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// How often members are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long a member accepts writes that no other receives before it is paused: at least, and at most on a busy
/// machine.
const ALONE: Duration = Duration::from_millis(150);
const ALONE_MAX: Duration = Duration::from_millis(450);
/// The number of acknowledgements that prove that it still accepts writes: more than were in flight before.
const ALONE_ANSWERS: usize = 10;
/// How long clients that reach it still write to it once it is back.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The outcome.
struct End {
    late: u64,
    lost: Vec<u64>,
    fenced: u64,
    equal: bool,
}

impl<T: FnMut(&Event)> Running<T> {
    pub(super) async fn lose_leader(&mut self, loss: Loss) -> Result<Report, Failure> {
        let (region, names) = (self.victim()?, self.names());
        let router = self.regions.router_url()?;
        self.wait_for_a_leader(region).await?;
        self.prepare(&names, &router).await?;
        let watcher = Watcher::new(&router);
        let load = Load::start(self.began, router, region.to_string(), self.scenario.concern);
        tokio::time::sleep(WARM_UP).await;
        let old = self.wait_for_a_leader(region).await?;
        // Clients that reach the member directly continue, whatever the router has detected.
        let within = match loss {
            Loss::Killed => None,
            Loss::Paused | Loss::Partitioned => Some(load.write_within(self.member_url(region, &old.name))),
        };

        let fault_ms = self.begin_loss(region, &old.name, loss, &load).await?;
        let broken = Instant::now();
        let lost_sight = |view: &serde_json::Value| watcher::leading(view, region.as_str()) != Some(&*old.name);
        let (seen, promoted) = tokio::join!(
            at(self.began, watcher.until(NOTICE_MAX, lost_sight)),
            at(self.began, self.another_leads(region, &old)),
        );
        if let (true, at_ms) = seen {
            self.note_at(Kind::Detection, format!("the router no longer considers '{}' the leader", old.name), at_ms);
        }
        let (Some(new), promoted_ms) = promoted else {
            return Err(Failure::rejected(format!("no other member leads within {} s", NOTICE_MAX.as_secs())));
        };
        self.note_at(Kind::Promotion, format!("'{}' leads in epoch {}", new.name, new.epoch), promoted_ms);
        tokio::time::sleep(self.scenario.broken.saturating_sub(broken.elapsed())).await;

        let repair_ms = self.end_loss(region, &old.name, loss).await?;
        if let Some(within) = within {
            tokio::time::sleep(AFTERMATH).await;
            within.cancel();
        }
        let whole = watcher.until(LEVEL_MAX, |view| watcher::unusable(view, None) == 0).await;
        self.note(Kind::Normal, if whole { "all doors are usable again" } else { "some doors are still not usable" });
        let normal_ms = self.began.elapsed().as_millis() as u64;
        tokio::time::sleep(COOL_DOWN).await;

        let seen = load.finish().await;
        let end = self.end_of(region, &old.name, &seen.acknowledged, promoted_ms).await?;
        let mut figures = self.figures(&seen, fault_ms, repair_ms);
        figures.back_to_normal_ms = whole.then(|| normal_ms.saturating_sub(repair_ms));
        (figures.writes_late, figures.writes_lost, figures.equal_everywhere) = (end.late, end.lost, end.equal);
        self.note(Kind::Note, format!("{} writes were acknowledged by a fenced leader", end.fenced));
        let mut report = self.report(figures, seen);
        // Not an objective of the topology: this must never happen.
        report.passed &= end.fenced == 0;
        Ok(report)
    }

    fn note_at(&mut self, kind: Kind, what: String, at_ms: u64) {
        let event = Event { at_ms, kind, what };
        (self.on_event)(&event);
        self.events.push(event);
        self.events.sort_by_key(|event| event.at_ms);
    }

    async fn begin_loss(&mut self, region: Name, old: &str, loss: Loss, load: &Load) -> Result<u64, Failure> {
        match loss {
            Loss::Killed => {
                self.note(Kind::Fault, format!("the leader '{old}' is killed"));
                self.member(region, old)?.kill().await;
            }
            Loss::Paused => {
                // It alone has what it accepts now, so that every run leaves a detached tail.
                self.regions.members.partition(region, old);
                let (partitioned, enough) = (Instant::now(), load.acknowledged().len() + ALONE_ANSWERS);
                tokio::time::sleep(ALONE).await;
                while load.acknowledged().len() < enough && partitioned.elapsed() < ALONE_MAX {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                self.note(Kind::Fault, format!("the leader '{old}' is paused (SIGSTOP)"));
                self.signal(region, old, Signal::STOP)?;
                self.regions.members.reconnect(region, old);
            }
            Loss::Partitioned => {
                self.note(
                    Kind::Fault,
                    format!("the leader '{old}' is partitioned from the other members; clients reach it"),
                );
                self.regions.members.partition(region, old);
            }
        }
        let noted = self.events.iter().rev().find(|event| event.kind == Kind::Fault);
        Ok(noted.map_or(0, |event| event.at_ms))
    }

    async fn end_loss(&mut self, region: Name, old: &str, loss: Loss) -> Result<u64, Failure> {
        match loss {
            Loss::Killed => {
                self.member(region, old)?.restart().await?;
                self.note(Kind::Repair, format!("'{old}' is restarted"));
            }
            Loss::Paused => {
                self.signal(region, old, Signal::CONT)?;
                self.note(Kind::Repair, format!("'{old}' is resumed (SIGCONT)"));
            }
            Loss::Partitioned => {
                self.regions.members.reconnect(region, old);
                self.note(Kind::Repair, format!("'{old}' is connected again"));
            }
        }
        Ok(self.began.elapsed().as_millis() as u64)
    }

    /// Compares the acknowledged writes with what the region has, before and after the detached tails are merged.
    async fn end_of(
        &mut self,
        region: Name,
        old: &str,
        acknowledged: &std::collections::BTreeMap<u64, u64>,
        promoted_ms: u64,
    ) -> Result<End, Failure> {
        // Records that clients wrote to other regions in the meantime are replicated back.
        let names = self.names();
        let (leader, level) = self.settle_everywhere(region).await?;
        let held = numbers(&ends::rows_at(&self.member_client(region, &leader.name)?).await?);
        let missing: Vec<u64> = acknowledged.keys().copied().filter(|number| !held.contains(number)).collect();
        let fenced = missing.iter().filter(|number| acknowledged.get(number).is_some_and(|at| *at > promoted_ms));
        let fenced = fenced.count() as u64;
        let tails = self.merge_tails(region, old).await?;
        let (leader, level) = if tails.is_empty() { (leader, level) } else { self.settle_everywhere(region).await? };
        let rows = ends::rows_at(&self.member_client(region, &leader.name)?).await?;
        let held = numbers(&rows);
        let lost = acknowledged.keys().copied().filter(|number| !held.contains(number)).collect();
        let mut equal = level && (names.len() == 1 || ends::equal(&self.regions, &names).await?);
        for (name, url) in self.members(region) {
            if name != leader.name {
                equal &= ends::rows_at(&client(&url)?).await? == rows;
            }
        }
        Ok(End { late: missing.len() as u64, lost, fenced, equal })
    }

    async fn merge_tails(&mut self, region: Name, old: &str) -> Result<Vec<Tail>, Failure> {
        let door = self.member_client(region, old)?;
        let tails = door.tails().await.map_err(failed)?;
        for tail in &tails {
            let shown = door.tail(&tail.name, 0, 1_000).await.map_err(failed)?.records.len();
            let merged = door.merge_tail(&tail.name).await.map_err(failed)?;
            let (name, rows) = (&tail.name, merged.rows);
            self.note(
                Kind::Note,
                format!("'{old}' kept the detached tail {name}: {shown} records shown, {rows} merged"),
            );
        }
        if tails.is_empty() {
            self.note(Kind::Note, format!("'{old}' has no detached tail"));
        }
        Ok(tails)
    }

    // === members ===

    pub(super) fn members(&self, region: Name) -> Vec<(String, String)> {
        let region = self.regions.region(region);
        let doors = region.into_iter().flat_map(|region| &region.members);
        doors.map(|member| (member.name.clone(), self.regions.door_url(&member.door))).collect()
    }

    fn member_url(&self, region: Name, name: &str) -> String {
        self.members(region).into_iter().find(|(of, _)| of == name).map(|(_, url)| url).unwrap_or_default()
    }

    fn member_client(&self, region: Name, name: &str) -> Result<Client, Failure> {
        client(&self.member_url(region, name))
    }

    pub(super) fn member(&mut self, region: Name, name: &str) -> Result<&mut crate::local::regions::Node, Failure> {
        let gone = || Failure::rejected(format!("region '{region}' runs no member '{name}'"));
        self.regions.members.get(region, name).ok_or_else(gone)
    }

    fn signal(&mut self, region: Name, name: &str, signal: Signal) -> Result<(), Failure> {
        let pid = self.member(region, name)?.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| Failure::rejected(format!("'{name}' has ended by itself")))?;
        kill_process(pid, signal).map_err(|error| Failure::rejected(format!("cannot signal '{name}': {error}")))
    }

    /// Returns the status of every member that answers, except one.
    pub(super) async fn statuses(&self, region: Name, but: Option<&str>) -> Vec<NodeStatus> {
        let members = self.members(region).into_iter().filter(|(name, _)| Some(&**name) != but);
        let asked = members.map(|(_, url)| async move {
            let asked = async { client(&url).ok()?.status().await.ok() };
            // A paused member accepts connections and does not answer.
            tokio::time::timeout(POLL_INTERVAL * 20, asked).await.ok().flatten()
        });
        futures_util::future::join_all(asked).await.into_iter().flatten().collect()
    }

    pub(super) async fn wait_for_a_leader(&self, region: Name) -> Result<NodeStatus, Failure> {
        if self.members(region).is_empty() {
            let name = self.drill.name();
            return Err(Failure::usage(format!("drill {name} needs a topology with members in region '{region}'")));
        }
        let deadline = Instant::now() + NOTICE_MAX;
        loop {
            let all = self.statuses(region, None).await;
            if let Some(leader) = newest(all) {
                return Ok(leader);
            }
            if Instant::now() >= deadline {
                return Err(Failure::rejected(format!("no member of '{region}' leads; see the members' logs")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn another_leads(&self, region: Name, old: &NodeStatus) -> Option<NodeStatus> {
        let deadline = Instant::now() + NOTICE_MAX;
        while Instant::now() < deadline {
            let others = self.statuses(region, Some(&old.name)).await;
            if let Some(new) = newest(others).filter(|new| new.epoch > old.epoch) {
                return Some(new);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        None
    }

    /// Waits until the region's members have the same records, and each region has the others' records. Returns the
    /// leading member, and whether the regions caught up in time.
    pub(super) async fn settle_everywhere(&mut self, region: Name) -> Result<(NodeStatus, bool), Failure> {
        let names = self.names();
        let leader = self.settle(region).await?;
        if names.len() == 1 {
            return Ok((leader, true));
        }
        // A region answers through one of its members, which must have caught up: the others wait for its position.
        let level = ends::level(&self.regions, &names, LEVEL_MAX).await;
        Ok((self.settle(region).await?, level))
    }

    /// Waits until one member leads and all others have what it has. Writers must have stopped.
    async fn settle(&mut self, region: Name) -> Result<NodeStatus, Failure> {
        let deadline = Instant::now() + LEVEL_MAX;
        let count = self.members(region).len();
        loop {
            let all = self.statuses(region, None).await;
            let level =
                all.len() == count && all.iter().all(|status| status.ready && status.position == all[0].position);
            if let Some(leader) = newest(all).filter(|_| level) {
                return Ok(leader);
            }
            if Instant::now() >= deadline {
                return Err(Failure::rejected("the members do not get the same records; see their logs"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn newest(all: Vec<NodeStatus>) -> Option<NodeStatus> {
    all.into_iter().filter(|status| status.role == Role::Leader && status.writable).max_by_key(|status| status.epoch)
}

fn numbers(rows: &[HeldRow]) -> BTreeSet<u64> {
    rows.iter().filter_map(|row| row.key.get("id")?.as_u64()).collect()
}

/// Returns the future's value, and when it was ready in milliseconds since `began`.
async fn at<V>(began: Instant, coming: impl Future<Output = V>) -> (V, u64) {
    let value = coming.await;
    (value, began.elapsed().as_millis() as u64)
}
