//! Whether a subscriber that holds rows may follow a publisher.
//!
//! An address may lead to a leader whose disk was emptied, or to a leader of another cluster. A
//! subscriber that followed it would discard rows that may exist nowhere else. A subscriber that
//! holds nothing has nothing to lose, and follows the publisher in its configuration.
//! `host/decisions/0014-whose-log-an-edge-follows.md` gives the reasons.

use crate::frame::PublisherHello;
use littoral_model::{
    cluster::ClusterId,
    mutation::{Mutation, active},
    position::{Incarnation, Lsn},
    region::Region,
};
use std::fmt;

/// The log whose rows a subscriber holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLog {
    /// The region of the log.
    pub region: Region,
    /// The log's name.
    pub log: Incarnation,
    /// Its cluster; `None` if unknown, as with rows written by an older release.
    pub cluster: Option<ClusterId>,
    /// A log that an operator has chosen for adoption in place of this one.
    pub adopted: Option<Incarnation>,
}

/// The error for a publisher whose log a subscriber that holds another log's rows must not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherLog {
    /// The log whose rows are held.
    pub held: HeldLog,
    /// The publisher's region.
    pub region: Region,
    /// The publisher's log.
    pub log: Incarnation,
    /// The last record of the publisher's log.
    pub head: Lsn,
    /// The publisher's cluster.
    pub cluster: Option<ClusterId>,
}

impl HeldLog {
    /// Checks whether the publisher may be followed.
    pub fn check(&self, hello: &PublisherHello) -> Result<(), OtherLog> {
        if self.is_eligible(hello) || active(Mutation::FollowOtherLog) {
            return Ok(());
        }
        let (region, cluster, head) = (hello.region, hello.cluster, hello.head.lsn);
        Err(OtherLog { held: *self, region, log: hello.log(), head, cluster })
    }

    fn is_eligible(&self, hello: &PublisherHello) -> bool {
        let log = hello.log();
        if log == self.log || self.adopted == Some(log) {
            return true;
        }
        let clusters = self.cluster.zip(hello.cluster);
        if clusters.is_some_and(|(ours, theirs)| ours != theirs) {
            return false;
        }
        // A tail of another region's log lacks nothing that is held, as its watermark and lineages
        // show.
        if hello.rehomed.is_some() && hello.region != self.region {
            return true;
        }
        // A leader states its cluster only once it holds everything that the other regions have.
        if hello.cluster.is_none() {
            return false;
        }
        if hello.region == self.region {
            return hello.succeeds == Some(self.log);
        }
        let lists_ours = || hello.lineages.get(self.region).is_some_and(|lineage| lineage.log() == self.log);
        self.cluster.is_some() || lists_ours()
    }
}

impl OtherLog {
    /// Returns why the publisher's log may not replace the held one.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.held.cluster.zip(self.cluster) {
            Some((ours, theirs)) if ours != theirs => "it belongs to another cluster",
            Some(_) => "it was not created to replace the log whose rows are held",
            None if self.held.cluster.is_none() && self.cluster.is_some() => {
                "nothing shows that it belongs to the cluster whose rows are held"
            }
            None => "it belongs to no cluster yet: it was recreated, and has no records of the other regions",
        }
    }
}

impl fmt::Display for OtherLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, region, log, head, .. } = self;
        let size = if *head <= FEW { "which is empty or nearly empty" } else { "which is not empty" };
        write!(
            f,
            "this address serves log {log} of region '{region}' with {head} records, {size}, but the rows held here belong to log \
             {} of region '{}': {}; correct the address, restore that leader's data, or replace the held rows with \
             'littoral edge adopt --log {log}'",
            held.log,
            held.region,
            self.reason()
        )
    }
}

/// A log with at most this many records contains only what every leader writes first.
const FEW: Lsn = Lsn(2);
