//! Decides whether a node is as fresh as a read demands, for edges, leaders and members alike.
//!
//! A node describes itself with a [`Standing`] and receives why the demand is [`Unmet`]. Whether it then waits,
//! forwards the read or serves stale rows is its own decision.

use littoral_model::{
    freshness::{Consistency, ReadDemand},
    lineage::RegionLineages,
    mutation::{Mutation, active},
    position::Position,
    read::ReadError,
    region::Region,
    token::Watermark,
};
use std::time::Duration;

/// How fresh a node's rows are.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The position of every region's log that is applied.
    pub watermark: &'a Watermark,
    /// The histories by which positions of one region are compared.
    pub lineages: &'a RegionLineages,
    /// Upper bound of how far the rows are behind the leader; `None` if it has received nothing from a leader yet.
    pub staleness: Option<Duration>,
    /// Whether this node is the leader of its region, and no other node can be.
    pub leads: bool,
}

/// Why a demand is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Only the leader may answer.
    Leader,
    /// Only a majority of the regions' leaders may answer.
    Quorum,
    /// The rows are too far behind.
    Stale {
        /// The demanded maximum.
        max: Duration,
        /// Upper bound of how far the rows are behind.
        have: Option<Duration>,
    },
    /// A write that must be visible is not applied yet.
    Behind {
        /// The demanded token.
        token: Watermark,
        /// The applied positions.
        have: Watermark,
        /// The positions of the token that are not reached.
        missing: Watermark,
    },
    /// A write that must be visible is lost, because its log forked before it.
    Lost {
        /// The demanded position of that log.
        token: Watermark,
    },
}

/// Returns why `standing` does not meet the demand; `None` if it does.
#[must_use]
pub fn unmet(demand: &ReadDemand, standing: &Standing<'_>) -> Option<Unmet> {
    if demand.is_none() {
        return None;
    }
    match demand.consistency {
        Consistency::Leader if !standing.leads => return Some(Unmet::Leader),
        Consistency::Replica | Consistency::Leader => {}
        Consistency::Quorum => return Some(Unmet::Quorum),
    }
    let Standing { watermark, lineages, staleness, .. } = *standing;
    if let Some(token) = &demand.at_least
        && !lineages.covers(watermark, token)
        && !active(Mutation::IgnoreToken)
    {
        if let Some(token) = parts(token).find(|part| is_lost(part, lineages)) {
            return Some(Unmet::Lost { token });
        }
        let missing = lineages.beyond(token, watermark);
        return Some(Unmet::Behind { token: token.clone(), have: watermark.clone(), missing });
    }
    match demand.max_staleness {
        Some(max) if staleness.is_none_or(|have| have > max) => Some(Unmet::Stale { max, have: staleness }),
        _ => None,
    }
}

impl Unmet {
    /// Converts to an error of the read.
    #[must_use]
    pub fn error(&self) -> ReadError {
        match self {
            Self::Leader => ReadError::LeaderUnavailable("the read demands the leader".to_owned()),
            Self::Quorum => ReadError::LeaderUnavailable("the read demands a quorum of regions".to_owned()),
            Self::Stale { max, have } => ReadError::NotFreshEnough {
                wanted: format!("the read demands at most {} ms of staleness", max.as_millis()),
                have: match have {
                    Some(have) => format!("this node is up to {} ms behind", have.as_nanos().div_ceil(1_000_000)),
                    None => "this node has not heard from its leader since it started".to_owned(),
                },
            },
            Self::Lost { token } => ReadError::lost_with_its_log(token),
            Self::Behind { token, have, .. } => ReadError::NotFreshEnough {
                wanted: format!("the read demands at least '{token}'"),
                have: format!("this node has applied '{have}'"),
            },
        }
    }

    /// Returns the position of the token that is not reached in one region's log.
    #[must_use]
    pub fn missing_of(&self, region: Region) -> Option<Watermark> {
        let Self::Behind { missing, .. } = self else { return None };
        parts(missing).find(|part| part.get(region).is_some())
    }

    /// Returns the error if a position of the token is of a region whose records never arrive, because it is not among
    /// `configured`, which is empty if unknown.
    #[must_use]
    pub fn unconfigured(&self, configured: &[Region]) -> Option<ReadError> {
        let Self::Behind { missing, .. } = self else { return None };
        let is_unknown = |part: &Watermark| part.iter().all(|(region, ..)| !configured.contains(&region));
        let unknown = parts(missing).find(|part| !configured.is_empty() && is_unknown(part))?;
        let known: Vec<_> = configured.iter().map(|region| format!("'{region}'")).collect();
        let reason = format!("the leader is configured only for the regions {}", known.join(" and "));
        Some(ReadError::TokenLost { token: unknown.to_string(), reason })
    }

