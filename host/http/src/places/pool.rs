//! Connections in groups: finds the one that gives way.

use super::{Group, Seat};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

/// The number of connections that one search visits. It bounds the time of a search while requests run on all
/// connections. The next search continues where this one ended.
const VISITS_MAX: usize = 1_024;

/// Connections in groups, by default those of addresses.
#[derive(Debug)]
pub(crate) struct Pool<K = Group> {
    groups: HashMap<K, Members>,
    /// The groups in the order of [`Weight`].
    weights: BTreeSet<(Weight, K)>,
    next: u64,
    len: usize,
}

/// The connections of a group by number, the oldest first.
#[derive(Debug, Default)]
struct Members {
    seats: BTreeMap<u64, Arc<Seat>>,
    /// The number at which the next search begins.
    hand: u64,
}

/// What decides which group gives way first: the one with the most connections, and exempt groups last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    is_counted: bool,
    connections: usize,
}

/// Which connections may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// One on which no request runs, and preferably none that served a request since the last search.
    Idle,
    /// The oldest.
    Any,
}

impl<K> Default for Pool<K> {
    fn default() -> Self {
        Self { groups: HashMap::new(), weights: BTreeSet::new(), next: 0, len: 0 }
    }
}

impl Pool {
    /// Adds a connection to the group of its client's address. Returns its number.
    pub(crate) fn add(&mut self, seat: Arc<Seat>) -> u64 {
        self.add_to(&seat.group.clone(), seat)
    }
}

impl<K: Clone + Ord + Hash> Pool<K> {
    /// Adds a connection to a group. Returns its number.
    pub(crate) fn add_to(&mut self, group: &K, seat: Arc<Seat>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.len += 1;
        self.change(group, |members| {
            members.seats.insert(number, seat);
        });
        number
    }

    /// Removes a connection, unless it has given way.
    pub(crate) fn remove(&mut self, group: &K, number: u64) {
        let mut removed = None;
        self.change(group, |members| removed = members.seats.remove(&number));
        self.len -= usize::from(removed.is_some());
    }

    /// Returns the number of connections.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of connections of a group.
    pub(crate) fn count(&self, group: &K) -> usize {
        self.groups.get(group).map_or(0, |members| members.seats.len())
    }

    /// Returns the group that gives way first, and its number of connections.
    pub(crate) fn heaviest(&self) -> Option<(K, usize)> {
        self.weights.last().map(|(weight, group)| (group.clone(), weight.connections))
    }

    /// Makes a connection of the heaviest group that has one give way, but not the one with the number `but`. Returns
    /// whether one does.
    pub(crate) fn give_way(&mut self, victim: Victim, but: u64) -> bool {
        let mut visits = VISITS_MAX;
        let mut found = None;
        for (_, group) in self.weights.iter().rev() {
            let members = self.groups.get_mut(group);
            found = members
                .and_then(|members| members.find(victim, but, &mut visits))
                .map(|number| (group.clone(), number));
            if found.is_some() || visits == 0 {
                break;
            }
        }
        self.end(found)
    }

    /// Like [`Self::give_way`], within one group.
    pub(crate) fn give_way_in(&mut self, group: &K, victim: Victim, but: u64) -> bool {
        let members = self.groups.get_mut(group);
        let found = members.and_then(|members| members.find(victim, but, &mut { VISITS_MAX }));
        self.end(found.map(|number| (group.clone(), number)))
    }

    fn end(&mut self, found: Option<(K, u64)>) -> bool {
        if let Some((ref group, number)) = found {
            self.remove(group, number);
        }
        found.is_some()
    }

    /// Changes the connections of a group.
    fn change(&mut self, group: &K, change: impl FnOnce(&mut Members)) {
        let members = self.groups.entry(group.clone()).or_default();
        if let Some(weight) = members.weight() {
            self.weights.remove(&(weight, group.clone()));
        }
        change(members);
        match members.weight() {
            Some(weight) => {
                self.weights.insert((weight, group.clone()));
            }
            None => {
                self.groups.remove(group);
            }
        }
    }
}

impl Members {
    /// Returns `None` without connections.
    fn weight(&self) -> Option<Weight> {
        let (_, oldest) = self.seats.first_key_value()?;
        Some(Weight { is_counted: !oldest.is_exempt(), connections: self.seats.len() })
    }

