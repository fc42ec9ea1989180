//! Bounds that clients share fairly.
//!
//! A client may use as much of a bound as it leaves free. So one client reaches half of it, two reach a third each, and
//! a client that uses little finds room whatever the others do. While nobody else uses the bound, one share may be all
//! of it. (Switches share their buffers by this rule, "dynamic
//! thresholds".) A fixed number per client was rejected: it is too small for one client and too large for a hundred.

mod group;

pub use group::Group;

use std::{
    borrow::Borrow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// What a bound counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests that run.
    Running,
    /// Requests that wait.
    Waiting,
    /// Memory of bodies.
    Bodies,
    /// Memory of answers.
    Answers,
    /// Connections of peers.
    Connections,
    /// Subscriptions to the feed.
    Subscriptions,
}

/// The number of kinds.
const KINDS: usize = Kind::Subscriptions as usize + 1;

/// A bound. Clones share it.
#[derive(Clone, Debug)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    max: AtomicUsize,
    used: AtomicUsize,
}

/// What one address or one identity uses of the bounds, by [`Kind`].
#[derive(Debug, Default)]
pub struct Load([AtomicUsize; KINDS]);

/// The loads that a request counts towards: of its address, and of its identity. Without them only the bound itself
/// applies, as for trusted clients.
#[derive(Clone, Debug, Default)]
pub struct Loads([Option<Arc<Load>>; 2]);

/// A share of a bound, returned when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Share<B: Borrow<Shares> = Shares, L: Borrow<Loads> = Loads> {
    shares: B,
    loads: L,
    units: usize,
}

/// A share that borrows the bound and the loads.
pub type Borrowed<'a> = Share<&'a Shares, &'a Loads>;

/// Why there is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The bound is used up.
    #[error("it is used up by all clients together; retry in a moment")]
    Bound,
    /// The client would use more than it leaves free.
    #[error("this client uses more than its share; send less at once, or retry in a moment")]
    Client,
}

// === impl Loads ===

impl Loads {
    /// Returns the loads of an address and of an identity.
    #[must_use]
    pub fn new(address: Option<Arc<Load>>, identity: Option<Arc<Load>>) -> Self {
        Self([address, identity])
    }

    /// Returns the load of the address.
    #[must_use]
    pub fn address(&self) -> Option<&Arc<Load>> {
        self.0[0].as_ref()
    }

    fn counters(&self, kind: Kind) -> impl Iterator<Item = &AtomicUsize> {
        self.0.iter().flatten().map(move |load| &load.0[kind as usize])
    }
}

// === impl Shares ===

impl Shares {
    /// Creates a bound of `max` units, and of at least one.
    #[must_use]
    pub fn new(kind: Kind, max: usize) -> Self {
        Self(Arc::new(Inner { kind, max: AtomicUsize::new(max.max(1)), used: AtomicUsize::new(0) }))
    }

    /// Returns the number of units.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.max.load(Relaxed)
    }

    /// Changes the number of units to `max`, and to at least one. Shares that were taken remain.
    pub fn set_max(&self, max: usize) {
        self.0.max.store(max.max(1), Relaxed);
    }

    /// Returns a share of `units` units. The only one of a bound may be all of it.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn take<'a>(&'a self, loads: &'a Loads, units: usize) -> Result<Borrowed<'a>, Exceeded> {
        Share::new(self, loads, units)
    }

    /// Like [`Self::take`], for a share that borrows nothing.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_owned(&self, loads: &Loads, units: usize) -> Result<Share, Exceeded> {
        Share::new(self.clone(), loads.clone(), units)
    }
}

// === impl Share ===

impl<B: Borrow<Shares>, L: Borrow<Loads>> Share<B, L> {
    fn new(shares: B, loads: L, units: usize) -> Result<Self, Exceeded> {
        let mut share = Self { shares, loads, units: 0 };
        share.grow(units)?;
        Ok(share)
    }

    /// Returns its size.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Grows by `units` units. The only share of a bound may grow to all of it.
    ///
    /// # Errors
    /// [`Exceeded`]; the share keeps its size.
    pub fn grow(&mut self, units: usize) -> Result<(), Exceeded> {
        let Inner { kind, max, used } = &*self.shares.borrow().0;
        let max = max.load(Relaxed);
        let more = |used: usize| used.checked_add(units).filter(|sum| *sum <= max);
        let before = used.fetch_update(Relaxed, Relaxed, more).map_err(|_| Exceeded::Bound)?;
        // Without the last unit: a client that has none finds room while one unit is free.
        let left = max - before - units.saturating_sub(1);
        let is_only = before == self.units;
        let mut is_fair = true;
        for counter in self.loads.borrow().counters(*kind) {
            let own = counter.fetch_add(units, Relaxed).saturating_add(units);
            is_fair &= is_only || own <= left;
        }
        self.units += units;
        if !is_fair {
            self.shrink(units);
            return Err(Exceeded::Client);
        }
        Ok(())
    }

