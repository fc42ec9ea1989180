//! The positions up to which other regions have replicated this log, and writes that wait for them.

use littoral_model::{position::Position, region::Region};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

/// The position in this log up to which each other region's leader has everything durably, as it reported. A position
/// names the life in which it was reported: if that life was cut short, a position past the cut no longer counts.
#[derive(Debug)]
pub(crate) struct ReplicatedPositions(watch::Sender<BTreeMap<Region, Position>>);

impl Default for ReplicatedPositions {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl ReplicatedPositions {
    pub(crate) fn by(&self, region: Region) -> Option<Position> {
        self.0.borrow().get(&region).copied()
    }

    /// Notes that a region has everything up to `position`. A region that has recreated its log may report less than
    /// before.
    pub(crate) fn note(&self, region: Region, position: Position) {
        self.0.send_if_modified(|positions| positions.insert(region, position) != Some(position));
    }

    /// Waits until the positions of at least `count` regions satisfy `includes`.
    ///
    /// # Errors
    /// The regions whose positions do when `wait_max` has passed.
    pub(crate) async fn reached(
        &self,
        includes: impl Fn(Region, Position) -> bool,
        count: u8,
        wait_max: Duration,
    ) -> Result<(), Vec<Region>> {
        let having = |positions: &BTreeMap<Region, Position>| -> Vec<Region> {
            positions.iter().filter(|(region, has)| includes(**region, **has)).map(|(region, _)| *region).collect()
        };
        let mut changes = self.0.subscribe();
        let enough = changes.wait_for(|positions| having(positions).len() >= usize::from(count));
        match tokio::time::timeout(wait_max, enough).await {
            Ok(Ok(_)) => Ok(()),
            // This struct owns the sender, so only the time can have passed.
            _ => Err(having(&self.0.borrow())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::position::{Incarnation, Lsn};

    fn at(lsn: u64) -> Position {
        Position { incarnation: Incarnation(1), lsn: Lsn(lsn) }
    }

    fn includes(lsn: u64) -> impl Fn(Region, Position) -> bool {
        move |_, has| has.lsn >= Lsn(lsn)
    }

    #[tokio::test]
    async fn a_write_waits_until_enough_regions_have_it() {
        let replicated = ReplicatedPositions::default();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        replicated.note(a, at(7));
        let soon = Duration::from_millis(20);
        assert_eq!(replicated.reached(includes(7), 1, soon).await, Ok(()));
        assert_eq!(replicated.reached(includes(7), 2, soon).await, Err(vec![a]));
        assert_eq!(replicated.reached(includes(8), 1, soon).await, Err(vec![]));
        let (waited, ()) = tokio::join!(replicated.reached(includes(8), 2, Duration::from_secs(60)), async {
            replicated.note(a, at(9));
            replicated.note(b, at(8));
        });
        assert_eq!(waited, Ok(()));
        replicated.note(b, at(1));
        assert_eq!(replicated.reached(includes(8), 2, soon).await, Err(vec![a]), "its log was recreated");
    }
}
