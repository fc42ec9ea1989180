//! Connections to the other members: opened when they are asked for, and again when they have broken.

use super::Seat;
use littoral_feed::client::{self, CallClient, Config};
use littoral_protocol::members::ask::{Ask, NotTold, Told};
use std::time::Duration;

/// How long another member may take to connect and to answer, unless it waits for records.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// Why a member did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Connect(#[from] client::Error),
    #[error(transparent)]
    Call(#[from] client::CallError),
    #[error(transparent)]
    Told(#[from] NotTold),
    #[error("it answered something else than it was asked")]
    Other,
}

/// A connection to a member's peer listener.
pub(crate) async fn to(peer: &str) -> Result<CallClient, client::Error> {
    let patience_ms = PATIENCE.as_millis() as u64;
    let config = Config {
        leader: vec![peer.to_owned()],
        connect_timeout_ms: patience_ms,
        // Writes that are passed on may wait for others.
        call_timeout_ms: 5 * patience_ms,
        ..Config::default()
    };
    client::connect_calls(peer, &config).await
}

/// Asks over a connection that is open.
pub(crate) async fn ask(calls: &CallClient, ask: Ask) -> Result<Told, Unanswered> {
    Ok(calls.member(ask).await??)
}

/// Asks over a connection of its own.
pub(crate) async fn ask_once(seat: &Seat, ask: Ask) -> Result<Told, Unanswered> {
    self::ask(&to(&seat.peer).await?, ask).await
}
