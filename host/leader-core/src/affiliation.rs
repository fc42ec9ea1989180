//! Which cluster a leader's log belongs to: which region founds a cluster, which ones join it, and when a recreated log
//! may accept writes and be followed. No IO.
//!
//! A leader with an empty directory cannot distinguish a new region from one that has lost its disk; the other regions
//! can. So it accepts no writes until one of them has confirmed its cluster, or all of them are as empty, or its
//! operator has declared that the cluster begins here. `host/decisions/0014-whose-log-an-edge-follows.md` gives the
//! reasons.

use littoral_model::{
    cluster::{Affiliation, ClusterId},
    position::Incarnation,
    region::Region,
};
use std::collections::BTreeMap;

/// The affiliation that another region's leader has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It belongs to no cluster yet.
    Blank,
    /// It has a log and runs an older release, which has no clusters.
    Older,
    /// It belongs to this cluster.
    Of(ClusterId),
}

/// Why another region's records are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// Its leader belongs to another cluster.
    #[error(
        "its log belongs to cluster {theirs}, but this log to cluster {ours}: the address is that of another cluster's leader; \
         correct [[regions]], or recreate the log of the region that should join the other cluster"
    )]
    OtherCluster {
        /// This log's cluster.
        ours: ClusterId,
        /// The other log's cluster.
        theirs: ClusterId,
    },
    /// Both logs are new, and the other one may be recovering: its records must not be mistaken for a complete log.
    #[error(
        "its log is new, like this one, and may lack records that other regions have; its records are accepted once a region \
         confirms the cluster of one of them, or all regions have reported that they are empty"
    )]
    AsBlank,
    /// Its log was recreated and still lacks records of its former log.
    #[error(
        "its log {theirs} was created in place of log {known}, and still lacks records of it that the other regions have; it is \
         accepted once it has them"
    )]
    Unhealed {
        /// The log that this region knows.
        known: Incarnation,
        /// Its new log.
        theirs: Incarnation,
    },
}

/// What another region's leader reports about its affiliation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its cluster, once its log is complete.
    pub cluster: Option<ClusterId>,
    /// Whether its release has clusters.
    pub knows_clusters: bool,
    /// Its log.
    pub log: Incarnation,
    /// The log of this region that it knows.
    pub knew: Option<Incarnation>,
}

/// The affiliation of this log, and what other regions have reported.
#[derive(Clone, Debug)]
pub struct AffiliationCheck {
    log: Incarnation,
    /// Whether this region may found a cluster: it is the catalogue home, or no other regions are configured.
    founds: bool,
    /// Whether the log was empty when it was opened.
    blank: bool,
    /// Whether the operator has declared that the cluster begins here.
    init: bool,
    peers: BTreeMap<Region, Option<Answer>>,
    /// The log of this region that other regions knew before this one.
    knew: Option<Incarnation>,
    /// Whether this log has everything that a region with a cluster had.
    level: bool,
    /// Like `level`, but a region of an older release, which has no cluster, also counts.
    whole: bool,
}

impl AffiliationCheck {
    /// Creates the state for a newly opened log. `home` is the catalogue home, if there are other regions.
    #[must_use]
    pub fn opened(
        log: Incarnation,
        (own, home): (Region, Option<Region>),
        others: impl Iterator<Item = Region>,
    ) -> Self {
        let peers: BTreeMap<_, _> = others.map(|region| (region, None)).collect();
        let founds = peers.is_empty() || home.is_none_or(|home| home == own);
        Self { log, founds, blank: false, init: false, peers, knew: None, level: false, whole: false }
    }

    /// Sets whether the log was empty, and whether the operator has declared that the cluster begins here.
    #[must_use]
    pub fn blank(self, blank: bool, init: bool) -> Self {
        Self { blank, init, ..self }
    }

    /// Notes that a member begins to lead; its log may have received records since it was opened.
    pub fn leads(&mut self, blank: bool) {
        self.blank &= blank;
    }

