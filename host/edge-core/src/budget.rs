//! Keeps full views within their memory budget.

use crate::{holdings::Holdings, replica::Replica};
use littoral_replica::Residency;

/// A full view that has become resident, for reporting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgrown {
    /// The view's name.
    pub view: String,
    /// The number of its rows.
    pub rows: u64,
    /// The memory of its rows, in bytes.
    pub view_bytes: u64,
    /// The memory of all full views, in bytes.
    pub full_bytes: u64,
}

/// Makes the largest full views resident until the rest fits the memory budget. Returns the
/// affected views. The view's status and answers also report the change.
#[must_use]
pub fn enforce(replica: &Replica, holdings: &Holdings) -> Vec<Outgrown> {
    let mut outgrown = Vec::new();
    loop {
        let full: Vec<_> =
            replica.table.views().into_iter().filter(|(_, residency, _)| *residency == Residency::Full).collect();
        let full_bytes: u64 = full.iter().map(|(_, _, counts)| counts.bytes).sum();
        let largest = full.into_iter().max_by_key(|(_, _, counts)| counts.bytes);
        let Some((view, _, counts)) = largest.filter(|_| full_bytes > holdings.full_bytes_max) else { return outgrown };
        let catalogue = replica.point.load().catalogue.clone();
        let name = catalogue.view_by_id(view).map_or_else(|| view.to_string(), |view| view.name.clone());
        outgrown.push(Outgrown { view: name, rows: counts.rows, view_bytes: counts.bytes, full_bytes });
        replica.degrade(view);
    }
}
