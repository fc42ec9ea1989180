//! Every node is replaced in turn while clients read and write: no request may fail.
//!
//! The nodes begin with the previous release, or held at its protocol version. Each is upgraded while held, an edge and
//! a member go back and forth once, and then each is released from the hold.

use super::{COOL_DOWN, Running, WARM_UP};
use crate::drill::report::{Check, Event, Kind, Outcome, Report};
use crate::{
    drill::{
        clients::{Load, Patience},
        ends,
        routers::Routers,
        watcher::{self, Watcher},
    },
    failure::Failure,
    local::{Program, regions::Node},
    target::{client, failed},
};
use littoral_model::{format::ProtocolVersion, region::Region as Name};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// The number of routers, so that clients have another one while one is replaced.
pub const ROUTERS: usize = 2;

/// How long clients wait. The router repeats a write while another member is promoted.
const PATIENCE: Patience =
    Patience { read: Duration::from_secs(15), write: Duration::from_secs(40), attempt_ms: 10_000 };
/// How long a node drains at most: long enough for routers and clients on a busy machine to notice.
const NOTICE: Duration = Duration::from_secs(3);
/// How long a replaced node may take to be usable again.
const USABLE_MAX: Duration = Duration::from_secs(60);
/// How often a replaced node is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The name under which a node's status shows the protocol version that it speaks.
const VERSION: &str = "protocol_version";

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Edge(String),
    Member(Name, String),
    Router(usize),
}

fn name(at: &At) -> String {
    match at {
        At::Edge(name) => format!("edge '{name}'"),
        At::Member(_, name) => format!("member '{name}'"),
        At::Router(number) => format!("router {}", number + 1),
    }
}

/// Returns this release, held at the version of the previous one.
fn held() -> Program {
    Program { executable: None, held_at: Some(ProtocolVersion::PREVIOUS), notice: Some(NOTICE) }
}

/// Returns the program with which the nodes begin: that of the previous release, or this one, held at its version.
pub fn before(previous: &Option<PathBuf>) -> Program {
    Program { executable: previous.clone(), ..held() }
}

impl<T: FnMut(&Event)> Running<T> {
    pub(super) async fn upgrade(&mut self) -> Result<Report, Failure> {
        let (region, names) = (self.victim()?, self.names());
        for name in &names {
            self.wait_for_a_leader(*name).await?;
        }
        let first = self.regions.router_url()?;
        self.prepare(&names, &first).await?;
        let routers: Vec<String> =
            self.regions.routers.iter().filter_map(Node::door).map(|door| self.regions.door_url(door)).collect();
        let clients = (self.scenario.concern, PATIENCE);
        let load = Load::start_at(self.began, Routers::new(routers.clone()), region.to_string(), clients);
        tokio::time::sleep(WARM_UP).await;

        let fault_ms = self.began.elapsed().as_millis() as u64;
        let what = match &self.previous {
            Some(file) => format!("the nodes run {}; each is replaced in turn, held at its version", file.display()),
            None => "the nodes are held at the previous version; each is restarted in turn".to_owned(),
        };
        self.note(Kind::Fault, what);
        let all = self.turns(&names).await?;
        for at in &all {
            self.replace(at, held(), &routers).await?;
        }
        self.note(Kind::Note, "every node runs this release, held at the previous version");
        let back = all.iter().find(|at| matches!(at, At::Edge(_))).into_iter();
        let back: Vec<At> = back.chain(all.iter().rev().find(|at| matches!(at, At::Member(..)))).cloned().collect();
        for program in [before(&self.previous), held()] {
            for at in &back {
                self.replace(at, program.clone(), &routers).await?;
            }
        }
        self.note(Kind::Decision, "an edge and a member went back and forth; now the hold is removed from each node");
        let mut others = 0;
        for at in self.turns(&names).await? {
            self.replace(&at, Program { held_at: None, ..held() }, &routers).await?;
        }
        for at in &all {
            let speaks = self.version(at).await?;
            others += u64::from(speaks.is_some_and(|speaks| speaks != f64::from(ProtocolVersion::NEWEST.number())));
        }
        let normal_ms = self.began.elapsed().as_millis() as u64;
        self.note(Kind::Normal, "every node runs this release, and no hold is left");
        tokio::time::sleep(COOL_DOWN).await;

        let seen = load.finish().await;
        let count = seen.samples.iter().filter(|sample| sample.outcome == Outcome::Failed).count() as u64;
        let replaced = all.len() * 2 + back.len() * 2;
        let repeated = seen.repeated;
        self.note(Kind::Note, format!("{replaced} restarts; clients repeated {repeated} writes, with their keys"));
        if let Some(why) = &seen.first_failure {
            self.note(Kind::Note, format!("the first failure: {why}"));
        }
        self.checks.push(Check { name: "requests that failed", missed: count });
        self.checks.push(Check { name: "nodes that do not speak the newest version", missed: others });
        let mut equal = true;
        let mut held = std::collections::BTreeSet::new();
        for name in &names {
            let (leader, level) = self.settle_everywhere(*name).await?;
            let members = self.members(*name);
            let of_leader = members.iter().find(|(of, _)| *of == leader.name);
            let rows = match of_leader {
                Some((_, url)) => ends::rows_at(&client(url)?).await?,
                None => return Err(Failure::rejected(format!("'{}' is no member of '{name}'", leader.name))),
            };
            for (_, url) in &members {
                equal &= level && ends::rows_at(&client(url)?).await? == rows;
            }
            held.extend(rows.iter().filter_map(|row| row.key.get("id")?.as_u64()));
        }
        equal &= names.len() == 1 || ends::equal(&self.regions, &names).await?;
        let mut figures = self.figures(&seen, fault_ms, normal_ms);
        figures.checks = std::mem::take(&mut self.checks);
        figures.back_to_normal_ms = Some(normal_ms.saturating_sub(fault_ms));
        figures.equal_everywhere = equal;
        figures.writes_lost = seen.acknowledged.keys().copied().filter(|number| !held.contains(number)).collect();
        Ok(self.report(figures, seen))
    }

