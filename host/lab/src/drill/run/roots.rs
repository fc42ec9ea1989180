//! The root of all certificates is replaced while clients read and write: no request may fail, and no feed may break.

use super::{COOL_DOWN, LEVEL_MAX, Running, WARM_UP};
use crate::drill::report::{Check, Event, Kind, Outcome, Report};
use crate::{
    drill::{clients::Load, ends},
    failure::Failure,
};
use littoral_tls::ca::{
    Ca,
    rotation::{Progress, Step},
};
use std::time::{Duration, Instant};

/// How long the nodes may take to report to the authority, and then to follow the rotation.
const FOLLOW_MAX: Duration = Duration::from_secs(60);
/// How often the record of the nodes is read.
const EVERY: Duration = Duration::from_millis(100);

impl<T: FnMut(&Event)> Running<T> {
    pub(super) async fn rotate_root(&mut self) -> Result<Report, Failure> {
        let Some(certs) = &self.regions.security.certs else {
            return Err(Failure::usage("the drill replaces the root of certificates; run it without --plain"));
        };
        let ca = Ca::open(&certs.ca_dir()).map_err(Failure::rejected)?;
        let (victim, names) = (self.victim()?, self.names());
        let router = self.regions.router_url()?;
        self.prepare(&names, &router).await?;
        let load = Load::start(self.began, router, victim.to_string(), self.scenario.concern);
        tokio::time::sleep(WARM_UP).await;
        let nodes = self.regions.leaders.len() + self.regions.edges.len() + 1;
        follow(&ca, |progress| progress.nodes >= nodes).await?;
        let feeds = self.feeds_begun()?;

        ca.begin_rotation().map_err(Failure::rejected)?;
        let fault_ms = self.began.elapsed().as_millis() as u64;
        self.note(
            Kind::Fault,
            format!("the root is replaced at {nodes} nodes: each receives the new one in addition to the old one"),
        );
        for (step, what) in [
            (Step::Renew, "every node trusts both roots; each renews its certificate"),
            (Step::Retire, "every node has a certificate of the new root; each drops the old one"),
            (Step::Done, "no node trusts the old root"),
        ] {
            follow(&ca, |progress| progress.step == step).await?;
            self.note(Kind::Note, what);
        }
        let normal_ms = self.began.elapsed().as_millis() as u64;
        self.note(Kind::Normal, "the rotation is complete");
        tokio::time::sleep(COOL_DOWN).await;

        let seen = load.finish().await;
        ends::level(&self.regions, &names, LEVEL_MAX).await;
        let failed = seen.samples.iter().filter(|sample| sample.outcome == Outcome::Failed).count() as u64;
        self.checks.push(Check { name: "requests that failed", missed: failed });
        let broken = self.feeds_begun()?.saturating_sub(feeds);
        self.checks.push(Check { name: "feeds that broke", missed: broken });
        let mut figures = self.figures(&seen, fault_ms, normal_ms);
        figures.checks = std::mem::take(&mut self.checks);
        figures.back_to_normal_ms = Some(normal_ms.saturating_sub(fault_ms));
        figures.equal_everywhere = ends::equal(&self.regions, &names).await?;
        let mut held = std::collections::BTreeSet::new();
        for name in &names {
            held.extend(ends::numbers(&self.regions, *name).await?);
        }
        figures.writes_lost = seen.acknowledged.keys().copied().filter(|number| !held.contains(number)).collect();
        Ok(self.report(figures, seen))
    }

    /// Counts the feeds that leaders have begun, from the log files of their processes.
    fn feeds_begun(&self) -> Result<u64, Failure> {
        let mut begun = 0;
        for name in self.names() {
            let log = self.regions.security.dir.join(format!("{name}.log"));
            let text = std::fs::read_to_string(&log)
                .map_err(|error| Failure::rejected(format!("cannot read {}: {error}", log.display())))?;
            begun += text.matches("a subscriber has joined").count() as u64;
        }
        Ok(begun)
    }
}

/// Advances the rotation until `is` holds.
async fn follow(ca: &Ca, is: impl Fn(&Progress) -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let progress = ca.advance_rotation(&[]).map_err(Failure::rejected)?;
        if is(&progress) {
            return Ok(());
        }
        if begun.elapsed() >= FOLLOW_MAX {
            return Err(Failure::rejected(format!(
                "{} nodes have not followed within {} s: {}; see their logs",
                progress.waiting.len(),
                FOLLOW_MAX.as_secs(),
                progress.waiting.join(", ")
            )));
        }
        tokio::time::sleep(EVERY).await;
    }
}
