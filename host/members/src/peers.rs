//! Connections to the other members: opened on demand, and reopened when they have broken.

use littoral_feed::client::{self, CallClient, Config};
use littoral_leader::Seat;
use littoral_protocol::members::ask::{Ask, Rejection, Reply};
use std::time::Duration;

/// How long another member may take to connect and to reply, unless it waits for records.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Why a member did not reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Connect(#[from] client::Error),
    #[error(transparent)]
    Call(#[from] client::CallError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("the member's reply does not match the request")]
    Other,
}

/// Connects to a member's peer listener.
pub(crate) async fn to(peer: &str) -> Result<CallClient, client::Error> {
    let patience_ms = PATIENCE.as_millis() as u64;
    let config = Config {
        leader: vec![peer.to_owned()],
        connect_timeout_ms: patience_ms,
        // Forwarded writes may wait for other regions.
        call_timeout_ms: 5 * patience_ms,
        ..Config::default()
    };
    client::connect_calls(peer, &config).await
}

/// Sends a request over an open connection.
pub(crate) async fn ask(calls: &CallClient, ask: Ask) -> Result<Reply, Unanswered> {
    Ok(calls.member(ask).await??)
}

/// Sends a request over a connection of its own.
pub(crate) async fn ask_once(seat: &Seat, ask: Ask) -> Result<Reply, Unanswered> {
    self::ask(&to(&seat.peer).await?, ask).await
}
