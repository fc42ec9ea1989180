//! A replica: a table, how its views are held, and the position of the log up to which it is
//! applied.

use crate::{
    follower::newest_lineages,
    holdings::{Holding, Holdings},
};
use arc_swap::ArcSwap;
use littoral_model::{
    catalogue::Catalogue,
    hlc::Hlc,
    lineage::{Lineage, RegionLineages},
    merge::MergePolicy,
    mutation::{Mutation, active},
    position::{Epoch, Incarnation, Lsn, Position},
    region::Region,
    token::Watermark,
    view::{FeatureView, ViewId},
};
use littoral_protocol::{
    frame::{PublisherHello, Resume},
    subscriber::Violation,
};
use littoral_replica::{Generation, Residency, Table};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

/// What is needed to apply or read a row of a view.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// How its view is held.
    pub holding: Holding,
    /// The view's merge policy.
    pub merge: MergePolicy,
    /// Whether the view should be full but did not fit.
    pub over_budget: bool,
}

/// How each view is held.
pub type Routes = HashMap<ViewId, Route, foldhash::fast::FixedState>;

/// The state up to which a replica is applied. The catalogue is that of the position.
#[derive(Clone, Debug)]
pub struct AppliedPoint {
    /// The position, and the hash of its record.
    pub resume: Resume,
    /// The newest epoch seen.
    pub epoch: Epoch,
    /// The region of the log.
    pub region: Region,
    /// The positions up to which every region's records are applied. Reads that demand a token are
    /// checked against this.
    pub watermark: Watermark,
    /// Like `watermark`, but for the followed region it stops at the last record that other
    /// regions replicate, so the token can be satisfied in any region. Answers contain this one.
    pub portable_watermark: Watermark,
    /// The positions up to which records are held that the followed log does not have yet: the
    /// region that wrote them was lost with its leader. Until the log has them, the rows are not
    /// comparable with the log's. Nearly always empty.
    pub beyond: Watermark,
    /// The lineages of the regions' logs.
    pub lineages: Arc<RegionLineages>,
    /// Whether there are rows that `portable_watermark` does not cover: rows that arrived through a
    /// third region, or rows of a log that was recreated since the last snapshot. Another region's
    /// log may lack some of these rows.
    pub mixed: bool,
    /// The newest clock readings of other regions' rows that arrived before the record that covers
    /// those rows. Nearly always empty.
    pub unnamed: Vec<(Region, Hlc)>,
    /// The catalogue at the position.
    pub catalogue: Arc<Catalogue>,
}

/// The rows are not exactly as of any record.
const NEVER_EXACT: Lsn = Lsn(u64::MAX);

impl AppliedPoint {
    /// Creates a point in this region's log. `portable_watermark` has the positions of every region's records.
    #[must_use]
    pub fn new(
        resume: Resume,
        epoch: Epoch,
        (region, mut lineages): (Region, Arc<RegionLineages>),
        mut portable_watermark: Watermark,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        let position = resume.position;
        if lineages.get(region).is_none() {
            // The publisher does not know lives; its log counts as having one.
            Arc::make_mut(&mut lineages).set(region, Lineage::of(position.incarnation));
        }
        let mut watermark = portable_watermark.clone();
        watermark.set(region, position.incarnation, position.lsn);
        let of_this_log = |(incarnation, lsn)| {
            lineages.get(region).is_some_and(|lineage| lineage.has(Position { incarnation, lsn }, Lsn(u64::MAX)))
        };
        if portable_watermark.get(region).is_none_or(|portable_watermark| !of_this_log(portable_watermark)) {
            portable_watermark.set(region, position.incarnation, position.lsn);
        }
        Self {
            resume,
            epoch,
            region,
            watermark,
            portable_watermark,
            beyond: Watermark::default(),
            lineages,
            mixed: false,
            unnamed: Vec::new(),
            catalogue,
        }
    }

    /// Returns the name of the log.
    #[must_use]
    pub fn log(&self) -> Incarnation {
        self.lineages.get(self.region).map_or(self.resume.position.incarnation, Lineage::log)
    }

