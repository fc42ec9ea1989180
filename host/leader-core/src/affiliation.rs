//! Where a leader's log belongs: who founds a cluster, who is taken into one, and when a log that was begun anew may take
//! writes and be followed. No IO.
//!
//! A leader with an empty directory cannot tell a new region from one that has lost its disk; the other regions can. So it takes
//! no writes until one of them has vouched for the cluster, or all of them are as blank as it is, or its operator says that all
//! begins here. `host/decisions/0014-whose-log-an-edge-follows.md` says why.

use littoral_model::{
    cluster::{Affiliation, ClusterId},
    position::Incarnation,
    region::Region,
};
use std::collections::BTreeMap;

/// What another region's leader has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It belongs nowhere yet either.
    Blank,
    /// It is of an older release, which knows no clusters, and holds a log.
    Older,
    /// It belongs to this cluster.
    Of(ClusterId),
}

/// Why another region's records are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// Its leader is of another cluster.
    #[error(
        "its log belongs to cluster {theirs}, and this one to cluster {ours}: the address leads to another cluster's leader; \
         mend [[regions]], or begin the log of the region that should join the other one's cluster anew"
    )]
    OtherCluster {
        /// Ours.
        ours: ClusterId,
        /// Theirs.
        theirs: ClusterId,
    },
    /// Both are new, and it may be healing itself: part of what it has must not be taken for all.
    #[error(
        "its log is new and holds nothing yet of what other regions may have, like this one's; its records are taken once a region \
         vouches for one of them, or all regions have answered that they are as empty"
    )]
    AsBlank,
    /// It has begun another log than the one that is known here, which lacks what that one had.
    #[error(
        "its log {theirs} was begun in the place of log {known} and does not hold yet what the other regions have of that; it is \
         taken up once it does"
    )]
    Unhealed {
        /// The log that is known.
        known: Incarnation,
        /// The one that it has begun.
        theirs: Incarnation,
    },
}

/// What another region's leader says of where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its cluster, once it holds what it should.
    pub cluster: Option<ClusterId>,
    /// Whether it is of a release that knows clusters.
    pub knows_clusters: bool,
    /// Its log.
    pub log: Incarnation,
    /// The log of our region that it knows.
    pub knew: Option<Incarnation>,
}

/// Where the log belongs, and what is known about it.
#[derive(Clone, Debug)]
pub struct AffiliationCheck {
    log: Incarnation,
    /// Whether this region may found a cluster: it is the catalogue's home, or knows no other regions.
    founds: bool,
    /// Whether the log held nothing when it was opened.
    blank: bool,
    /// Whether the operator has said that all begins here.
    init: bool,
    peers: BTreeMap<Region, Option<Answer>>,
    /// The log of our region that other regions knew before this one.
    knew: Option<Incarnation>,
    /// Whether everything is here that a region had which has vouched.
    level: bool,
    /// The same of a region of an older release too, which cannot vouch.
    whole: bool,
}

impl AffiliationCheck {
    /// A log that was opened. `home` is the catalogue's, where there are other regions.
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

    /// The same, of a log that held nothing, which an operator may have had begun.
    #[must_use]
    pub fn blank(self, blank: bool, init: bool) -> Self {
        Self { blank, init, ..self }
    }

    /// A member begins to lead, whose log may have got records since it was opened.
    pub fn leads(&mut self, blank: bool) {
        self.blank &= blank;
    }

    /// Whether other regions have, or may have, what is lost here: then what is not here may exist all the same.
    ///
    /// # Errors
    /// What is waited for.
    pub fn has_all(&self, written: Option<Affiliation>) -> Result<(), String> {
        self.may_write(written)?;
        match written {
            _ if self.whole => Ok(()),
            Some(written) if written.healed => Ok(()),
            None if self.is_first() => Ok(()),
            _ => Err("its log was begun anew, and does not hold yet what the other regions have".to_owned()),
        }
    }

    /// Where the log belongs: as is `written` in it, or by its own name where it founds a cluster.
    #[must_use]
    pub fn now(&self, written: Option<Affiliation>) -> Option<Affiliation> {
        written.or_else(|| (self.founds && self.is_first()).then(|| Affiliation::founder(self.log)))
    }

