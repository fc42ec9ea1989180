//! A replica in the making, from a leader's snapshot. It grows beside the one that serves and takes its place when it is
//! complete, so that reads go on and rows that have vanished do not linger.

use crate::{
    budget::{self, Outgrown},
    holdings::Holdings,
    replica::{Holding, Point, Replica},
};
use littoral_protocol::subscriber::Violation;
use littoral_replica::Mode;
use littoral_wire::rows;
use std::sync::Arc;

/// Rows between two looks at the memory budget.
const ROWS_PER_LOOK: u64 = 16_384;
/// Rows that are made room for on a leader's word alone.
const RESERVE_MAX: u64 = 4_000_000;

#[derive(Debug)]
pub(crate) struct Bootstrap {
    replica: Replica,
    rows: u64,
    looked_at: u64,
    outgrown: Vec<Outgrown>,
}

impl Bootstrap {
    pub(crate) fn begin(holdings: &Holdings, point: Point, rows_estimate: u64) -> Self {
        let replica = Replica::new(holdings, point);
        let holds_full = replica.routes.load().values().any(|route| route.holding == Holding::Full);
        if holds_full {
            // A row takes a hundred bytes at the very least.
            replica.table.reserve(rows_estimate.min(RESERVE_MAX).min(holdings.full_bytes_max / 100) as usize);
        }
        Self { replica, rows: 0, looked_at: 0, outgrown: Vec::new() }
    }

    /// Takes a block of rows. After an error the whole bootstrap is dropped.
    pub(crate) fn take(&mut self, holdings: &Holdings, announced: u32, block: &[u8]) -> Result<(), Violation> {
        let routes = self.replica.routes.load_full();
        let mut taken = 0_u32;
        for row in rows::iter(block) {
            let row = row.map_err(|error| Violation::Damaged(error.to_string()))?;
            let Some(row) = row else {
                return Err(Violation::Damaged("a snapshot holds an empty row".to_owned()));
            };
            taken += 1;
            self.replica.holds(row.lsn);
            if let Some(route) = routes.get(&row.view)
                && route.holding == Holding::Full
            {
                self.replica.table.apply(row.to_row(), route.merge, Mode::InsertAll);
            }
        }
        if taken != announced {
            return Err(Violation::Damaged(format!("a block of {taken} rows says that it has {announced}")));
        }
        self.rows += u64::from(taken);
        if self.rows - self.looked_at >= ROWS_PER_LOOK {
            self.looked_at = self.rows;
            self.outgrown.extend(budget::enforce(&self.replica, holdings));
        }
        Ok(())
    }

    /// The replica, and the views that did not fit.
    pub(crate) fn finish(mut self, holdings: &Holdings) -> (Arc<Replica>, Vec<Outgrown>) {
        self.outgrown.extend(budget::enforce(&self.replica, holdings));
        (Arc::new(self.replica), self.outgrown)
    }
}
