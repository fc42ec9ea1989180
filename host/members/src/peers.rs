//! Connections to the other members, and requests over them. When a connection breaks, the caller opens another one.

use littoral_feed::client::{self, CallClient, Config};
use littoral_leader::MemberAddress;
use littoral_model::{format::ProtocolVersion, region::Region};
use littoral_protocol::members::rpc::{Rejection, Reply, Request};
use littoral_tls::Tls;
use std::time::Duration;

/// How long another member may take to accept a connection. A reply may take five times as long, and one that waits for
/// records even longer.
const CALL_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Why a member did not reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Connect(#[from] client::Error),
    #[error(transparent)]
    Call(#[from] client::CallError),
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("the member's reply does not match the request")]
    Other,
}

/// What connections to the other members have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub(crate) tls: Option<Tls>,
    /// The newest protocol version that this member speaks.
    pub(crate) version: ProtocolVersion,
}

impl Links {
    /// Connects to a member's peer listener. `region` is the one of both.
    pub(crate) async fn connect(&self, peer: &str, region: Region) -> Result<CallClient, client::Error> {
        let timeout_ms = CALL_TIMEOUT.as_millis() as u64;
        let config = Config {
            leader: vec![peer.to_owned()],
            connect_timeout_ms: timeout_ms,
            // Writes that a follower forwards over this connection may wait for other regions.
            call_timeout_ms: 5 * timeout_ms,
            region: Some(region),
            tls: self.tls.clone(),
            version: self.version,
            ..Config::default()
        };
        client::connect_calls(peer, &config).await
    }

    /// Sends a request over a connection of its own.
    pub(crate) async fn call_once(
        &self,
        member: &MemberAddress,
        region: Region,
        request: Request,
    ) -> Result<Reply, CallError> {
        call(&self.connect(&member.peer, region).await?, request).await
    }
}

/// Sends a request over an open connection.
pub(crate) async fn call(calls: &CallClient, request: Request) -> Result<Reply, CallError> {
    Ok(calls.member(request).await??)
}
