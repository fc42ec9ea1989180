//! A replica under construction from a leader's snapshot. It is built next to the serving replica
//! and replaces it when complete, so reads continue, and rows that no longer exist disappear.

use crate::{
    budget::{self, Outgrown},
    holdings::{Holding, Holdings},
    replica::{AppliedPoint, Replica},
};
use littoral_protocol::subscriber::Violation;
use littoral_replica::Mode;
use littoral_wire::rows;
use std::sync::Arc;

/// The number of rows between two checks of the memory budget.
const ROWS_PER_CHECK: u64 = 16_384;
/// The maximum number of rows for which memory is reserved on the leader's estimate.
const RESERVE_MAX: u64 = 4_000_000;

#[derive(Debug)]
pub(crate) struct Bootstrap {
    replica: Replica,
    rows: u64,
    checked_at: u64,
    outgrown: Vec<Outgrown>,
}

impl Bootstrap {
    pub(crate) fn begin(holdings: &Holdings, point: AppliedPoint, rows_estimate: u64) -> Self {
        let replica = Replica::new(holdings, point);
        let holds_full = replica.routes.load().values().any(|route| route.holding == Holding::Full);
        if holds_full {
            // A row takes at least a hundred bytes.
            replica.table.reserve(rows_estimate.min(RESERVE_MAX).min(holdings.full_bytes_max / 100) as usize);
        }
        Self { replica, rows: 0, checked_at: 0, outgrown: Vec::new() }
    }

    /// Adds a block of rows. Returns how many were discarded because a residency rule keeps them out of the edge's
    /// region. After an error the caller drops the whole bootstrap.
    pub(crate) fn add(&mut self, holdings: &Holdings, announced: u32, block: &[u8]) -> Result<u32, Violation> {
        let routes = self.replica.routes.load_full();
        let (mut received, mut outside) = (0_u32, 0);
        for row in rows::iter(block) {
            let row = row.map_err(|error| Violation::Damaged(error.to_string()))?;
            let Some(row) = row else {
                return Err(Violation::Damaged("a snapshot contains an empty row".to_owned()));
            };
            received += 1;
            let route = routes.get(&row.view);
            if route.is_some_and(|route| route.holding == Holding::Outside) {
                outside += 1;
                continue;
            }
            self.replica.holds(row.lsn);
            if let Some(route) = route.filter(|route| route.holding == Holding::Full) {
                self.replica.table.apply(row.to_row(), route.merge, Mode::InsertAll);
            }
        }
        if received != announced {
            return Err(Violation::Damaged(format!("a block contains {received} rows but announces {announced}")));
        }
        self.rows += u64::from(received);
        if self.rows - self.checked_at >= ROWS_PER_CHECK {
            self.checked_at = self.rows;
            self.outgrown.extend(budget::enforce(&self.replica, holdings));
        }
        Ok(outside)
    }

    /// Returns the finished replica, and the views that did not fit.
    pub(crate) fn finish(mut self, holdings: &Holdings) -> (Arc<Replica>, Vec<Outgrown>) {
        self.outgrown.extend(budget::enforce(&self.replica, holdings));
        (Arc::new(self.replica), self.outgrown)
    }
}
