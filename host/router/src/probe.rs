//! Active probes: every door is probed for its status, each at its own interval.

use crate::{
    decision::{
        dice::Dice,
        door::{Door, DoorId, Kind},
        health::{self, Finding},
    },
    gateway::upstream::Upstream,
    router::Router,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use littoral_model::region::Region;
use serde::Deserialize;
use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// The largest status that is read, in bytes.
const STATUS_BYTES_MAX: usize = 4 << 20;

/// How often the probes are matched with the topology's doors.
const DOORS_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How many times sooner an unhealthy door is probed again.
const UNHEALTHY_FACTOR: f64 = 4.0;

/// The fields of a status that are read; every version has them.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    region: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    epoch: u64,
    ready: bool,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    authenticates: bool,
    #[serde(default)]
    writable: bool,
    position: Position,
    #[serde(default)]
    staleness_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Position {
    lsn: u64,
}

/// Stops a probe when it is dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Probes every door of the topology, until dropped.
pub async fn probe(router: Router) {
    let mut running: HashMap<DoorId, Running> = HashMap::new();
    let mut tick = tokio::time::interval(DOORS_CHECK_INTERVAL);
    loop {
        tick.tick().await;
        let doors = router.doors();
        running.retain(|id, _| doors.iter().any(|door| door.id == *id));
        for door in doors {
            running.entry(door.id).or_insert_with(|| Running(tokio::spawn(probe_door(router.clone(), door))));
        }
    }
}

async fn probe_door(router: Router, door: Arc<Door>) {
    let config = &router.config().health;
    let mut dice = Dice::new(router.dice());
    let mut connection = None;
    loop {
        let status = ask(&mut connection, &door, &router).await.and_then(|(status, took)| {
            router.note_authentication(&door, status.authenticates);
            router.may_use(&door).map(|()| (status, took))
        });
        let (finding, took) = match &status {
            Ok((status, took)) => (evaluate(status, &door, config), Some(*took)),
            Err(reason) => {
                connection = None;
                tracing::debug!(region = %door.region, node = door.name, door = door.address, reason, "a probe failed");
                (Finding::Unreachable, None)
            }
        };
        router.probed(door.id, finding, took);
        metrics::counter!("littoral_router_probes_total", "result" => if matches!(finding, Finding::Good { .. }) { "good" } else { "bad" })
            .increment(1);
        // An unhealthy door is probed sooner: it may soon be the only one left.
        let every = if matches!(finding, Finding::Good { .. }) { 1.0 } else { 1.0 / UNHEALTHY_FACTOR };
        // Up to a fifth more or less, so that routers do not probe in step.
        let pause = config.interval_ms as f64 * every * (0.8 + 0.4 * dice.share());
        tokio::time::sleep(Duration::from_secs_f64(pause / 1e3)).await;
    }
}

/// Returns a door's status, and how long its answer took.
async fn ask(connection: &mut Option<Upstream>, door: &Door, router: &Router) -> Result<(Status, Duration), String> {
    let token = match router.config().probe_token_file.as_deref() {
        Some(path) => Some(bearer(path).await?),
        None => None,
    };
    let mut upstream = match connection.take().and_then(|mut kept: Upstream| kept.check_open().then_some(kept)) {
        Some(upstream) => upstream,
        None => {
            let limit = router.bounds().connect_timeout();
            Upstream::connect(door, router.tls(), limit).await.map_err(|error| error.to_string())?
        }
    };
    let (began, limit) = (Instant::now(), Duration::from_millis(router.config().health.timeout_ms));
    let status = tokio::time::timeout(limit, status_of(&mut upstream, door, token)).await;
    let status = status.map_err(|_| "it did not answer in time".to_owned())??;
    *connection = upstream.kept();
    Ok((status, began.elapsed()))
}

async fn status_of(upstream: &mut Upstream, door: &Door, token: Option<HeaderValue>) -> Result<Status, String> {
    let mut request =
        Request::builder().method(Method::GET).uri("/v1/status").header(header::HOST, door.address.as_str());
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token);
    }
    let request =
        request.body(crate::gateway::outgoing::Outgoing::from(Bytes::new())).map_err(|error| error.to_string())?;
    let response = upstream.send(request).await.map_err(|failed| failed.error.to_string())?;
    let status = response.status();
    let body = upstream.drive(Limited::new(response.into_body(), STATUS_BYTES_MAX).collect()).await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!("it answered with {status}"));
    }
    serde_json::from_slice(&body).map_err(|error| format!("its status is invalid: {error}"))
}