    /// Whether nothing older than this log is to be waited for.
    fn is_first(&self) -> bool {
        !self.blank || self.init || self.peers.values().all(|answer| *answer == Some(Answer::Blank))
    }

    /// Whether writes may be taken.
    ///
    /// # Errors
    /// What they wait for.
    pub fn may_write(&self, written: Option<Affiliation>) -> Result<(), String> {
        let vouched = || self.peers.values().any(|answer| matches!(answer, Some(Answer::Of(_) | Answer::Older)));
        if written.is_some() || self.is_first() || vouched() {
            return Ok(());
        }
        let silent = self.peers.iter().filter(|(_, answer)| answer.is_none()).map(|(region, _)| format!("'{region}'"));
        let silent: Vec<_> = silent.collect();
        Err(format!(
            "its log is new and empty, and region {} has not answered yet, which may hold what this one had; when all of the \
             cluster begins here, start this leader once with --init",
            silent.join(" and ")
        ))
    }

    /// Another region's leader has answered, of which the log `known` is known here.
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
        // All were as empty once: nothing was lost, whatever they answer from now on.
        self.blank &= !self.is_first();
        self.knew = self.knew.or(greeting.knew.filter(|knew| *knew != self.log));
        if self.blank && written.is_none() && answer == Answer::Blank && !self.is_first() {
            return Err(Ineligible::AsBlank);
        }
        match known.filter(|known| *known != greeting.log) {
            // To take it up now would be to forget the log that it must still be told of.
            Some(known) if answer == Answer::Blank && self.now(written).is_some_and(|ours| ours.healed) => {
                Err(Ineligible::Unhealed { known, theirs: greeting.log })
            }
            _ => Ok(()),
        }
    }

    /// Everything that a region which belongs to the cluster had when it answered is here.
    pub fn levelled(&mut self, region: Region) {
        self.level |= matches!(self.peers.get(&region), Some(Some(Answer::Of(_))));
        self.whole |= matches!(self.peers.get(&region), Some(Some(Answer::Of(_) | Answer::Older)));
    }

    /// What is to be written down now of where the log belongs, when that is not what is written.
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

    /// Region `a` of three, whose catalogue's home is `home`.
    fn of_three(home: &str) -> AffiliationCheck {
        let others = ["b", "c"].map(region);
        AffiliationCheck::opened(LOG, (region("a"), Some(region(home))), others.into_iter())
    }

    fn greeting(cluster: Option<ClusterId>, knew: Option<Incarnation>) -> Greeting {
        Greeting { cluster, knows_clusters: true, log: Incarnation(9), knew }
    }

    #[test]
    fn a_log_that_knows_no_other_regions_is_its_own_clusters() {
        let alone = AffiliationCheck::opened(LOG, (region("a"), None), [].into_iter());
        for blank in [true, false] {
            let alone = alone.clone().blank(blank, false);
            assert_eq!(alone.now(None), Some(Affiliation::founder(LOG)));
            assert!(alone.may_write(None).is_ok());
            assert_eq!(alone.to_write(None), None, "it bears the log's name");
        }
    }

    #[test]
    fn a_blank_leader_waits_until_one_vouches_and_is_followed_once_it_has_what_that_one_had() {
        for home in ["a", "b"] {
            let mut belongs = of_three(home).blank(true, false);
            assert!(belongs.may_write(None).unwrap_err().contains("'b' and 'c'"));
            let as_blank = belongs.greeted(region("b"), greeting(None, None), None, None);
            assert_eq!(as_blank, Err(Ineligible::AsBlank), "it may be healing, and part of what it has is not all");
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
            assert_eq!(
                belongs.to_write(Some(vouched)),
                None,
                "b has nothing that this one lacks, and vouches for nothing"
            );
            belongs.levelled(region("c"));
            let healed = Affiliation { healed: true, ..vouched };
            assert_eq!(belongs.to_write(Some(vouched)), Some(healed));
            assert_eq!(belongs.to_write(Some(healed)), None);
            assert_eq!(belongs.has_all(Some(healed)), Ok(()));
        }
    }

    #[test]
    fn where_all_are_blank_the_home_founds_the_cluster_and_the_others_are_taken_into_it() {
        let mut home = of_three("a").blank(true, false);
        let waits = home.greeted(region("b"), greeting(None, None), None, None);
        assert_eq!(waits, Err(Ineligible::AsBlank));
        assert!(home.may_write(None).is_err());
        home.greeted(region("c"), greeting(None, None), None, None).unwrap();
        assert_eq!(home.now(None), Some(Affiliation::founder(LOG)));
        assert!(home.may_write(None).is_ok());
        home.greeted(region("b"), greeting(Some(ClusterId(LOG.0)), None), None, None).unwrap();
        assert_eq!((home.now(None), home.has_all(None)), (Some(Affiliation::founder(LOG)), Ok(())), "it stays so");

        let mut other = of_three("b").blank(true, false);
        assert!(other.greeted(region("c"), greeting(None, None), None, None).is_err());
        other.greeted(region("b"), greeting(None, None), None, None).unwrap();
        assert_eq!((other.now(None), other.may_write(None)), (None, Ok(())), "only the home founds one");
        other.greeted(region("b"), greeting(Some(CLUSTER), None), None, None).unwrap();
        let joins = Affiliation { cluster: CLUSTER, succeeds: None, healed: true };
        assert_eq!(other.to_write(None), Some(joins));
    }

    #[test]
    fn an_operator_may_say_that_all_begins_here() {
        let home = of_three("a").blank(true, true);
        assert_eq!((home.now(None), home.may_write(None)), (Some(Affiliation::founder(LOG)), Ok(())));
        let other = of_three("b").blank(true, true);
        assert_eq!((other.now(None), other.may_write(None)), (None, Ok(())));
    }

    #[test]
    fn a_log_of_an_older_release_goes_on_and_joins_the_homes_cluster() {
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
        assert!(blank.may_write(None).is_ok(), "it holds a log, and its release cannot say more");
        assert!(blank.has_all(None).is_err());
        blank.levelled(region("b"));
        assert!(blank.has_all(None).is_ok());
    }

    #[test]
    fn another_cluster_is_refused() {
        let mut home = of_three("a").blank(false, false);
        let refused = home.greeted(region("b"), greeting(Some(CLUSTER), None), None, None);
        assert_eq!(refused, Err(Ineligible::OtherCluster { ours: ClusterId(LOG.0), theirs: CLUSTER }));
        let written = Affiliation { cluster: CLUSTER, succeeds: None, healed: false };
        assert!(home.greeted(region("b"), greeting(Some(CLUSTER), None), None, Some(written)).is_ok());
        assert!(home.greeted(region("c"), greeting(Some(ClusterId(1)), None), None, Some(written)).is_err());
    }

    #[test]
    fn a_log_that_was_begun_anew_is_taken_up_once_it_holds_what_the_others_have() {
        let mut home = of_three("a").blank(false, false);
        let (known, blank) = (Some(Incarnation(8)), greeting(None, None));
        let refused = home.greeted(region("b"), blank, known, None);
        assert_eq!(refused, Err(Ineligible::Unhealed { known: Incarnation(8), theirs: Incarnation(9) }));
        assert_eq!(home.greeted(region("b"), blank, Some(Incarnation(9)), None), Ok(()), "it is the one that is known");
        assert_eq!(home.greeted(region("b"), blank, None, None), Ok(()), "nothing of it is known");
        assert_eq!(home.greeted(region("b"), greeting(Some(ClusterId(LOG.0)), None), known, None), Ok(()));
        let mut lost_too = of_three("b").blank(true, false);
        assert_eq!(lost_too.greeted(region("b"), blank, known, None), Err(Ineligible::AsBlank));
    }

    #[test]
    fn a_member_that_led_nothing_when_it_was_opened_leads_what_it_has_taken_since() {
        let mut member = of_three("a").blank(true, false);
        assert!(member.may_write(None).is_err());
        member.leads(true);
        assert!(member.may_write(None).is_err(), "the region's log holds nothing");
        member.leads(false);
        assert_eq!((member.may_write(None), member.has_all(None)), (Ok(()), Ok(())));
    }
}
