//! One replica: a table, how its views are held, and the point of the log that it stands at.

use crate::{
    follower::newest_lives,
    holdings::{Holdings, ViewMode},
};
use arc_swap::ArcSwap;
use littoral_model::{
    catalogue::Catalogue,
    hlc::Hlc,
    lives::{Lives, RegionLives},
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
use littoral_replica::{Numbering, Residency, Table};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// How a view is held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Every row.
    Full,
    /// Rows that were asked for.
    Resident,
    /// Nothing: the view is not followed, so that nothing would keep a row fresh.
    Elsewhere,
}

/// What is needed for a row of a view.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// How its view is held.
    pub holding: Holding,
    /// The view's policy.
    pub merge: MergePolicy,
    /// Whether the view should be full and did not fit.
    pub over_budget: bool,
}

/// How each view is held.
pub type Routes = HashMap<ViewId, Route, foldhash::fast::FixedState>;

/// Where a replica stands. Everything up to the position is applied, and the catalogue is the position's.
#[derive(Clone, Debug)]
pub struct Point {
    /// The position, and the hash of its record.
    pub resume: Resume,
    /// The newest epoch that was seen.
    pub epoch: Epoch,
    /// Whose log it is.
    pub region: Region,
    /// How far every region's records are applied: what reads that demand a token are measured by.
    pub watermark: Watermark,
    /// The same, and of the followed region only up to its last record that others take: what answers carry, so that it can be
    /// reached elsewhere.
    pub told: Watermark,
    /// What is held of some regions and the log that is followed does not have yet: its leader has been lost with it, and until
    /// it comes the rows are not comparable with the log's. Empty nearly always.
    pub beyond: Watermark,
    /// The histories of the regions' logs.
    pub lives: Arc<RegionLives>,
    /// Whether there are rows that `told` does not name: they came round a third region, or a region's log was begun anew since the
    /// last snapshot. Another region's log may not have all of them.
    pub mixed: bool,
    /// Rows of other regions that came before what names them, by their newest clock reading: nearly always none.
    pub unnamed: Vec<(Region, Hlc)>,
    /// The catalogue as of the position.
    pub catalogue: Arc<Catalogue>,
}

/// Rows are not as of any record.
const NEVER_EXACT: Lsn = Lsn(u64::MAX);

impl Point {
    /// A point of this region's log, with every region's records as far as `told` says.
    #[must_use]
    pub fn new(
        resume: Resume,
        epoch: Epoch,
        (region, mut lives): (Region, Arc<RegionLives>),
        mut told: Watermark,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        let position = resume.position;
        if lives.get(region).is_none() {
            // Of a publisher that knows no lives: its log counts as having one.
            Arc::make_mut(&mut lives).set(region, Lives::of(position.incarnation));
        }
        let mut watermark = told.clone();
        watermark.set(region, position.incarnation, position.lsn);
        let of_this_log = |(incarnation, lsn)| {
            lives.get(region).is_some_and(|lives| lives.has(Position { incarnation, lsn }, Lsn(u64::MAX)))
        };
        if told.get(region).is_none_or(|told| !of_this_log(told)) {
            told.set(region, position.incarnation, position.lsn);
        }
        Self {
            resume,
            epoch,
            region,
            watermark,
            told,
            beyond: Watermark::default(),
            lives,
            mixed: false,
            unnamed: Vec::new(),
            catalogue,
        }
    }

    /// The name of the log.
    #[must_use]
    pub fn log(&self) -> Incarnation {
        self.lives.get(self.region).map_or(self.resume.position.incarnation, Lives::log)
    }

    /// Whether everything that a token demands is applied.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        self.lives.covers(&self.watermark, demand)
    }

    /// What it names, for going on in another region's log ([`Replica::homing`]); empty when there are rows that it cannot name.
    #[must_use]
    pub fn homing(&self) -> Watermark {
        if self.mixed || !self.unnamed.is_empty() { Watermark::default() } else { self.told.clone() }
    }

    /// Where a log with this history forked from the one that is held up to `holds`, if it has lost something of that.
    fn fork(&self, theirs: &Lives, holds: Lsn) -> Option<Position> {
        let ours = self.lives.get(self.region).filter(|ours| ours.log() == theirs.log())?;
        if theirs.has(ours.position(holds), Lsn(u64::MAX)) {
            return None;
        }
        theirs.common(Lsn(u64::MAX), ours, holds)
    }

    /// The same, with what the log does not have yet.
    #[must_use]
    pub fn beyond(self, beyond: Watermark) -> Self {
        Self { beyond, ..self }
    }
}