    /// Returns whether everything that a token demands is applied.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        self.lineages.covers(&self.watermark, demand)
    }

    /// Returns the watermark with which the replica may continue in another region's log
    /// ([`Replica::rehoming_watermark`]); empty if there are rows that it does not cover.
    #[must_use]
    pub fn rehoming_watermark(&self) -> Watermark {
        if self.mixed || !self.unnamed.is_empty() { Watermark::default() } else { self.portable_watermark.clone() }
    }

    /// Returns whether the log of this region has begun a life, by the lineages `theirs`, that is unknown here. The
    /// measured freshness then does not include what that life acknowledged: the publisher was perhaps a leader whose
    /// host was restored to an earlier state, and did not know that life either. Whether it was measured before or
    /// after that life began, no lineage shows.
    pub(crate) fn lacks_life(&self, region: Region, theirs: &RegionLineages) -> bool {
        let (ours, theirs) = (self.lineages.get(self.region), theirs.get(region));
        ours.zip(theirs).is_none_or(|(ours, theirs)| !ours.lists(theirs.current()))
    }

    /// Returns the common record of the held log and one with the lineage `theirs`, if the latter
    /// has lost something that is held, up to `holds`.
    fn fork(&self, theirs: &Lineage, holds: Lsn) -> Option<Position> {
        let ours = self.lineages.get(self.region).filter(|ours| ours.log() == theirs.log())?;
        if theirs.has(ours.position(holds), Lsn(u64::MAX)) {
            return None;
        }
        theirs.common(Lsn(u64::MAX), ours, holds)
    }

    /// Sets the positions that the followed log does not have yet.
    #[must_use]
    pub fn beyond(self, beyond: Watermark) -> Self {
        Self { beyond, ..self }
    }
}

/// Rows with the position up to which they are applied. Only the follower changes it.
#[derive(Debug)]
pub struct Replica {
    /// The rows.
    pub table: Arc<Table>,
    /// How each view is held.
    pub routes: ArcSwap<Routes>,
    /// The position, with the state at it.
    pub point: ArcSwap<AppliedPoint>,
    /// The generation of the table when this replica was created from it.
    pub generation: Generation,
    /// See [`Replica::feed_generation`].
    feed_generation: AtomicU64,
    /// From this record on, the rows are exactly as of the position.
    exact_from: AtomicU64,
    /// The newest record of a row from the snapshot or a repair. Before it, rows may be newer than
    /// the position.
    newest_row: AtomicU64,
    /// The newest record of all rows inserted by fills and repairs. Locked while the lineages
    /// change that determine whether a row may be inserted.
    newest_answer: Mutex<Lsn>,
}

impl Replica {
    /// Creates an empty replica at `point`.
    #[must_use]
    pub fn new(holdings: &Holdings, point: AppliedPoint) -> Self {
        let table = Table::new(littoral_replica::Config {
            shards: holdings.shards,
            hash_seed: holdings.hash_seed,
            resident_bytes: Some(holdings.resident_bytes_max),
            misses_max: holdings.misses_max,
            floor: point.resume.position.lsn,
        });
        let exact = if point.beyond.is_empty() { point.resume.position.lsn } else { NEVER_EXACT };
        let (exact_from, newest_row) = (AtomicU64::new(exact.0), AtomicU64::new(0));
        let (table, routes, point) = (Arc::new(table), ArcSwap::default(), ArcSwap::from_pointee(point));
        let generation = table.generation();
        let (feed_generation, newest_answer) = (AtomicU64::new(generation.number()), Mutex::default());
        let replica = Self { table, routes, point, generation, feed_generation, exact_from, newest_row, newest_answer };
        let catalogue = replica.point.load().catalogue.clone();
        for view in catalogue.views() {
            replica.put_view(holdings, view, &catalogue);
        }
        replica
    }