    fn shrink(&mut self, units: usize) {
        let Inner { kind, used, .. } = &*self.shares.borrow().0;
        for counter in self.loads.borrow().counters(*kind) {
            counter.fetch_sub(units, Relaxed);
        }
        used.fetch_sub(units, Relaxed);
        self.units -= units;
    }
}

impl<B: Borrow<Shares>, L: Borrow<Loads>> Drop for Share<B, L> {
    fn drop(&mut self) {
        self.shrink(self.units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Loads {
        Loads::new(Some(Arc::default()), None)
    }

    /// Takes single units until there are no more. Returns them with the reason.
    fn most(shares: &Shares, loads: &Loads) -> (Vec<Share>, Exceeded) {
        let mut taken = Vec::new();
        loop {
            match shares.take_owned(loads, 1) {
                Ok(share) => taken.push(share),
                Err(exceeded) => return (taken, exceeded),
            }
        }
    }

    #[test]
    fn many_clients_that_take_all_they_can_leave_room_for_another() {
        let shares = Shares::new(Kind::Running, 1_000);
        let mut all = Vec::new();
        for _ in 0..64 {
            let (taken, exceeded) = most(&shares, &client());
            assert!(!taken.is_empty() && exceeded == Exceeded::Client);
            if all.is_empty() {
                assert_eq!(taken.len(), 500, "one client alone reaches half");
            }
            all.push(taken);
            // Each returns one of its own, and the others take it if they can.
            all.iter_mut().for_each(|taken| taken.truncate(taken.len().max(2) - 1));
        }
        assert!(shares.take(&client(), 1).is_ok());
        drop(all);
        assert_eq!(most(&shares, &client()).0.len(), 500);
    }

    #[test]
    fn an_identity_counts_wherever_it_comes_from_and_a_trusted_client_has_no_share_of_its_own() {
        let shares = Shares::new(Kind::Waiting, 10);
        let identity = Arc::new(Load::default());
        let from = || Loads::new(Some(Arc::default()), Some(identity.clone()));
        let taken: Vec<_> = (0..5).map(|_| shares.take_owned(&from(), 1).unwrap()).collect();
        assert_eq!(shares.take(&from(), 1).unwrap_err(), Exceeded::Client);
        let (trusted, exceeded) = most(&shares, &Loads::default());
        assert_eq!((trusted.len(), exceeded), (5, Exceeded::Bound));
        drop((taken, trusted));
        assert_eq!(most(&shares, &Loads::default()).0.len(), 10);
    }

    #[test]
    fn a_bound_changes_while_it_is_used() {
        let shares = Shares::new(Kind::Running, 10);
        let mut taken = most(&shares, &Loads::default()).0;
        shares.set_max(4);
        taken.truncate(4);
        assert_eq!(shares.take(&Loads::default(), 1).unwrap_err(), Exceeded::Bound);
        taken.truncate(3);
        assert!(shares.take(&Loads::default(), 1).is_ok());
        shares.set_max(20);
        assert_eq!(most(&shares, &Loads::default()).0.len(), 17);
    }

    #[test]
    fn a_client_with_one_large_share_leaves_as_much_to_others() {
        let shares = Shares::new(Kind::Answers, 1_024);
        let clients: Vec<_> = (0..4).map(|_| client()).collect();
        let taken: Vec<_> = clients.iter().map(|client| shares.take(client, 256)).collect();
        assert!(taken[..3].iter().all(Result::is_ok));
        assert_eq!(taken[3].as_ref().unwrap_err(), &Exceeded::Client);
        assert!(shares.take(&client(), 128).is_ok(), "half of the rest");
        assert_eq!(shares.take(&client(), 129).unwrap_err(), Exceeded::Client);
        drop(taken);
        assert!(shares.take(&client(), 1_024).is_ok(), "nobody else uses it");
    }

    #[test]
    fn the_only_share_of_a_bound_grows_to_the_bound_and_a_second_one_does_not() {
        let (shares, client) = (Shares::new(Kind::Bodies, 100), client());
        let mut one = shares.take(&client, 60).unwrap();
        one.grow(40).unwrap();
        assert_eq!(one.grow(1), Err(Exceeded::Bound));
        drop(one);
        let mut one = shares.take(&client, 30).unwrap();
        let mut other = shares.take(&client, 20).unwrap();
        assert_eq!((other.grow(1), one.grow(1)), (Err(Exceeded::Client), Err(Exceeded::Client)));
        drop(other);
        one.grow(70).unwrap();
        assert_eq!(one.units(), 100);
    }
}
