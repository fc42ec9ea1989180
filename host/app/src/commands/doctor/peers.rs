//! Checks of the nodes that a node connects to: whether they can be reached, whether they are what the configuration
//! expects, and how far their clocks differ.

use super::finding::Finding;
use crate::output::text;
use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use littoral_feed::client::{self, Config};
use littoral_tls::{Stream, Tls};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;

/// How long a node may take to accept a connection and to answer.
const WAIT: Duration = Duration::from_secs(5);

/// The difference of two clocks above which ages and freshness are reported wrongly.
const CLOCK_WARNING: Duration = Duration::from_millis(500);

/// The difference above which a leader rejects the other's writes as events of the future, and credentials fail.
const CLOCK_PROBLEM: Duration = Duration::from_secs(30);

/// A node that the checked node connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// How findings name it, by its relation to the checked node.
    pub name: String,
    /// Its address, `host:port`.
    pub address: String,
    /// The listener that the checked node uses.
    pub service: Service,
}

/// A listener of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Its peer listener.
    Peer,
    /// Its door, as a router does.
    Door {
        /// The region that its certificate must name.
        region: String,
    },
}

impl Neighbour {
    /// Returns a node whose peer listener is used.
    pub fn peer(name: impl Into<String>, address: &str) -> Self {
        Self { name: name.into(), address: address.to_owned(), service: Service::Peer }
    }
}

/// Connects to a node as the checked node would.
pub async fn check(neighbour: &Neighbour, tls: Option<&Tls>) -> Vec<Finding> {
    let subject = format!("{} at {}", neighbour.name, neighbour.address);
    match &neighbour.service {
        Service::Peer => peer(subject, &neighbour.address, tls).await,
        Service::Door { region } => vec![door(subject, &neighbour.address, region, tls).await],
    }
}

async fn peer(subject: String, address: &str, tls: Option<&Tls>) -> Vec<Finding> {
    let wait_ms = WAIT.as_millis() as u64;
    let config = Config {
        leader: vec![address.to_owned()],
        connect_timeout_ms: wait_ms,
        call_timeout_ms: wait_ms,
        tls: tls.cloned(),
        ..Config::default()
    };
    let answer = async {
        let calls = client::connect_calls(address, &config).await.map_err(|error| error.to_string())?;
        // The first call includes the opening of the stream.
        calls.status().await.map_err(|error| error.to_string())?;
        let (clock, begun) = (littoral_runtime::clock::system(), Instant::now());
        let status = calls.status().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((status, clock, begun.elapsed()))
    };
    match answer.await {
        Ok((status, clock, round_trip)) => {
            let what = format!("'{}' of region '{}' answers in {}", status.name, status.region, text::span(round_trip));
            let reached = match status.ready {
                true => Finding::ok(&subject, what),
                false => {
                    Finding::warning(&subject, format!("{what}, but is not ready"), status.not_ready_reason.clone())
                }
            };
            let theirs = status.gauges.get("clock_ms");
            let clocks = theirs.and_then(|theirs| clocks(&subject, *theirs, clock, round_trip));
            [Some(reached), clocks].into_iter().flatten().collect()
        }
        Err(error) => vec![Finding::problem(
            subject,
            error,
            "check that the node runs, its address, and that no firewall is in between",
        )],
    }
}

/// Compares the clock of a node with this host's. `theirs` is the node's reading in milliseconds since 1970; it was
/// requested at `clock` and arrived `round_trip` later.
fn clocks(subject: &str, theirs: f64, clock: SystemTime, round_trip: Duration) -> Option<Finding> {
    let ours = clock.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() * 1e3 + round_trip.as_secs_f64() * 500.0;
    let difference = theirs - ours;
    // The reading is assumed to be from the middle of the round trip, so it is uncertain by half of it.
    let certain = Duration::from_secs_f64((difference.abs() - round_trip.as_secs_f64() * 500.0).max(0.0) / 1e3);
    let subject = format!("clock of {subject}");
    let direction = if difference < 0.0 { "behind" } else { "ahead of" };
    let what = format!("it is {} {direction} this host's", text::span(Duration::from_secs_f64(difference.abs() / 1e3)));
    let remedy = "synchronise both hosts with the same time servers (chrony, systemd-timesyncd)";
    Some(match certain {
        certain if certain > CLOCK_PROBLEM => Finding::problem(subject, what, remedy),
        certain if certain > CLOCK_WARNING => Finding::warning(subject, what, remedy),
        _ => Finding::ok(subject, what),
    })
}

async fn door(subject: String, address: &str, region: &str, tls: Option<&Tls>) -> Finding {
    let begun = Instant::now();
    match tokio::time::timeout(WAIT, readiness(address, region, tls)).await {
        Ok(Ok(StatusCode::OK)) => Finding::ok(subject, format!("ready, answers in {}", text::span(begun.elapsed()))),
        Ok(Ok(status)) => {
            Finding::warning(subject, format!("not ready: it answers {status}"), "see the status of the node")
        }
        Ok(Err(error)) => Finding::problem(
            subject,
            error,
            "check that the node runs, its address, and that no firewall is in between",
        ),
        Err(_) => {
            Finding::problem(subject, format!("no answer within {} s", WAIT.as_secs()), "check that the node runs")
        }
    }
}

async fn readiness(address: &str, region: &str, tls: Option<&Tls>) -> Result<StatusCode, String> {
    let socket = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let stream = match tls {
        Some(tls) => tls.connect_door(address, region, socket).await.map_err(|error| error.to_string())?,
        None => Stream::Plain(socket),
    };
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let served = tokio::spawn(connection);
    let request = Request::get("/v1/ready").header("host", address).body(Empty::<Bytes>::new());
    let answer = requests.send_request(request.map_err(|error| error.to_string())?).await;
    served.abort();
    Ok(answer.map_err(|error| error.to_string())?.status())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn difference(ms: f64, round_trip: Duration) -> Level {
        clocks("x", 1e9 + ms, UNIX_EPOCH + Duration::from_secs(1_000_000), round_trip).unwrap().level
    }

    #[test]
    fn a_clock_is_compared_as_far_as_the_round_trip_allows() {
        let fast = Duration::from_millis(1);
        assert_eq!(difference(100.0, fast), Level::Ok);
        assert_eq!(difference(-700.0, fast), Level::Warning);
        assert_eq!(difference(40_000.0, fast), Level::Problem);
        assert_eq!(difference(700.0, Duration::from_secs(2)), Level::Ok, "the answer may have been late");
    }
}