    /// Makes a connection give way, and returns its number. The search goes round (the CLOCK algorithm), and passes
    /// over a connection once for the requests that it has served. So a client that uses its connection keeps it longer
    /// than one that opens many and uses none.
    fn find(&mut self, victim: Victim, but: u64, visits: &mut usize) -> Option<u64> {
        if victim == Victim::Any {
            let (number, seat) = self.seats.iter().find(|(number, _)| **number != but)?;
            seat.give_way();
            return Some(*number);
        }
        let hand = self.hand;
        // Twice around, as the first time may pass over every connection.
        let once = || self.seats.range(hand..).chain(self.seats.range(..hand));
        for (number, seat) in once().chain(once()) {
            if *visits == 0 {
                return None;
            }
            *visits -= 1;
            self.hand = number + 1;
            if *number != but && !seat.take_used() && seat.give_way_if_idle() {
                return Some(*number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const NONE: u64 = u64::MAX;

    fn seat(last: u8) -> Arc<Seat> {
        let load = (last < 100).then(Arc::default);
        Arc::new(Seat::new(Group::of([192, 0, 2, last].into()), load))
    }

    fn has_given_way(seat: &Seat) -> bool {
        seat.gives_way().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_idle_connection_of_the_heaviest_group_gives_way() {
        let mut pool = Pool::default();
        let (single, busy, idle, newer) = (seat(1), seat(2), seat(2), seat(2));
        for seat in [&single, &busy, &idle, &newer] {
            pool.add(seat.clone());
        }
        let running = busy.begin();
        assert_eq!(pool.heaviest(), Some((busy.group, 3)));
        assert!(pool.give_way(Victim::Idle, NONE) && has_given_way(&idle));
        assert!(pool.give_way(Victim::Idle, NONE) && has_given_way(&newer));
        assert_eq!((pool.len(), pool.count(&busy.group)), (2, 1));
        assert!(pool.give_way(Victim::Idle, NONE) && has_given_way(&single), "of the other group there is none");
        assert!(!pool.give_way(Victim::Idle, NONE) && !has_given_way(&busy), "requests run on all others");
        assert!(pool.give_way(Victim::Any, NONE) && has_given_way(&busy));
        drop(running);
        pool.remove(&busy.group, 1);
        assert_eq!((pool.len(), pool.heaviest()), (0, None));
    }

    #[test]
    fn a_connection_that_serves_requests_outlasts_those_that_serve_none() {
        let mut pool = Pool::default();
        let used = seat(1);
        pool.add(used.clone());
        for _ in 0..20 {
            drop(used.begin());
            let unused = seat(1);
            let newcomer = pool.add(unused.clone());
            pool.add(seat(1));
            assert!(pool.give_way(Victim::Idle, NONE) && !has_given_way(&used), "{newcomer}");
        }
        while pool.len() > 0 {
            assert!(pool.give_way(Victim::Idle, NONE), "in the end each one gives way");
        }
    }

    #[test]
    fn exempt_groups_give_way_last_and_the_newcomer_never() {
        let mut pool = Pool::default();
        let (router, client) = ([seat(100), seat(100)], seat(1));
        for seat in router.iter().chain([&client]) {
            pool.add(seat.clone());
        }
        assert!(pool.give_way(Victim::Idle, NONE) && has_given_way(&client));
        let newcomer = pool.add(seat(1));
        assert!(pool.give_way(Victim::Idle, newcomer) && has_given_way(&router[0]));
        assert!(!pool.give_way_in(&client.group, Victim::Idle, newcomer));
        assert!(pool.give_way_in(&router[1].group, Victim::Idle, newcomer) && has_given_way(&router[1]));
        assert!(!pool.give_way(Victim::Any, newcomer));
    }

    #[test]
    fn a_search_among_running_requests_ends_and_the_next_one_continues() {
        let mut pool = Pool::default();
        let busy: Vec<_> = (0..VISITS_MAX).map(|_| seat(1)).collect();
        let running: Vec<_> = busy.iter().map(|seat| seat.begin()).collect();
        for seat in &busy {
            pool.add(seat.clone());
        }
        let idle = seat(1);
        pool.add(idle.clone());
        assert!(!pool.give_way(Victim::Idle, NONE));
        assert!(pool.give_way(Victim::Idle, NONE) && has_given_way(&idle));
        drop(running);
    }
}