    /// Creates a replica of the same rows that continues in another region's log, whose last
    /// record is `head`. The old replica shares the table and inserts nothing from now on.
    #[must_use]
    pub fn rehomed(from: &Self, point: AppliedPoint, head: Lsn) -> Self {
        let generation = from.table.rebase(point.resume.position.lsn);
        let exact_from = if point.beyond.is_empty() { head } else { NEVER_EXACT };
        let (routes, point) = (ArcSwap::new(from.routes.load_full()), ArcSwap::from_pointee(point));
        let (exact_from, newest_row) = (AtomicU64::new(exact_from.0), AtomicU64::new(0));
        let (table, newest_answer) = (from.table.clone(), Mutex::default());
        let feed_generation = AtomicU64::new(generation.number());
        Self { table, routes, point, generation, feed_generation, exact_from, newest_row, newest_answer }
    }

    /// Returns whether there are rows of records after `lsn` in the followed log.
    pub(crate) fn holds_beyond(&self, lsn: Lsn) -> bool {
        // Rows of other regions beyond that log did not arrive through a record of it.
        self.point.load().beyond.is_empty() && self.exact_from() > lsn
    }

    /// Notes that with this record the followed log includes everything that it lacked.
    pub(crate) fn level_at(&self, lsn: Lsn) {
        self.exact_from.store(lsn.0, Relaxed);
    }

    /// Returns the record from which on the rows are exactly as of the position.
    #[must_use]
    pub fn exact_from(&self) -> Lsn {
        Lsn(self.exact_from.load(Relaxed))
    }

    /// Notes that a row of this record came from the snapshot or a repair.
    pub fn holds(&self, lsn: Lsn) {
        self.exact_from.fetch_max(lsn.0, Relaxed);
        self.newest_row.fetch_max(lsn.0, Relaxed);
    }

    /// Returns the watermark with which the replica may continue in another region's log. Empty if
    /// only a snapshot is safe, for example while rows are held that the point does not cover.
    #[must_use]
    pub fn rehoming_watermark(&self) -> Watermark {
        let point = self.point.load();
        let all_named = point.resume.position.lsn.0 >= self.newest_row.load(Relaxed) || active(Mutation::RehomeUnnamed);
        if all_named && !self.lacks_rows(&point) { point.rehoming_watermark() } else { Watermark::default() }
    }

    /// Returns whether a full view lacks rows that its positions account for: the region of the followed log may not
    /// hold them. The publisher of another log may not know the view yet, nor its residency rule.
    fn lacks_rows(&self, point: &AppliedPoint) -> bool {
        let log_holds = |view: &ViewId| point.catalogue.may_hold(*view, point.region);
        let routes = self.routes.load();
        let mut full = routes.iter().filter(|(_, route)| route.holding == Holding::Full);
        full.any(|(view, _)| !log_holds(view)) && !active(Mutation::RehomeWithoutRows)
    }

    /// Returns the position up to which everything is applied.
    #[must_use]
    pub fn position(&self) -> Position {
        self.point.load().resume.position
    }

    /// Handles the hello of a publisher whose tail continues here. The replica's own subscribers
    /// learn the publisher's epoch and lineages before the first record arrives. Returns whether the
    /// log has begun a life that was unknown here ([`AppliedPoint::lacks_life`]).
    ///
    /// # Errors
    /// [`Violation::PastFork`].
    pub(crate) fn note_hello(&self, epoch: Epoch, hello: &PublisherHello) -> Result<bool, Violation> {
        let point = self.point.load_full();
        let lineages = newest_lineages(&point.lineages, hello);
        // Epochs of different lives cannot be compared.
        let epoch = if lineages == point.lineages { epoch.max(point.epoch) } else { epoch };
        let lacked_life = point.lacks_life(hello.region, &lineages);
        if (point.epoch, &point.lineages) != (epoch, &lineages) {
            self.advance(AppliedPoint { epoch, lineages, ..AppliedPoint::clone(&point) })?;
        }
        Ok(lacked_life)
    }

