//! Connections in groups: finds the one that gives way.

use super::{Group, Seat};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    ops::Bound,
    sync::Arc,
    time::Instant,
};

/// The number of connections of one group that a search visits at once. The next search of the group continues there.
const GROUP_VISITS_MAX: usize = 32;

/// The number of such visits when only one group is searched.
const ROUNDS: usize = 32;

/// The number of the heaviest groups that every search visits first.
const HEAVIEST: usize = 16;

/// The number of connections in further groups that one search visits, from where the last one ended. It bounds the
/// time of a search while requests run on most connections.
const VISITS_MAX: usize = 1_024;

/// The part of all connections above which use does not protect the connections of a group: one in this many.
const PROTECTED_PART: usize = 64;

/// Connections in groups, by default those of addresses.
#[derive(Debug)]
pub(crate) struct Pool<K = Group> {
    groups: HashMap<K, Members>,
    /// The groups in the order of [`Weight`].
    weights: BTreeSet<(Weight, K)>,
    /// Where the next search among the groups continues.
    cursor: Option<(Weight, K)>,
    next: u64,
    len: usize,
}

/// The connections of a group by number, the oldest first.
#[derive(Debug)]
struct Members {
    seats: BTreeMap<u64, Arc<Seat>>,
    /// Random, so that no address is at a disadvantage.
    rank: u64,
    /// The number at which the next search begins.
    hand: u64,
}

/// What decides which group gives way first: the one with the most connections, and exempt groups last. Among equal
/// ones it is the one with the highest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    is_counted: bool,
    connections: usize,
    rank: u64,
}

/// Which connections may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// One on which no request runs, and preferably one that served none recently.
    Idle,
    /// The oldest.
    Any,
}