    /// Returns all nodes in the order in which they are replaced: edges, following members, leading members, routers.
    async fn turns(&self, names: &[Name]) -> Result<Vec<At>, Failure> {
        let mut all: Vec<At> = self.regions.edges.keys().cloned().map(At::Edge).collect();
        for name in names {
            let leader = self.wait_for_a_leader(*name).await?.name;
            let members = self.members(*name).into_iter().map(|(member, _)| member);
            let (leading, following): (Vec<_>, Vec<_>) = members.partition(|member| *member == leader);
            all.extend(following.into_iter().chain(leading).map(|member| At::Member(*name, member)));
        }
        all.extend((0..self.regions.routers.len()).map(At::Router));
        Ok(all)
    }

    fn node(&mut self, at: &At) -> Result<&mut Node, Failure> {
        let gone = || Failure::rejected(format!("{} does not run", name(at)));
        let node = match at {
            At::Edge(name) => self.regions.edges.get_mut(name),
            At::Member(region, name) => return self.member(*region, name),
            At::Router(number) => self.regions.routers.get_mut(*number),
        };
        node.ok_or_else(gone)
    }

    fn url(&mut self, at: &At) -> Result<String, Failure> {
        let door = self.node(at)?.door();
        let door = door.ok_or_else(|| Failure::rejected(format!("{} does not run", name(at))))?;
        Ok(self.regions.door_url(door))
    }

    /// Returns the protocol version that a node's status shows. Routers and nodes of releases without holds show none.
    async fn version(&mut self, at: &At) -> Result<Option<f64>, Failure> {
        let status = client(&self.url(at)?)?.status().await.map_err(failed)?;
        Ok(status.gauges.get(VERSION).copied())
    }

    /// Stops a node as an operator does, starts it with this program, and waits until every router finds all nodes
    /// usable.
    async fn replace(&mut self, at: &At, program: Program, routers: &[String]) -> Result<(), Failure> {
        let name = name(at);
        let with = match (&program.executable, program.held_at) {
            (Some(_), _) => "the previous release".to_owned(),
            (None, Some(version)) => format!("this release, held at version {version}"),
            (None, None) => "this release".to_owned(),
        };
        self.node(at)?.replace(program).await?;
        self.note(Kind::Repair, format!("{name} runs {with}"));
        let deadline = Instant::now() + USABLE_MAX;
        while !client(&self.url(at)?)?.status().await.is_ok_and(|status| status.ready) {
            if Instant::now() >= deadline {
                return Err(Failure::rejected(format!("{name} is not ready after its restart; see its log")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        if let At::Member(region, _) = at {
            self.wait_for_a_leader(*region).await?;
        }
        for router in routers {
            if !Watcher::new(router).until(USABLE_MAX, |view| watcher::unusable(view, None) == 0).await {
                return Err(Failure::rejected(format!("{router} does not find all nodes usable; see the nodes' logs")));
            }
        }
        Ok(())
    }
}
