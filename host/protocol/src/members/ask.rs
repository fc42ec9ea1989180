//! What members of a region's log ask each other, and how that is answered.
//!
//! A follower *fetches*: each fetch says up to where its log is durable, and waits at the leader until there is more. So the
//! leader keeps no queue for anybody, and a member that is slow, stopped or cut off costs it nothing.

use super::History;
use bytes::Bytes;
use littoral_model::position::{Epoch, Incarnation, Lsn};
use serde::{Deserialize, Serialize};

/// One member's log, as it tells others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Which life of the region's log it is. Of a log without records it means nothing.
    pub incarnation: Incarnation,
    /// The newest epoch that the member has promised.
    pub promised: Epoch,
    /// Which epochs its records are of.
    pub history: History,
}

/// What one member asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Who has won the lease is about to lead: nothing of an older epoch is to be taken any more.
    Prepare {
        /// Who asks.
        member: String,
        /// The epoch that it has won.
        epoch: Epoch,
    },
    /// Wants to follow.
    Join {
        /// Who asks.
        member: String,
        /// Its log.
        log: Log,
    },
    /// Records of the leader's log.
    Fetch {
        /// Who asks.
        member: String,
        /// Given out by the answer to its last [`Ask::Join`].
        session: u64,
        /// The first record that is wanted: everything before it is durable at who asks.
        from: Lsn,
        /// About how many bytes.
        bytes_max: u32,
        /// How long to wait for the first one, in milliseconds.
        wait_ms: u32,
    },
    /// Records of any member's log, for who is about to lead and has less.
    Records {
        /// The epoch that it has won, which the other has promised.
        epoch: Epoch,
        /// The first record that is wanted.
        from: Lsn,
        /// About how many bytes.
        bytes_max: u32,
    },
    /// Part of a snapshot's file.
    Snapshot {
        /// The record that it is as of.
        as_of: Lsn,
        /// The first byte.
        offset: u64,
        /// How many at most.
        bytes_max: u32,
    },
    /// A piece of a detached tail, for the leader to merge into its log.
    Merge {
        /// Which piece of which tail: a second time it changes nothing.
        piece: String,
        /// The records, encoded as in a log.
        records: Bytes,
    },
}

/// How a follower is brought to where it can fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// It fetches what follows the last record that both have alike, after giving up what it has beyond.
    Records {
        /// That record.
        common: Lsn,
    },
    /// It takes a snapshot, as what it lacks is no longer in the leader's log.
    Snapshot {
        /// The record that it is as of.
        as_of: Lsn,
        /// Bytes of its file.
        len: u64,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Ask::Prepare`]: promised, durably.
    Promised(Log),
    /// To [`Ask::Join`].
    Joined {
        /// For fetching.
        session: u64,
        /// The leader's epoch.
        epoch: Epoch,
        /// Which life of the log it leads.
        incarnation: Incarnation,
        /// What it knows to be committed.
        committed: Lsn,
        /// What comes next.
        way: Way,
    },
    /// To [`Ask::Fetch`] and [`Ask::Records`]: records, or none yet.
    Records {
        /// The first.
        first: Lsn,
        /// The last.
        last: Lsn,
        /// They, encoded as in a log.
        bytes: Bytes,
        /// What is known to be committed.
        committed: Lsn,
        /// The last record that the leader has durably: what it has acknowledged goes up to there. `None` when it may have been
        /// replaced, so that others may have acknowledged more.
        tail: Option<Lsn>,
    },
    /// To [`Ask::Snapshot`]: the bytes; fewer than were asked for only at the end.
    Part(Bytes),
    /// To [`Ask::Merge`]: the last record that it became.
    Merged(Lsn),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// A newer epoch was promised: who asked leads no more.
    #[error("epoch {asked} is over: epoch {promised} was promised")]
    Over {
        /// The epoch of who asked.
        asked: Epoch,
        /// What was promised.
        promised: Epoch,
    },
    /// Only a leader answers this.
    #[error("this member does not lead{}", leader.as_ref().map_or_else(String::new, |leader| format!("; '{leader}' may")))]
    NotLeading {
        /// Who may lead, as far as is known.
        leader: Option<String>,
    },
    /// Who asks is not one of the members.
    #[error("'{0}' is no member of this region; name it in [[members]] of every member")]
    Stranger(String),
    /// The leader's log is another one.
    #[error(
        "this member's log is {theirs}, and the region's is {ours}: it was begun apart; move its data directory away, and it takes the \
         region's log"
    )]
    OtherLog {
        /// Who asks has this.
        theirs: Incarnation,
        /// Who answers has this.
        ours: Incarnation,
    },
    /// The fetches of this session are over: the member has joined again, or the leader was replaced.
    #[error("the session is over; join again")]
    Superseded,
    /// What was asked for is no longer here.
    #[error("it is no longer here: {0}; join again")]
    Gone(String),
    /// Something else, for people.
    #[error("{0}")]
    Failed(String),
}

/// Answers other members.
pub trait PeerService: Send + Sync + std::fmt::Debug + 'static {
    /// Answers what a member asks. Fetches wait for records as long as they say.
    ///
    /// # Errors
    /// [`Rejection`].
    fn ask(&self, ask: Ask) -> littoral_model::ports::BoxFuture<'_, Result<Reply, Rejection>>;
}