    /// Checks that this log has everything that this region ever had. Otherwise rows that it lacks may exist in other
    /// regions.
    ///
    /// # Errors
    /// What the leader is waiting for.
    pub fn has_all(&self, written: Option<Affiliation>) -> Result<(), String> {
        self.may_write(written)?;
        match written {
            _ if self.whole => Ok(()),
            Some(written) if written.healed => Ok(()),
            None if self.is_first() => Ok(()),
            _ => Err("its log was recreated, and does not hold yet what the other regions have".to_owned()),
        }
    }

    /// Returns the affiliation: the one that is `written` in the log, or the log's own cluster if it founds one.
    #[must_use]
    pub fn now(&self, written: Option<Affiliation>) -> Option<Affiliation> {
        written.or_else(|| (self.founds && self.is_first()).then(|| Affiliation::founder(self.log)))
    }

    /// Returns whether this log has no older log of this region to wait for.
    fn is_first(&self) -> bool {
        !self.blank || self.init || self.peers.values().all(|answer| *answer == Some(Answer::Blank))
    }

    /// Checks whether writes may be accepted. The module's documentation states when.
    ///
    /// # Errors
    /// What the log is waiting for.
    pub fn may_write(&self, written: Option<Affiliation>) -> Result<(), String> {
        let vouched = || self.peers.values().any(|answer| matches!(answer, Some(Answer::Of(_) | Answer::Older)));
        if written.is_some() || self.is_first() || vouched() {
            return Ok(());
        }
        let silent = self.peers.iter().filter(|(_, answer)| answer.is_none()).map(|(region, _)| format!("'{region}'"));
        let silent: Vec<_> = silent.collect();
        Err(format!(
            "its log is new and empty, and region {} has not answered yet; it may hold what this region had; if the whole \
             cluster begins here, start this leader once with --init",
            silent.join(" and ")
        ))
    }

    /// Processes the report of another region's leader; `known` is that region's log as this region knows it.
    ///
    /// # Errors
    /// [`Ineligible`].
    pub fn greeted(
        &mut self,
        region: Region,
        greeting: Greeting,
        known: Option<Incarnation>,
        written: Option<Affiliation>,
    ) -> Result<(), Ineligible> {
        if let (Some(ours), Some(theirs)) = (self.now(written), greeting.cluster)
            && ours.cluster != theirs
        {
            return Err(Ineligible::OtherCluster { ours: ours.cluster, theirs });
        }
        let answer = match greeting.cluster {
            Some(cluster) => Answer::Of(cluster),
            None if greeting.knows_clusters => Answer::Blank,
            None => Answer::Older,
        };
        self.peers.insert(region, Some(answer));
        // All regions were empty at the same time, so nothing was lost, whatever they report later.
        self.blank &= !self.is_first();
        self.knew = self.knew.or(greeting.knew.filter(|knew| *knew != self.log));
        if self.blank && written.is_none() && answer == Answer::Blank && !self.is_first() {
            return Err(Ineligible::AsBlank);
        }
        match known.filter(|known| *known != greeting.log) {
            // Accepting its new log now would forget its former log, whose records it still has to receive from here.
            Some(known) if answer == Answer::Blank && self.now(written).is_some_and(|ours| ours.healed) => {
                Err(Ineligible::Unhealed { known, theirs: greeting.log })
            }
            _ => Ok(()),
        }
    }

    /// Notes that this log has everything that the region had when it reported.
    pub fn levelled(&mut self, region: Region) {
        self.level |= matches!(self.peers.get(&region), Some(Some(Answer::Of(_))));
        self.whole |= matches!(self.peers.get(&region), Some(Some(Answer::Of(_) | Answer::Older)));
    }