impl<K> Default for Pool<K> {
    fn default() -> Self {
        Self { groups: HashMap::new(), weights: BTreeSet::new(), cursor: None, next: 0, len: 0 }
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
    #[cfg(test)]
    fn heaviest(&self) -> Option<(K, usize)> {
        self.weights.last().map(|(weight, group)| (group.clone(), weight.connections))
    }

    /// Makes a connection give way, but not the one with the number `but`. It is of the heaviest group that has one.
    /// Groups whose clients use their connections follow after all others, as a client could open one silent
    /// connection from each of thousands of addresses. Returns the group.
    pub(crate) fn give_way(&mut self, victim: Victim, but: u64) -> Option<K> {
        let from = self.cursor.take();
        let found = self.search(victim, but, from.as_ref(), true);
        let found = found.or_else(|| self.search(victim, but, from.as_ref(), false));
        self.end(found)
    }

    fn search(&mut self, victim: Victim, but: u64, from: Option<&(Weight, K)>, spares_used: bool) -> Option<(K, u64)> {
        let (now, light) = (Instant::now(), (self.len / PROTECTED_PART).max(GROUP_VISITS_MAX));
        let groups = &mut self.groups;
        let mut visit = |(weight, group): &(Weight, K)| {
            if spares_used && !weight.is_counted {
                return None;
            }
            let spares_used = spares_used && weight.connections <= light;
            Some((group.clone(), groups.get_mut(group)?.find(victim, but, now, spares_used)?))
        };
        if let Some(found) = self.weights.iter().rev().take(HEAVIEST).find_map(&mut visit) {
            self.cursor = from.cloned();
            return Some(found);
        }
        let others = (Bound::Unbounded, from.map_or(Bound::Unbounded, Bound::Excluded));
        let (mut left, mut last, mut found) = (VISITS_MAX, None, None);
        for entry in self.weights.range(others).rev() {
            (left, last) = (left.saturating_sub(entry.0.connections.min(GROUP_VISITS_MAX)), Some(entry));
            found = visit(entry);
            if found.is_some() || left == 0 {
                break;
            }
        }
        // After the lightest group that counts, the next search begins with the heaviest again.
        let continues = |(weight, _): &&(Weight, K)| weight.is_counted && (found.is_some() || left == 0);
        self.cursor = last.filter(continues).cloned();
        found
    }

    /// Like [`Self::give_way`], within one group. Returns whether one gives way.
    pub(crate) fn give_way_in(&mut self, group: &K, victim: Victim, but: u64) -> bool {
        let Some(members) = self.groups.get_mut(group) else { return false };
        let now = Instant::now();
        let mut find = |spares_used| (0..ROUNDS).find_map(|_| members.find(victim, but, now, spares_used));
        let found = find(true).or_else(|| find(false));
        self.end(found.map(|number| (group.clone(), number))).is_some()
    }

    fn end(&mut self, found: Option<(K, u64)>) -> Option<K> {
        let (group, number) = found?;
        self.remove(&group, number);
        Some(group)
    }

    /// Changes the connections of a group.
    fn change(&mut self, group: &K, change: impl FnOnce(&mut Members)) {
        let members = self.groups.entry(group.clone()).or_insert_with(Members::new);
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
    fn new() -> Self {
        Self { seats: BTreeMap::new(), rank: fastrand::u64(..), hand: 0 }
    }

    /// Returns `None` without connections.
    fn weight(&self) -> Option<Weight> {
        let (_, oldest) = self.seats.first_key_value()?;
        Some(Weight { is_counted: !oldest.is_exempt(), connections: self.seats.len(), rank: self.rank })
    }

    /// Makes a connection give way, and returns its number. It is one that served no request recently. If there is
    /// none and `spares_used` is unset, it is one that did.
    fn find(&mut self, victim: Victim, but: u64, now: Instant, spares_used: bool) -> Option<u64> {
        if victim == Victim::Any {
            let (number, seat) = self.seats.iter().find(|(number, _)| **number != but)?;
            seat.give_way();
            return Some(*number);
        }
        let around = self.seats.range(self.hand..).chain(self.seats.range(..self.hand)).take(GROUP_VISITS_MAX);
        let others = around.clone().filter(|(number, _)| **number != but);
        let unused = others.clone().find(|(_, seat)| !seat.was_used_recently(now) && seat.give_way_if_idle());
        let found = unused.or_else(|| others.filter(|_| !spares_used).find(|(_, seat)| seat.give_way_if_idle()));
        let found = found.map(|(number, _)| *number);
        // The next search continues after the connections that this one passed over.
        if let Some((last, _)) = around.last() {
            self.hand = found.unwrap_or(*last) + 1;
        }
        found
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

    /// A connection from an address of its own.
    fn other(nth: u16) -> Arc<Seat> {
        let [high, low] = nth.to_be_bytes();
        Arc::new(Seat::new(Group::of([198, 51, high, low].into()), Some(Arc::default())))
    }

    fn gives_way(pool: &mut Pool) -> bool {
        pool.give_way(Victim::Idle, NONE).is_some()
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
        assert!(gives_way(&mut pool) && has_given_way(&idle));
        assert!(gives_way(&mut pool) && has_given_way(&newer));
        assert_eq!((pool.len(), pool.count(&busy.group)), (2, 1));
        assert!(gives_way(&mut pool) && has_given_way(&single), "of the other group there is none");
        assert!(!gives_way(&mut pool) && !has_given_way(&busy), "requests run on all others");
        assert!(pool.give_way(Victim::Any, NONE).is_some() && has_given_way(&busy));
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
            assert!(gives_way(&mut pool) && !has_given_way(&used), "{newcomer}");
        }
        while pool.len() > 0 {
            assert!(gives_way(&mut pool), "in the end each one gives way");
        }
    }

    #[test]
    fn exempt_groups_give_way_last_and_the_newcomer_never() {
        let mut pool = Pool::default();
        let (router, client) = ([seat(100), seat(100)], seat(1));
        for seat in router.iter().chain([&client]) {
            pool.add(seat.clone());
        }
        assert!(gives_way(&mut pool) && has_given_way(&client));
        let newcomer = pool.add(seat(1));
        assert!(pool.give_way(Victim::Idle, newcomer).is_some() && has_given_way(&router[0]));
        assert!(!pool.give_way_in(&client.group, Victim::Idle, newcomer));
        assert!(pool.give_way_in(&router[1].group, Victim::Idle, newcomer) && has_given_way(&router[1]));
        assert!(pool.give_way(Victim::Any, newcomer).is_none());
    }

    #[test]
    fn an_exempt_connection_gives_way_after_the_used_ones_of_clients() {
        let mut pool = Pool::default();
        let (router, used) = (seat(100), seat(1));
        pool.add(router.clone());
        pool.add(used.clone());
        drop(used.begin());
        assert!(gives_way(&mut pool) && has_given_way(&used) && !has_given_way(&router));
    }

    #[test]
    fn a_search_among_running_requests_ends_and_the_next_one_continues() {
        let mut pool = Pool::default();
        let busy: Vec<_> = (0..GROUP_VISITS_MAX).map(|_| seat(1)).collect();
        let running: Vec<_> = busy.iter().map(|seat| seat.begin()).collect();
        for seat in &busy {
            pool.add(seat.clone());
        }
        let idle = seat(1);
        pool.add(idle.clone());
        let members = pool.groups.get_mut(&idle.group).unwrap();
        let mut find = || members.find(Victim::Idle, NONE, Instant::now(), false);
        assert_eq!((find(), find()), (None, Some(GROUP_VISITS_MAX as u64)));
        drop(running);
    }

    #[test]
    fn requests_of_heavier_clients_do_not_hide_the_idle_connections_of_others() {
        let mut pool = Pool::default();
        let busy: Vec<_> = (0..5_000).map(|_| seat(1)).chain((0..5_000).map(other)).collect();
        let running: Vec<_> = busy.iter().map(|seat| seat.begin()).collect();
        let idle: Vec<_> = (0..4_999).map(|_| seat(2)).collect();
        for seat in busy.iter().chain(&idle) {
            pool.add(seat.clone());
        }
        for nth in 1..idle.len() {
            assert!(gives_way(&mut pool), "{nth}");
        }
        // One idle connection among thousands of clients: a few searches find it.
        let single = other(5_000);
        pool.add(single.clone());
        let found = (0..4 * (5_000 / VISITS_MAX + 1)).filter(|_| gives_way(&mut pool)).count();
        assert_eq!(found, 2);
        assert!(idle.iter().chain([&single]).all(|seat| has_given_way(seat)));
        assert!(!busy.iter().any(|seat| has_given_way(seat)));
        drop(running);
    }

    #[test]
    fn silent_connections_from_many_addresses_give_way_before_the_used_ones_of_a_client() {
        let mut pool = Pool::default();
        let used: Vec<_> = (0..8).map(|_| seat(1)).collect();
        for seat in &used {
            pool.add(seat.clone());
            drop(seat.begin());
        }
        for nth in 0..5_000 {
            let silent = other(nth);
            pool.add(silent.clone());
            assert!(gives_way(&mut pool) && has_given_way(&silent), "{nth}");
        }
        assert!(gives_way(&mut pool) && used.iter().any(|seat| has_given_way(seat)), "of the others there is none");
    }

    #[test]
    fn use_protects_no_connection_of_a_client_that_has_a_large_part_of_all() {
        let mut pool = Pool::default();
        let used: Vec<_> = (0..2 * GROUP_VISITS_MAX).map(|_| seat(1)).collect();
        let unused: Vec<_> = (0..8).map(other).collect();
        for seat in used.iter().chain(&unused) {
            pool.add(seat.clone());
        }
        used.iter().for_each(|seat| drop(seat.begin()));
        for left in (GROUP_VISITS_MAX..2 * GROUP_VISITS_MAX).rev() {
            assert!(gives_way(&mut pool) && pool.count(&used[0].group) == left);
        }
        assert!(!unused.iter().any(|seat| has_given_way(seat)), "the clients with few connections keep theirs");
        // With few connections, use protects them again.
        assert!(gives_way(&mut pool) && unused.iter().filter(|seat| has_given_way(seat)).count() == 1);
    }

    #[test]
    fn among_clients_with_equally_many_connections_no_address_is_at_a_disadvantage() {
        let highest_is_first = || {
            let mut pool = Pool::default();
            let seats: Vec<_> = (0..16).map(other).collect();
            for seat in &seats {
                pool.add(seat.clone());
            }
            gives_way(&mut pool) && has_given_way(&seats[15])
        };
        assert!((0..64).any(|_| !highest_is_first()));
    }
}
