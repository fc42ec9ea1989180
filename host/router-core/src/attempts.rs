//! The doors that one request has been sent to, and the choice of the next one.
//!
//! A request may be sent to a number of doors, and then once to each region that it has not been sent to: a region that
//! fails as a whole must not fail a read that another region could answer. Doors that could not be connected to do not
//! count, because nothing was sent to them. Neither do doors of a region that may not hold the rows of the request's
//! project: one of them answers for all.

use crate::door::{Door, DoorId};
use littoral_model::region::Region;

/// The doors that one request has been sent to.
#[derive(Clone, Debug)]
pub struct Attempts {
    /// Doors that are not tried again.
    tried: Vec<DoorId>,
    /// The region of each attempt that sent something.
    sent: Vec<(DoorId, Region)>,
    /// Regions that may not hold the rows.
    outside: Vec<Region>,
    max: usize,
}

impl Attempts {
    /// Creates an empty record of at most `max` attempts.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self {
            tried: Vec::with_capacity(2),
            sent: Vec::with_capacity(2),
            outside: Vec::new(),
            max: max.max(1) as usize,
        }
    }

    /// Returns the index of the next of these doors; with `bound`, only of a door of that region.
    pub fn next<'a>(&self, doors: impl Iterator<Item = &'a Door>, bound: Option<Region>) -> Option<usize> {
        let remaining = self.max.saturating_sub(self.sent.len());
        let is_new = |region: Region| self.sent.iter().all(|(_, sent)| *sent != region);
        let one_region = self.sent.windows(2).all(|pair| matches!(pair, [(_, one), (_, other)] if one == other));
        let mut first = None;
        for (index, door) in doors.enumerate() {
            let is_bound_elsewhere = bound.is_some_and(|bound| bound != door.region);
            if self.tried.contains(&door.id) || self.outside.contains(&door.region) || is_bound_elsewhere {
                continue;
            }
            match remaining {
                0 if !is_new(door.region) => {}
                // The last attempt goes to another region, if there is one.
                1 if one_region && !is_new(door.region) => first = first.or(Some(index)),
                _ => return Some(index),
            }
        }
        first
    }

    /// Records that the request is sent to this door.
    pub fn begin(&mut self, door: &Door) {
        self.tried.push(door.id);
        self.sent.push((door.id, door.region));
    }

    /// Records that this door could not be connected to.
    pub fn unreached(&mut self, door: DoorId) {
        self.sent.retain(|(sent, _)| *sent != door);
    }

    /// Records that doors of this region may not hold the rows.
    pub fn exclude(&mut self, region: Region) {
        self.sent.retain(|(_, sent)| *sent != region);
        if !self.outside.contains(&region) {
            self.outside.push(region);
        }
    }

    /// Returns whether a region may not hold the rows.
    #[must_use]
    pub fn has_excluded(&self) -> bool {
        !self.outside.is_empty()
    }

    /// Allows every door to be tried again, except for those of excluded regions.
    pub fn again(&mut self) {
        self.tried.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Kind;

    fn doors(regions: &[&str]) -> Vec<Door> {
        let door = |(id, region): (usize, &&str)| Door {
            id: DoorId(id as u64),
            region: region.parse().unwrap(),
            name: format!("e{id}"),
            address: String::new(),
            kind: Kind::Edge,
            weight: 1,
            addresses: Vec::new(),
        };
        regions.iter().enumerate().map(door).collect()
    }

    /// Returns the doors to which a request is sent if all fail; those of `unreached` cannot be connected to.
    fn order(regions: &[&str], max: u32, unreached: &[usize]) -> Vec<usize> {
        let (doors, mut attempts, mut order) = (doors(regions), Attempts::new(max), Vec::new());
        while let Some(next) = attempts.next(doors.iter(), None) {
            order.push(next);
            attempts.begin(&doors[next]);
            if unreached.contains(&next) {
                attempts.unreached(doors[next].id);
            }
        }
        order
    }

    #[test]
    fn a_number_of_doors_is_tried_and_then_each_further_region_once() {
        assert_eq!(order(&["a", "a", "a", "a"], 3, &[]), [0, 1, 2]);
        assert_eq!(
            order(&["a", "a", "a", "a", "b", "c", "c"], 3, &[]),
            [0, 1, 4, 5],
            "the last door is another region's"
        );
        assert_eq!(order(&["a", "b", "a", "c"], 2, &[]), [0, 1, 3]);
        assert_eq!(order(&["a", "b"], 1, &[]), [0, 1]);
    }

    #[test]
    fn doors_that_cannot_be_connected_to_do_not_count() {
        assert_eq!(order(&["a", "a", "a", "a", "b"], 2, &[0, 1, 2]), [0, 1, 2, 3, 4]);
        assert_eq!(order(&["a", "a", "a"], 1, &[0, 1]), [0, 1, 2]);
    }

    #[test]
    fn one_door_answers_for_a_region_that_may_not_hold_the_rows() {
        let (doors, mut attempts) = (doors(&["a", "a", "b", "a", "b", "c"]), Attempts::new(1));
        for expected in [0, 2, 5] {
            assert_eq!(attempts.next(doors.iter(), None), Some(expected));
            attempts.begin(&doors[expected]);
            if expected < 5 {
                attempts.exclude(doors[expected].region);
            }
        }
        assert_eq!(attempts.next(doors.iter(), None), None);
        attempts.again();
        assert!(attempts.has_excluded());
        assert_eq!(attempts.next([&doors[0], &doors[2]].into_iter(), None), None, "also when doors are tried again");
    }

    #[test]
    fn a_write_that_may_have_been_applied_stays_in_its_region() {
        let (doors, mut attempts) = (doors(&["a", "b", "a"]), Attempts::new(3));
        attempts.begin(&doors[0]);
        assert_eq!(attempts.next(doors.iter(), Some(doors[0].region)), Some(2));
        attempts.begin(&doors[2]);
        assert_eq!(attempts.next(doors.iter(), Some(doors[0].region)), None);
        attempts.again();
        assert_eq!(attempts.next(doors.iter(), Some(doors[0].region)), Some(0));
    }
}