    /// Sets the replica's point.
    ///
    /// # Errors
    /// [`Violation::PastFork`] if the log has lost something that is held; the point is unchanged.
    pub(crate) fn advance(&self, point: AppliedPoint) -> Result<(), Violation> {
        let newest_answer = self.newest_answer.lock();
        let before = self.point.load();
        let holds = self.newest(&before, *newest_answer);
        let theirs = point.lineages.get(point.region).filter(|_| !Arc::ptr_eq(&before.lineages, &point.lineages));
        if let Some(fork) = theirs.and_then(|theirs| before.fork(theirs, holds)) {
            return Err(Violation::PastFork { fork, holds });
        }
        let stated = before.lineages.get(point.region);
        let abandons = theirs.zip(stated).is_some_and(|(theirs, stated)| !theirs.extends(stated));
        self.point.store(Arc::new(point));
        if abandons {
            // Change this after the point: a stream that starts in between then ends needlessly,
            // instead of continuing with the old lineage.
            self.feed_generation.store(Generation::begin().number(), Release);
        }
        Ok(())
    }

    /// Returns a number that changes whenever a stream to a subscriber must end: the replica was
    /// replaced, or its log abandoned a life that this edge has stated. A subscriber attributes
    /// records to the lives that the publisher's hello stated, so it would attribute later records
    /// of this log to the abandoned life.
    #[must_use]
    pub fn feed_generation(&self) -> u64 {
        self.feed_generation.load(Acquire)
    }

    fn newest(&self, point: &AppliedPoint, newest_answer: Lsn) -> Lsn {
        if active(Mutation::KeepRowsPastFork) {
            return point.resume.position.lsn;
        }
        point.resume.position.lsn.max(Lsn(self.newest_row.load(Relaxed))).max(newest_answer)
    }

    /// Returns whether rows up to `newest` may be inserted, which requires that they belong to the
    /// held log. If so, they count as inserted from now on.
    #[must_use]
    pub fn may_insert(&self, newest: Position) -> bool {
        let mut newest_answer = self.newest_answer.lock();
        let point = self.point.load();
        let of_this_log = point.lineages.is_one_log(point.resume.position, newest);
        if of_this_log {
            *newest_answer = newest.lsn.max(*newest_answer);
        }
        of_this_log
    }

    /// Returns the common record of the held log and a copy of it with the lineage `theirs`, if
    /// something held here is past that record.
    #[must_use]
    pub fn fork(&self, theirs: &Lineage) -> Option<Position> {
        let newest_answer = self.newest_answer.lock();
        let point = self.point.load();
        point.fork(theirs, self.newest(&point, *newest_answer))
    }

    /// Returns the newest record from which anything may be held here.
    #[must_use]
    pub fn holds_up_to(&self) -> Position {
        let newest_answer = self.newest_answer.lock();
        let point = self.point.load();
        let lsn = self.newest(&point, *newest_answer);
        let life =
            point.lineages.get(point.region).map_or(point.resume.position.incarnation, |lineage| lineage.at(lsn));
        Position { incarnation: life, lsn }
    }

    /// Adds or updates a view of this catalogue. How it is held does not change, because its residency rule and the
    /// configuration do not.
    pub fn put_view(&self, holdings: &Holdings, view: &FeatureView, catalogue: &Catalogue) {
        let mut routes = Routes::clone(&self.routes.load());
        let route = routes.entry(view.id).or_insert_with(|| {
            let holding = holdings.holding_of(view, catalogue);
            match holding {
                Holding::Full => self.table.set_residency(view.id, Residency::Full),
                Holding::Resident => self.table.set_residency(view.id, Residency::Resident),
                Holding::Elsewhere | Holding::Outside => {}
            }
            Route { holding, merge: view.merge, over_budget: false }
        });
        route.merge = view.merge;
        self.routes.store(Arc::new(routes));
    }

    /// Removes a view with its rows.
    pub fn drop_view(&self, view: ViewId) {
        let mut routes = Routes::clone(&self.routes.load());
        routes.remove(&view);
        self.routes.store(Arc::new(routes));
        self.table.drop_view(view);
    }

    /// Makes a full view that does not fit resident.
    pub fn degrade(&self, view: ViewId) {
        let mut routes = Routes::clone(&self.routes.load());
        if let Some(route) = routes.get_mut(&view) {
            *route = Route { holding: Holding::Resident, over_budget: true, ..*route };
        }
        // Update readers first: a key that disappears must be a miss, not an absent row.
        self.routes.store(Arc::new(routes));
        self.table.set_residency(view, Residency::Resident);
    }
}