    /// Returns the affiliation to write to the log now, if it differs from the one that is written.
    #[must_use]
    pub fn to_write(&self, written: Option<Affiliation>) -> Option<Affiliation> {
        let of = self.peers.values().find_map(|answer| match answer {
            Some(Answer::Of(cluster)) => Some(*cluster),
            _ => None,
        });
        let next = match (written, of) {
            (Some(written), _) => Affiliation {
                succeeds: written.succeeds.or(self.knew),
                healed: written.healed || self.level,
                ..written
            },
            (None, Some(cluster)) if self.now(None).is_none() => {
                Affiliation { cluster, succeeds: self.knew, healed: !self.blank }
            }
            (None, _) => return None,
        };
        (written != Some(next)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Incarnation = Incarnation(7);
    const OLD: Incarnation = Incarnation(3);
    const CLUSTER: ClusterId = ClusterId(70);

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    /// Creates the state of region `a` of three, with the given catalogue home.
    fn of_three(home: &str) -> AffiliationCheck {
        let others = ["b", "c"].map(region);
        AffiliationCheck::opened(LOG, (region("a"), Some(region(home))), others.into_iter())
    }

    fn greeting(cluster: Option<ClusterId>, knew: Option<Incarnation>) -> Greeting {
        Greeting { cluster, knows_clusters: true, log: Incarnation(9), knew }
    }

    #[test]
    fn a_log_without_other_regions_founds_its_own_cluster() {
        let alone = AffiliationCheck::opened(LOG, (region("a"), None), [].into_iter());
        for blank in [true, false] {
            let alone = alone.clone().blank(blank, false);
            assert_eq!(alone.now(None), Some(Affiliation::founder(LOG)));
            assert!(alone.may_write(None).is_ok());
            assert_eq!(alone.to_write(None), None, "the cluster has the log's name");
        }
    }

    #[test]
    fn an_empty_leader_waits_for_a_region_with_a_cluster_and_is_followed_once_it_has_its_records() {
        for home in ["a", "b"] {
            let mut belongs = of_three(home).blank(true, false);
            assert!(belongs.may_write(None).unwrap_err().contains("'b' and 'c'"));
            let as_blank = belongs.greeted(region("b"), greeting(None, None), None, None);
            assert_eq!(as_blank, Err(Ineligible::AsBlank), "it may be recovering, and its records may be incomplete");
            assert!(belongs.may_write(None).unwrap_err().contains("region 'c' has"));
            assert!(belongs.has_all(None).is_err());
            assert_eq!((belongs.now(None), belongs.to_write(None)), (None, None));
            belongs.greeted(region("c"), greeting(Some(CLUSTER), Some(OLD)), None, None).unwrap();
            let vouched = Affiliation { cluster: CLUSTER, succeeds: Some(OLD), healed: false };
            assert_eq!(belongs.to_write(None), Some(vouched));
            assert!(belongs.may_write(None).is_ok());
            assert!(belongs.has_all(Some(vouched)).unwrap_err().contains("does not hold yet"));
            belongs.levelled(region("b"));
            assert!(belongs.has_all(Some(vouched)).is_err());
            assert_eq!(belongs.to_write(Some(vouched)), None, "b has reported no cluster");
            belongs.levelled(region("c"));
            let healed = Affiliation { healed: true, ..vouched };
            assert_eq!(belongs.to_write(Some(vouched)), Some(healed));
            assert_eq!(belongs.to_write(Some(healed)), None);
            assert_eq!(belongs.has_all(Some(healed)), Ok(()));
        }
    }

    #[test]
    fn if_all_are_empty_the_home_founds_the_cluster_and_the_others_join_it() {
        let mut home = of_three("a").blank(true, false);
        let waits = home.greeted(region("b"), greeting(None, None), None, None);
        assert_eq!(waits, Err(Ineligible::AsBlank));
        assert!(home.may_write(None).is_err());
        home.greeted(region("c"), greeting(None, None), None, None).unwrap();
        assert_eq!(home.now(None), Some(Affiliation::founder(LOG)));
        assert!(home.may_write(None).is_ok());
        home.greeted(region("b"), greeting(Some(ClusterId(LOG.0)), None), None, None).unwrap();
        assert_eq!(
            (home.now(None), home.has_all(None)),
            (Some(Affiliation::founder(LOG)), Ok(())),
            "the answer of b changes nothing"
        );

        let mut other = of_three("b").blank(true, false);
        assert!(other.greeted(region("c"), greeting(None, None), None, None).is_err());
        other.greeted(region("b"), greeting(None, None), None, None).unwrap();
        assert_eq!(
            (other.now(None), other.may_write(None)),
            (None, Ok(())),
            "only the catalogue home founds a cluster"
        );
        other.greeted(region("b"), greeting(Some(CLUSTER), None), None, None).unwrap();
        let joins = Affiliation { cluster: CLUSTER, succeeds: None, healed: true };
        assert_eq!(other.to_write(None), Some(joins));
    }

    #[test]
    fn an_operator_may_declare_that_the_cluster_begins_here() {
        let home = of_three("a").blank(true, true);
        assert_eq!((home.now(None), home.may_write(None)), (Some(Affiliation::founder(LOG)), Ok(())));
        let other = of_three("b").blank(true, true);
        assert_eq!((other.now(None), other.may_write(None)), (None, Ok(())));
    }

    #[test]
    fn a_log_of_an_older_release_continues_and_joins_the_homes_cluster() {
        let home = of_three("a").blank(false, false);
        assert_eq!((home.now(None), home.may_write(None)), (Some(Affiliation::founder(LOG)), Ok(())));
        let mut other = of_three("b").blank(false, false);
        assert!(other.may_write(None).is_ok());
        other.greeted(region("b"), greeting(Some(CLUSTER), Some(LOG)), None, None).unwrap();
        let joined = Affiliation { cluster: CLUSTER, succeeds: None, healed: true };
        assert_eq!(other.to_write(None), Some(joined));
        let mut blank = of_three("b").blank(true, false);
        let older = Greeting { cluster: None, knows_clusters: false, log: Incarnation(9), knew: None };
        blank.greeted(region("b"), older, None, None).unwrap();
        assert!(blank.may_write(None).is_ok(), "it has a log, and its release reports no more");
        assert!(blank.has_all(None).is_err());
        blank.levelled(region("b"));
        assert!(blank.has_all(None).is_ok());
    }

    #[test]
    fn another_cluster_is_rejected() {
        let mut home = of_three("a").blank(false, false);
        let refused = home.greeted(region("b"), greeting(Some(CLUSTER), None), None, None);
        assert_eq!(refused, Err(Ineligible::OtherCluster { ours: ClusterId(LOG.0), theirs: CLUSTER }));
        let written = Affiliation { cluster: CLUSTER, succeeds: None, healed: false };
        assert!(home.greeted(region("b"), greeting(Some(CLUSTER), None), None, Some(written)).is_ok());
        assert!(home.greeted(region("c"), greeting(Some(ClusterId(1)), None), None, Some(written)).is_err());
    }

    #[test]
    fn a_recreated_log_is_accepted_once_it_has_what_the_others_have() {
        let mut home = of_three("a").blank(false, false);
        let (known, blank) = (Some(Incarnation(8)), greeting(None, None));
        let refused = home.greeted(region("b"), blank, known, None);
        assert_eq!(refused, Err(Ineligible::Unhealed { known: Incarnation(8), theirs: Incarnation(9) }));
        assert_eq!(home.greeted(region("b"), blank, Some(Incarnation(9)), None), Ok(()), "the log that is known");
        assert_eq!(home.greeted(region("b"), blank, None, None), Ok(()), "no log of b is known");
        assert_eq!(home.greeted(region("b"), greeting(Some(ClusterId(LOG.0)), None), known, None), Ok(()));
        let mut lost_too = of_three("b").blank(true, false);
        assert_eq!(lost_too.greeted(region("b"), blank, known, None), Err(Ineligible::AsBlank));
    }

    #[test]
    fn a_member_whose_log_was_empty_when_opened_may_lead_what_it_has_received_since() {
        let mut member = of_three("a").blank(true, false);
        assert!(member.may_write(None).is_err());
        member.leads(true);
        assert!(member.may_write(None).is_err(), "the region's log is empty");
        member.leads(false);
        assert_eq!((member.may_write(None), member.has_all(None)), (Ok(()), Ok(())));
    }
}