/// Returns the header of the token in a file.
async fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let token = tokio::fs::read_to_string(path).await;
    let token = token.map_err(|error| format!("router.probe_token_file {}: {error}", path.display()))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| format!("router.probe_token_file {}: it does not contain a token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn evaluate(status: &Status, door: &Door, config: &health::Config) -> Finding {
    let elsewhere = !status.region.is_empty() && status.region.parse::<Region>() != Ok(door.region);
    if config.check_region && elsewhere {
        return Finding::WrongRegion;
    }
    // A leader without other members reports that it leads too.
    let leads = (door.kind == Kind::Leader && matches!(&*status.role, "leader" | "")).then_some(status.epoch);
    // A leader is never behind itself. An edge without a staleness has not heard from its leader yet.
    let check_open = match status.staleness_ms {
        Some(lag) => lag <= config.lag_ms_max,
        None => leads.is_some(),
    };
    let has_data = status.ready || status.position.lsn > 0;
    match status.ready && check_open {
        _ if status.draining && has_data => Finding::Draining,
        _ if !has_data => Finding::Empty,
        true if leads.is_some() && !status.writable => Finding::Lagging,
        true => Finding::Good { writable: status.writable, leads },
        false => Finding::Lagging,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(status: &str, kind: Kind) -> Finding {
        let region = "eu".parse().unwrap();
        let door = Door {
            id: DoorId(0),
            region,
            name: String::new(),
            address: String::new(),
            kind,
            weight: 1,
            addresses: Vec::new(),
        };
        let config = health::Config { check_region: true, ..health::Config::default() };
        evaluate(&serde_json::from_str(status).unwrap(), &door, &config)
    }

    #[test]
    fn a_status_is_evaluated_by_readiness_lag_data_and_region() {
        let status = |ready: bool, writable: bool, lsn: u64, lag: &str, region: &str| {
            format!(
                r#"{{"ready":{ready},"writable":{writable},"position":{{"lsn":{lsn}}},"staleness_ms":{lag},"region":"{region}"}}"#
            )
        };
        let edge = |text: &str| evaluated(text, Kind::Edge);
        assert_eq!(edge(&status(true, true, 5, "10", "eu")), Finding::Good { writable: true, leads: None });
        assert_eq!(edge(&status(true, false, 5, "10", "")), Finding::Good { writable: false, leads: None });
        assert_eq!(edge(&status(true, true, 5, "10001", "eu")), Finding::Lagging);
        assert_eq!(edge(&status(true, false, 5, "null", "eu")), Finding::Lagging, "restarted without its leader");
        assert_eq!(
            edge(&status(false, false, 5, "null", "eu")),
            Finding::Lagging,
            "the same, as older nodes report it"
        );
        let drains =
            |ready: bool, lsn: u64| status(ready, true, lsn, "1", "eu").replacen('{', r#"{"draining":true,"#, 1);
        assert_eq!(edge(&drains(false, 5)), Finding::Draining);
        assert_eq!(evaluated(&drains(false, 5), Kind::Leader), Finding::Draining);
        assert_eq!(edge(&drains(false, 0)), Finding::Empty);
        assert_eq!(edge(&status(false, false, 0, "null", "")), Finding::Empty);
        assert_eq!(edge(&status(true, true, 5, "10", "us")), Finding::WrongRegion);
        assert_eq!(evaluated(&status(true, false, 5, "0", "eu"), Kind::Leader), Finding::Lagging);
    }

    #[test]
    fn a_member_leads_if_it_reports_so_and_a_follower_is_healthy_without_writes() {
        let member = |role: &str, writable: bool| {
            let text = format!(
                r#"{{"role":"{role}","epoch":9,"ready":true,"writable":{writable},"position":{{"lsn":5}},"staleness_ms":0}}"#
            );
            (evaluated(&text, Kind::Leader), evaluated(&text, Kind::Edge))
        };
        let healthy = |writable, leads| Finding::Good { writable, leads };
        assert_eq!(member("leader", true), (healthy(true, Some(9)), healthy(true, None)));
        assert_eq!(member("leader", false).0, Finding::Lagging, "its disk accepts no writes");
        assert_eq!(member("follower", true).0, healthy(true, None), "it forwards writes");
        assert_eq!(member("follower", false).0, healthy(false, None), "no member leads now");
    }
}
