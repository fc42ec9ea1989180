//! Alerts: each rule of `edge-config/monitoring` fires and resolves at a real Prometheus that scrapes real nodes.
//! Metrics: nodes export what `host/METRICS.md` lists.

#[path = "alerts/guards.rs"]
mod guards;
#[path = "alerts/members.rs"]
mod members;
#[path = "alerts/metrics.rs"]
mod metrics;
#[path = "alerts/regions.rs"]
mod regions;
#[path = "alerts/rules.rs"]
mod rules;

use littoral_provision::{
    Missing,
    prometheus::{Prometheus, Target},
};
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

/// How long an alert may take to fire or to resolve.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How often Prometheus is queried. It scrapes less often.
const QUERY_INTERVAL: Duration = Duration::from_millis(200);

/// A Prometheus with the rules, and the alerts that have fired so far.
struct Watch {
    prometheus: Prometheus,
    fired: BTreeSet<String>,
}

impl Watch {
    /// Starts Prometheus, and waits until it scrapes every node and no alert fires.
    fn start(dir: &Path, targets: &[Target]) -> Result<Self, Missing> {
        let watch = Self { prometheus: Prometheus::start(dir, &rules::shortened(), targets)?, fired: BTreeSet::new() };
        watch.until("every node is scraped", |watch| {
            let up = watch.query("up == 1");
            if up.len() == targets.len() { Vec::new() } else { vec![format!("only these are: {up:?}")] }
        });
        watch.calm("no alert fires at first");
        Ok(watch)
    }

    /// Waits until each of these alerts has fired.
    fn fire(&mut self, what: &str, alerts: &[&str]) {
        let mut missing: BTreeSet<String> = alerts.iter().map(|alert| (*alert).to_owned()).collect();
        self.fired.extend(missing.iter().cloned());
        self.until(what, |watch| {
            let firing = watch.prometheus.firing().unwrap();
            missing.retain(|alert| !firing.contains(alert));
            missing.iter().map(|alert| format!("{alert} does not fire")).collect()
        });
    }

    /// Waits until every node is scraped and no alert fires.
    fn calm(&self, what: &str) {
        self.until(what, |watch| {
            let down = watch.query("up == 0");
            let firing = watch.prometheus.firing().unwrap().into_iter().map(|alert| format!("{alert} fires"));
            down.into_iter().chain(firing).collect()
        });
    }

    fn query(&self, expression: &str) -> Vec<String> {
        self.prometheus.query(expression).unwrap()
    }

    /// Waits until nothing is wrong any more.
    fn until(&self, what: &str, mut wrong: impl FnMut(&Self) -> Vec<String>) {
        let since = Instant::now();
        loop {
            let wrong = wrong(self);
            if wrong.is_empty() {
                eprintln!("{what}: after {:?}", since.elapsed());
                return;
            }
            assert!(since.elapsed() < WAIT_MAX, "{what}: not within {WAIT_MAX:?}: {wrong:?}");
            std::thread::sleep(QUERY_INTERVAL);
        }
    }
}
