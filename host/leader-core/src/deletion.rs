//! Event times for deletions whose writer gave none: they outrank the rows that the writer can see.

use littoral_model::{
    event_time::EventTime,
    view::ViewId,
    write::{RowBatch, RowWrite},
};
use littoral_replica::Table;
use std::collections::HashMap;

/// Moves the event time of each deletion whose writer gave none to just after that of the row that it deletes, unless
/// the assigned time is later already. The row is stored here, or precedes the deletion in the same write.
pub(crate) fn outrank(rows: &mut RowBatch, table: &Table) {
    let Some(stamped) = rows.stamped() else { return };
    if !rows.iter().any(|row| row.body.is_none() && row.event_time == stamped) {
        return;
    }
    let ahead = newest_ahead(rows, stamped);
    rows.postpone(|row| {
        let RowWrite { view, key, body: None, event_time } = row else { return None };
        let held = table.held(view, key).filter(|held| !held.is_tombstone()).map(|held| held.header().event_time);
        let written = if ahead.is_empty() { None } else { ahead.get(&(view, key.to_vec())).copied() };
        let newest = held.max(written)?;
        (newest >= event_time).then(|| EventTime(newest.0.saturating_add(1)))
    });
}

/// Returns the newest event times of the write's own rows that are ahead of the leader's clock; usually there are none.
fn newest_ahead(rows: &RowBatch, stamped: EventTime) -> HashMap<(ViewId, Vec<u8>), EventTime> {
    let mut newest = HashMap::new();
    for row in rows.iter().filter(|row| row.body.is_some() && row.event_time > stamped) {
        let time = newest.entry((row.view, row.key.to_vec())).or_insert(row.event_time);
        *time = row.event_time.max(*time);
    }
    newest
}