    /// Returns the error if the token's position in the log of `region` is not reached, at a point that includes every
    /// record of that region's leader.
    #[must_use]
    pub fn never_written(&self, region: Region) -> Option<ReadError> {
        let Self::Behind { have, .. } = self else { return None };
        let token = self.missing_of(region)?;
        let reason = format!("no log that the leader knows contains it, and everything up to '{have}' is applied");
        Some(ReadError::TokenLost { token: token.to_string(), reason })
    }
}

/// Splits a token into the demanded position of each region.
fn parts(token: &Watermark) -> impl Iterator<Item = Watermark> {
    token.iter().map(|(region, incarnation, lsn)| Watermark::at(region, incarnation, lsn))
}

/// Returns whether a region's demanded position lies past the fork of its log.
fn is_lost(part: &Watermark, lineages: &RegionLineages) -> bool {
    part.iter().any(|(region, incarnation, lsn)| lineages.has_lost(region, Position { incarnation, lsn }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        lineage::Start,
        position::{Incarnation, Lsn},
    };

    const LIFE: Incarnation = Incarnation(1);

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn at(name: &str, lsn: u64) -> Watermark {
        Watermark::at(region(name), LIFE, Lsn(lsn))
    }

    fn check(demand: ReadDemand, staleness: Option<u64>, leads: bool) -> Option<Unmet> {
        let mut lineages = RegionLineages::default();
        lineages.entry(region("eu"), LIFE);
        let watermark = at("eu", 5);
        let staleness = staleness.map(Duration::from_millis);
        unmet(&demand, &Standing { watermark: &watermark, lineages: &lineages, staleness, leads })
    }

    #[test]
    fn a_read_without_demands_is_met_by_any_node() {
        assert_eq!(check(ReadDemand::default(), None, false), None);
    }

    #[test]
    fn consistency_is_checked_before_everything_else() {
        let at_leader =
            ReadDemand { consistency: Consistency::Leader, at_least: Some(at("eu", 9)), ..ReadDemand::default() };
        assert_eq!(check(at_leader.clone(), Some(0), false), Some(Unmet::Leader));
        assert!(matches!(check(at_leader, Some(0), true), Some(Unmet::Behind { .. })));
        let quorum = ReadDemand { consistency: Consistency::Quorum, ..ReadDemand::default() };
        assert_eq!(check(quorum, Some(0), true), Some(Unmet::Quorum));
    }

    #[test]
    fn staleness_is_a_bound_that_is_never_met_without_a_leader() {
        let demand = ReadDemand { max_staleness: Some(Duration::from_millis(50)), ..ReadDemand::default() };
        assert_eq!(check(demand.clone(), Some(50), false), None);
        let max = Duration::from_millis(50);
        let have = Some(Duration::from_millis(51));
        assert_eq!(check(demand.clone(), Some(51), false), Some(Unmet::Stale { max, have }));
        let unheard = check(demand, None, true).unwrap();
        assert!(unheard.error().to_string().contains("has not heard from its leader"), "{}", unheard.error());
    }

    #[test]
    fn a_token_is_met_from_its_record_on_and_its_missing_position_is_named() {
        let demand = |lsn| ReadDemand { at_least: Some(at("eu", lsn)), ..ReadDemand::default() };
        assert_eq!(check(demand(5), None, false), None);
        let behind = check(demand(6), None, false).unwrap();
        assert_eq!(behind.missing_of(region("eu")), Some(at("eu", 6)));
        assert_eq!(behind.missing_of(region("us")), None);
        assert!(behind.error().to_string().contains(&at("eu", 5).to_string()));
        assert!(matches!(behind.never_written(region("eu")), Some(ReadError::TokenLost { .. })));
        assert_eq!(behind.never_written(region("us")), None);
    }

    #[test]
    fn records_of_a_region_that_is_not_configured_never_arrive() {
        let demand = ReadDemand { at_least: Some(at("us", 1)), ..ReadDemand::default() };
        let behind = check(demand, None, false).unwrap();
        assert_eq!(behind.unconfigured(&[region("eu"), region("us")]), None);
        assert_eq!(behind.unconfigured(&[]), None, "the configuration is unknown");
        let Some(ReadError::TokenLost { token, reason }) = behind.unconfigured(&[region("eu")]) else { panic!() };
        assert_eq!((token, reason.ends_with("only for the regions 'eu'")), (at("us", 1).to_string(), true));
    }

    #[test]
    fn a_token_past_a_fork_is_lost_and_not_awaited() {
        let mut lineages = RegionLineages::default();
        let start = Start { life: Incarnation(2), first: Lsn(4), after: LIFE, shared: Lsn(3) };
        lineages.entry(region("eu"), LIFE).begin(start);
        let watermark = Watermark::at(region("eu"), Incarnation(2), Lsn(9));
        let standing = Standing { watermark: &watermark, lineages: &lineages, staleness: None, leads: true };
        let demand = |lsn| ReadDemand { at_least: Some(at("eu", lsn)), ..ReadDemand::default() };
        assert_eq!(unmet(&demand(3), &standing), None);
        assert_eq!(unmet(&demand(4), &standing), Some(Unmet::Lost { token: at("eu", 4) }));
    }
}
