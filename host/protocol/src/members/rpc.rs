//! Requests between the members of a region, and their replies.
//!
//! A follower *fetches* records. Each fetch states up to which record the follower's log is
//! durable, and waits at the leader until more records exist. So the leader needs no queue per
//! follower, and a slow, stopped or disconnected member costs it nothing.

use super::EpochHistory;
use bytes::Bytes;
use littoral_model::{
    format::ProtocolVersion,
    position::{Epoch, Incarnation, Lsn},
};
use serde::{Deserialize, Serialize};

/// A summary of one member's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The log's name; meaningless for a log without records.
    pub incarnation: Incarnation,
    /// The newest epoch that the member has promised.
    pub promised: Epoch,
    /// The epochs of its records.
    pub history: EpochHistory,
}

/// A request from one member to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Announces that a member has won the lease and is about to lead. The receiver must reject
    /// older epochs from now on.
    Prepare {
        /// The sender.
        member: String,
        /// The epoch that it has won.
        epoch: Epoch,
    },
    /// Requests to follow.
    Join {
        /// The sender.
        member: String,
        /// Its log.
        log: Log,
    },
    /// Requests records of the leader's log.
    Fetch {
        /// The sender.
        member: String,
        /// The session from the reply to its last [`Request::Join`].
        session: u64,
        /// The first requested record. Everything before it is durable at the sender.
        from: Lsn,
        /// The approximate maximum size in bytes.
        bytes_max: u32,
        /// How long to wait for the first record, in milliseconds.
        wait_ms: u32,
    },
    /// Requests records of any member's log, for a candidate that has fewer.
    Records {
        /// The epoch that the candidate has won and the receiver has promised.
        epoch: Epoch,
        /// The first requested record.
        from: Lsn,
        /// The approximate maximum size in bytes.
        bytes_max: u32,
    },
    /// Requests a chunk of a snapshot's file.
    Snapshot {
        /// The record of the snapshot.
        as_of: Lsn,
        /// The offset of the first byte.
        offset: u64,
        /// The maximum number of bytes.
        bytes_max: u32,
    },
    /// Sends a piece of a detached tail, which the leader merges into its log.
    Merge {
        /// Identifies the piece and its tail. Merging a piece again changes nothing.
        piece: String,
        /// The records, encoded as in a log.
        records: Bytes,
    },
}

/// How a follower is brought to the point at which it can fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// It fetches what follows the common record, after detaching its own later records.
    Records {
        /// The common record.
        common: Lsn,
    },
    /// It installs a snapshot, because the leader's log no longer contains the records that it
    /// lacks.
    Snapshot {
        /// The record of the snapshot.
        as_of: Lsn,
        /// The size of its file in bytes.
        len: u64,
    },
}

/// A reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The reply to [`Request::Prepare`]: the promise is durable.
    Promised(Log),
    /// The reply to [`Request::Join`].
    Joined {
        /// The session for fetches.
        session: u64,
        /// The leader's epoch.
        epoch: Epoch,
        /// The name of the log that it leads.
        incarnation: Incarnation,
        /// The last record that it knows to be committed.
        committed: Lsn,
        /// How the follower catches up.
        catch_up: CatchUp,
    },
    /// The reply to [`Request::Fetch`] and [`Request::Records`]: records, or none yet.
    Records {
        /// The first record.
        first: Lsn,
        /// The last record.
        last: Lsn,
        /// The records, encoded as in a log.
        bytes: Bytes,
        /// The last record known to be committed.
        committed: Lsn,
        /// The last record that is durable at the leader, which bounds what it has acknowledged.
        /// `None` if the leader may have been replaced, in which case another one may have
        /// acknowledged more.
        tail: Option<Lsn>,
    },
    /// The reply to [`Request::Snapshot`]: the bytes. Fewer than requested only at the end.
    SnapshotChunk(Bytes),
    /// The reply to [`Request::Merge`]: the last record appended.
    Merged(Lsn),
}

/// Why a request is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// A newer epoch was promised, so the sender no longer leads.
    #[error("epoch {asked} has ended: epoch {promised} was promised")]
    StaleEpoch {
        /// The sender's epoch.
        asked: Epoch,
        /// The promised epoch.
        promised: Epoch,
    },
    /// Only a leader can answer.
    #[error("this member does not lead{}", leader.as_ref().map_or_else(String::new, |leader| format!("; '{leader}' may")))]
    NotLeading {
        /// The member that may lead, if known.
        leader: Option<String>,
    },
    /// The sender is not a member.
    #[error("'{0}' is not a member of this region; list it in [[members]] of every member")]
    NotAMember(String),
    /// The leader has another log.
    #[error(
        "this member has log {theirs}, but the region has log {ours}: it was created separately; move its data directory away, and it \
         copies the region's log"
    )]
    OtherLog {
        /// The sender's log.
        theirs: Incarnation,
        /// The receiver's log.
        ours: Incarnation,
    },
    /// The session has ended: the member has joined again, or the leader was replaced.
    #[error("the session has ended; join again")]
    Superseded,
    /// The requested data was trimmed.
    #[error("the requested data was trimmed: {0}; join again")]
    Trimmed(String),
    /// Another failure, described for logs.
    #[error("{0}")]
    Failed(String),
}

/// The service that answers requests of other members.
pub trait PeerService: Send + Sync + std::fmt::Debug + 'static {
    /// Handles a request of a member; `version` is the newest protocol version that both speak. A fetch waits for
    /// records as long as it requests.
    fn call(
        &self,
        request: Request,
        version: ProtocolVersion,
    ) -> littoral_model::ports::BoxFuture<'_, Result<Reply, Rejection>>;
}
