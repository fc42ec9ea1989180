//! Whether a subscriber that holds rows may follow a publisher. An address may lead to a leader whose disk was emptied, or to one
//! of another cluster: whoever followed it would throw away rows that may be the last in the world.
//!
//! Nobody who holds nothing has anything to lose, and follows whom it is configured to follow.
//! `host/decisions/0014-whose-log-an-edge-follows.md` says why.

use crate::frame::PublisherHello;
use littoral_model::{
    cluster::ClusterId,
    mutation::{Mutation, active},
    position::{Incarnation, Lsn},
    region::Region,
};
use std::fmt;

/// What a subscriber holds rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The region whose log it is.
    pub region: Region,
    /// The log.
    pub log: Incarnation,
    /// Its cluster; `None` while it is not known, as with rows that an older release has left.
    pub cluster: Option<ClusterId>,
    /// A log that an operator has had adopted in the place of this one.
    pub adopted: Option<Incarnation>,
}

/// A publisher's log, which whoever holds rows of another must not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherLog {
    /// What is held.
    pub held: Held,
    /// The publisher's region.
    pub region: Region,
    /// Its log.
    pub log: Incarnation,
    /// Its last record.
    pub head: Lsn,
    /// Its cluster.
    pub cluster: Option<ClusterId>,
}

impl Held {
    /// Checks whether the publisher may be followed.
    ///
    /// # Errors
    /// [`OtherLog`].
    pub fn check(&self, hello: &PublisherHello) -> Result<(), OtherLog> {
        if self.is_kin(hello) || active(Mutation::FollowOtherLog) {
            return Ok(());
        }
        let (region, cluster, head) = (hello.region, hello.cluster, hello.head.lsn);
        Err(OtherLog { held: *self, region, log: hello.log(), head, cluster })
    }

    fn is_kin(&self, hello: &PublisherHello) -> bool {
        let log = hello.log();
        if log == self.log || self.adopted == Some(log) {
            return true;
        }
        let clusters = self.cluster.zip(hello.cluster);
        if clusters.is_some_and(|(ours, theirs)| ours != theirs) {
            return false;
        }
        // A tail of another region's log lacks nothing of what is held: its watermark and its histories have shown that.
        if hello.rehomed.is_some() && hello.region != self.region {
            return true;
        }
        // A leader states its cluster once it holds what the other regions have, and no sooner.
        if hello.cluster.is_none() {
            return false;
        }
        if hello.region == self.region {
            return hello.succeeds == Some(self.log);
        }
        let knows_ours = || hello.lives.get(self.region).is_some_and(|lives| lives.log() == self.log);
        self.cluster.is_some() || knows_ours()
    }
}

impl OtherLog {
    /// What sets it apart from what is held.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.held.cluster.zip(self.cluster) {
            Some((ours, theirs)) if ours != theirs => "it is another cluster's",
            Some(_) => "it was not begun in the place of the log that is held",
            None if self.held.cluster.is_none() && self.cluster.is_some() => {
                "nothing shows that it is of the cluster whose rows are held"
            }
            None => "it is of no cluster yet: it was begun anew, and holds nothing of what the other regions have",
        }
    }
}

impl fmt::Display for OtherLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, region, log, head, .. } = self;
        let are = if *head <= FEW { "which is empty or nearly so" } else { "which is not empty" };
        write!(
            f,
            "this address serves log {log} of region '{region}' with {head} records, {are}, and the rows held here are of log \
             {} of region '{}': {}; mend the address or restore that leader's data, or take the other log in the place of \
             what is held with 'littoral edge adopt --log {log}'",
            held.log,
            held.region,
            self.reason()
        )
    }
}

/// A log with so few records holds nothing but what every leader begins it with.
const FEW: Lsn = Lsn(2);