/// Rows, and where they stand. Only who follows the leader changes it.
#[derive(Debug)]
pub struct Replica {
    /// The rows.
    pub table: Arc<Table>,
    /// How each view is held.
    pub routes: ArcSwap<Routes>,
    /// Where it stands.
    pub point: ArcSwap<Point>,
    /// By which log the table counted when this replica was made of it.
    pub numbering: Numbering,
    /// From this record on the rows are as of one record.
    exact_from: AtomicU64,
    /// The newest record that a row of the snapshot, or a mended one, comes from: before, rows may be newer than the position.
    newest_row: AtomicU64,
    /// The newest record of all answers that were taken in beside the feed. Locked while the histories change that say whether an
    /// answer may be taken in.
    newest_answer: Mutex<Lsn>,
}

impl Replica {
    /// An empty replica that stands at `point`.
    #[must_use]
    pub fn new(holdings: &Holdings, point: Point) -> Self {
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
        let numbering = table.numbering();
        let newest_answer = Mutex::default();
        let replica = Self { table, routes, point, numbering, exact_from, newest_row, newest_answer };
        let catalogue = replica.point.load().catalogue.clone();
        for view in catalogue.views() {
            replica.put_view(holdings, view);
        }
        replica
    }

    /// The same rows, going on in another region's log, whose newest record is `head`. What was served before shares the table
    /// and takes nothing in any more.
    #[must_use]
    pub fn rehomed(from: &Self, point: Point, head: Lsn) -> Self {
        let numbering = from.table.rebase(point.resume.position.lsn);
        let exact_from = if point.beyond.is_empty() { head } else { NEVER_EXACT };
        let (routes, point) = (ArcSwap::new(from.routes.load_full()), ArcSwap::from_pointee(point));
        let (exact_from, newest_row) = (AtomicU64::new(exact_from.0), AtomicU64::new(0));
        let (table, newest_answer) = (from.table.clone(), Mutex::default());
        Self { table, routes, point, numbering, exact_from, newest_row, newest_answer }
    }

    /// Whether there are rows of records behind this one of the log that is followed.
    pub(crate) fn holds_beyond(&self, lsn: Lsn) -> bool {
        // What is held of other regions beyond that log came by no record of it.
        self.point.load().beyond.is_empty() && self.exact_from() > lsn
    }

    /// Everything that the log which is followed lacked is in it by this record.
    pub(crate) fn level_at(&self, lsn: Lsn) {
        self.exact_from.store(lsn.0, Relaxed);
    }

    /// The rows are as of one record from here on.
    #[must_use]
    pub fn exact_from(&self) -> Lsn {
        Lsn(self.exact_from.load(Relaxed))
    }

    /// A row of this record came with the snapshot, or was mended.
    pub fn holds(&self, lsn: Lsn) {
        self.exact_from.fetch_max(lsn.0, Relaxed);
        self.newest_row.fetch_max(lsn.0, Relaxed);
    }

    /// By what the replica may go on in another region's log; empty when only a snapshot is safe, as while rows of records are
    /// held that the point does not name.
    #[must_use]
    pub fn homing(&self) -> Watermark {
        let point = self.point.load();
        let all_named = point.resume.position.lsn.0 >= self.newest_row.load(Relaxed) || active(Mutation::RehomeUnnamed);
        if all_named { point.homing() } else { Watermark::default() }
    }

    /// Everything up to here is applied.
    #[must_use]
    pub fn position(&self) -> Position {
        self.point.load().resume.position
    }

    /// A publisher has answered that goes on with what is held here. Subscribers learn its epoch, and the lives of the regions' logs,
    /// before a record of them comes.
    ///
    /// # Errors
    /// [`Violation::PastFork`].
    pub(crate) fn seen(&self, epoch: Epoch, hello: &PublisherHello) -> Result<(), Violation> {
        let point = self.point.load_full();
        let lives = newest_lives(&point.lives, hello);
        // Epochs of two lives say nothing of each other.
        let epoch = if lives == point.lives { epoch.max(point.epoch) } else { epoch };
        if (point.epoch, &point.lives) != (epoch, &lives) {
            self.go_on(Point { epoch, lives, ..Point::clone(&point) })?;
        }
        Ok(())
    }

