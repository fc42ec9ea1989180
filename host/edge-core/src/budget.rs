//! Keeping full views within their memory.

use crate::{holdings::Holdings, replica::Replica};
use littoral_replica::Residency;

/// A full view that has become resident, for whoever reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgrown {
    /// The view's name.
    pub view: String,
    /// Its rows.
    pub rows: u64,
    /// What they took.
    pub view_bytes: u64,
    /// What all full views took.
    pub full_bytes: u64,
}

/// When full views outgrow their memory, the largest becomes resident, until the rest fits. Nothing is dropped silently:
/// what has become resident is returned, and status and answers of the view say so.
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
