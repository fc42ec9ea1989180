//! What is applied and visible: the rows, and everything that readers load with them.

use arc_swap::{ArcSwap, Guard};
use littoral_leader_core::{Ledger, Published, RehomingPoints, apply::Regional};
use littoral_model::{conflict::Conflict, position::Position};
use littoral_replica::Table;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use tokio::sync::watch;

/// The applied state. Only the apply thread changes it.
pub(crate) struct AppliedState {
    pub(crate) table: Arc<Table>,
    published: ArcSwap<Published>,
    head: watch::Sender<Position>,
    regional: Mutex<RegionalState>,
}

/// What a leader stores about other regions' records besides their rows.
#[derive(Debug)]
pub(crate) struct RegionalState {
    pub(crate) ledger: Ledger,
    pub(crate) rehoming: RehomingPoints,
}

impl RegionalState {
    /// Lends both parts to one record's application.
    pub(crate) fn lend(&mut self) -> Regional<'_> {
        Regional { ledger: &mut self.ledger, rehoming: &mut self.rehoming }
    }
}

impl AppliedState {
    pub(crate) fn new(table: Arc<Table>, published: Published, regional: RegionalState) -> Self {
        let head = watch::Sender::new(published.position);
        Self { table, published: ArcSwap::from_pointee(published), head, regional: Mutex::new(regional) }
    }

    /// Returns what is applied, for a short time.
    pub(crate) fn load(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    /// Returns what is applied.
    pub(crate) fn load_full(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Returns the last applied record, now and whenever it changes.
    pub(crate) fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    /// Makes what was applied visible.
    pub(crate) fn publish(&self, published: Published) {
        let position = published.position;
        self.published.store(Arc::new(published));
        self.head.send_replace(position);
    }

    /// Locks what is stored about other regions, once for each batch that is applied.
    pub(crate) fn regional(&self) -> MutexGuard<'_, RegionalState> {
        self.regional.lock()
    }

    /// Returns the conflict ledger's entries, oldest first.
    pub(crate) fn conflicts(&self) -> Vec<Conflict> {
        self.regional.lock().ledger.iter().cloned().collect()
    }
}