    /// The replica stands there from now on.
    ///
    /// # Errors
    /// [`Violation::PastFork`] when the log has lost something of what is held: then it stands where it stood.
    pub(crate) fn go_on(&self, point: Point) -> Result<(), Violation> {
        let newest_answer = self.newest_answer.lock();
        let before = self.point.load();
        let holds = self.newest(&before, *newest_answer);
        let theirs = point.lives.get(point.region).filter(|_| !Arc::ptr_eq(&before.lives, &point.lives));
        if let Some(fork) = theirs.and_then(|theirs| before.fork(theirs, holds)) {
            return Err(Violation::PastFork { fork, holds });
        }
        self.point.store(Arc::new(point));
        Ok(())
    }

    fn newest(&self, point: &Point, newest_answer: Lsn) -> Lsn {
        if active(Mutation::KeepRowsPastFork) {
            return point.resume.position.lsn;
        }
        point.resume.position.lsn.max(Lsn(self.newest_row.load(Relaxed))).max(newest_answer)
    }

    /// Whether an answer may be taken in of which nothing is newer than `newest`: whether it is of the log that is held. It counts as
    /// taken in from then on.
    #[must_use]
    pub fn may_take_in(&self, newest: Position) -> bool {
        let mut newest_answer = self.newest_answer.lock();
        let point = self.point.load();
        let of_this_log = point.lives.is_one_log(point.resume.position, newest);
        if of_this_log {
            *newest_answer = newest.lsn.max(*newest_answer);
        }
        of_this_log
    }

    /// The last record that the log which is held has in common with a copy of it of which `theirs` is the history, when something held
    /// here is past that.
    #[must_use]
    pub fn fork(&self, theirs: &Lives) -> Option<Position> {
        let newest_answer = self.newest_answer.lock();
        let point = self.point.load();
        point.fork(theirs, self.newest(&point, *newest_answer))
    }

    /// The newest record that anything held here may come from.
    #[must_use]
    pub fn holds_up_to(&self) -> Position {
        let newest_answer = self.newest_answer.lock();
        let point = self.point.load();
        let lsn = self.newest(&point, *newest_answer);
        let life = point.lives.get(point.region).map_or(point.resume.position.incarnation, |lives| lives.at(lsn));
        Position { incarnation: life, lsn }
    }

    /// A view was made or has changed. How it is held stays.
    pub fn put_view(&self, holdings: &Holdings, view: &FeatureView) {
        let mut routes = Routes::clone(&self.routes.load());
        let route = routes.entry(view.id).or_insert_with(|| {
            let holding = match holdings.mode_of(&view.name) {
                _ if !holdings.follows(&view.name) => Holding::Elsewhere,
                ViewMode::Full => Holding::Full,
                ViewMode::Resident => Holding::Resident,
            };
            match holding {
                Holding::Full => self.table.set_residency(view.id, Residency::Full),
                Holding::Resident => self.table.set_residency(view.id, Residency::Resident),
                Holding::Elsewhere => {}
            }
            Route { holding, merge: view.merge, over_budget: false }
        });
        route.merge = view.merge;
        self.routes.store(Arc::new(routes));
    }

    /// A view was dropped, and its rows with it.
    pub fn drop_view(&self, view: ViewId) {
        let mut routes = Routes::clone(&self.routes.load());
        routes.remove(&view);
        self.routes.store(Arc::new(routes));
        self.table.drop_view(view);
    }

    /// A full view does not fit: from now on it is resident.
    pub fn degrade(&self, view: ViewId) {
        let mut routes = Routes::clone(&self.routes.load());
        if let Some(route) = routes.get_mut(&view) {
            *route = Route { holding: Holding::Resident, over_budget: true, ..*route };
        }
        // Readers first: a key that goes missing must be asked for, not taken for absent.
        self.routes.store(Arc::new(routes));
        self.table.set_residency(view, Residency::Resident);
    }
}
