//! Parts: the rows of a view whose merge policy combines what each region wrote.
//!
//! Each region writes its own part of such a row. The part's key is the entity key followed by the
//! region's name. Parts are ordinary rows: a part's newest write wins in any order of arrival, so
//! logs, replicas and digests need no special case. Only a reader combines the parts
//! ([`combine`]). A state-based counter keeps its replicas' counts apart in the same way (Shapiro,
//! Preguiça, Baquero, Zawirski: "A comprehensive study of Convergent and Commutative Replicated
//! Data Types", 2011, specifications 6 and 7).

mod values;

use crate::{
    catalogue::Catalogue,
    entity_key::{KEY_LEN_MAX, KeyBatch},
    event_time::EventTime,
    ports::FeatureReader,
    read::{ReadAnswer, ReadError, ReadRequest, ViewRead, is_expired},
    region::Region,
    row::{Row, RowMeta},
    row_body::BodyBuilder,
    view::{FeatureView, ViewId},
    write::{RowBatch, RowWrite},
};

/// The maximum length of an entity key in a view whose rows have parts, in bytes. A region's name
/// and its length follow the key.
pub const ENTITY_KEY_LEN_MAX: usize = KEY_LEN_MAX - Region::LEN_MAX - 1;

/// Turns an entity key into the key of a region's part.
pub fn push_region(key: &mut Vec<u8>, region: Region) {
    let name = region.name_bytes();
    key.extend_from_slice(name);
    // A name has at most 16 bytes.
    key.push(name.len() as u8);
}

/// Splits a part's key into the entity key and the region; returns `None` for any other key.
#[must_use]
pub fn split(key: &[u8]) -> Option<(&[u8], Region)> {
    let (len, rest) = key.split_last()?;
    let (entity_key, name) = rest.split_at_checked(rest.len().checked_sub(usize::from(*len))?)?;
    Some((entity_key, std::str::from_utf8(name).ok()?.parse().ok()?))
}

/// Returns the entity key of a row as the view's users know it.
#[must_use]
pub fn entity_key<'a>(view: &FeatureView, key: &'a [u8]) -> &'a [u8] {
    if view.merge.combines() { split(key).map_or(key, |(entity_key, _)| entity_key) } else { key }
}

/// Converts the rows of a write into the rows that a leader logs, if a view among them combines. A
/// row becomes the part of the first of `regions`; a deletion becomes a tombstone for the part of
/// every region. Returns `None`, without calling `regions`, if no view combines.
pub fn rows_to_log(catalogue: &Catalogue, rows: &RowBatch, regions: impl FnOnce() -> Vec<Region>) -> Option<RowBatch> {
    // Rows of one view are usually adjacent.
    let mut last = None;
    let mut combines = |view: ViewId| match last {
        Some((known, combines)) if known == view => combines,
        _ => {
            let combines = catalogue.view_by_id(view).is_some_and(|view| view.merge.combines());
            last = Some((view, combines));
            combines
        }
    };
    if !rows.iter().any(|row| combines(row.view)) {
        return None;
    }
    let regions = regions();
    let mut parts = RowBatch::with_capacity(rows.len(), rows.payload_len() + rows.len() * (Region::LEN_MAX + 1));
    let mut key = Vec::new();
    for row in rows.iter() {
        if !combines(row.view) {
            parts.push(row);
            continue;
        }
        let count = if row.body.is_none() { regions.len() } else { 1 };
        for region in regions.iter().take(count) {
            key.clear();
            key.extend_from_slice(row.key);
            push_region(&mut key, *region);
            parts.push(RowWrite { key: &key, ..row });
        }
    }
    Some(parts)
}

/// Reads through `reader` and combines the parts of views that combine. HTTP handlers and modules
/// read through this function. `now` is the time at which the expiry of parts is evaluated.
///
/// # Errors
/// The reader's errors.
pub async fn read(
    reader: &dyn FeatureReader,
    request: &ReadRequest,
    now: EventTime,
    answer: &mut ReadAnswer,
) -> Result<(), ReadError> {
    let catalogue = reader.catalogue();
    let regions = reader.regions();
    let parts = parts_of(&catalogue, &regions, request);
    // Nearly always the replica can answer. Only a read that it cannot answer is worth a boxed
    // future.
    if !reader.read_local(&parts, answer) {
        *answer = reader.read(&parts).await?;
    }
    combine(&catalogue, regions.len(), request, now, answer);
    Ok(())
}

/// Returns the read that requests every region's part of the rows of views that combine, key by
/// key.
#[must_use]
pub fn parts_of(catalogue: &Catalogue, regions: &[Region], request: &ReadRequest) -> ReadRequest {
    let of_view = |read: &ViewRead| {
        if !catalogue.view_by_id(read.view).is_some_and(|view| view.merge.combines()) {
            return read.clone();
        }
        let mut keys = KeyBatch::with_capacity(read.keys.len() * regions.len(), 0);
        for key in read.keys.iter() {
            for region in regions {
                keys.buffer().extend_from_slice(key);
                push_region(keys.buffer(), *region);
                keys.end_key();
            }
        }
        ViewRead { view: read.view, keys }
    };
    ReadRequest { reads: request.reads.iter().map(of_view).collect(), demand: request.demand.clone() }
}

/// Turns the answer to the read of [`parts_of`] into the answer to `request`.
pub fn combine(catalogue: &Catalogue, regions: usize, request: &ReadRequest, now: EventTime, answer: &mut ReadAnswer) {
    for (at, (read, rows)) in request.reads.iter().zip(&mut answer.rows).enumerate() {
        let Some(view) = catalogue.view_by_id(read.view).filter(|view| view.merge.combines()) else { continue };
        let parts = std::mem::take(rows);
        let mut parts = parts.chunks(regions.max(1));
        let combined = |key| {
            let parts: Vec<&Row> = parts.next().unwrap_or_default().iter().flatten().collect();
            row_of(view, key, &parts, now)
        };
        *rows = read.keys.iter().map(combined).collect();
        // A row with an unknown part is unknown, because the part could change the result.
        for (_, place) in answer.unknown.iter_mut().filter(|(of, _)| *of as usize == at) {
            *place /= regions.max(1) as u32;
            if let Some(row) = rows.get_mut(*place as usize) {
                *row = None;
            }
        }
    }
    answer.unknown.dedup();
}

/// Combines parts into a row: each feature's values by the view's policy, and the newest event
/// timestamp. An expired part counts only if all parts have expired, so the last value of a
/// removed region does not count forever.
#[must_use]
pub fn row_of(view: &FeatureView, key: &[u8], parts: &[&Row], now: EventTime) -> Option<Row> {
    let mut parts: Vec<&Row> = parts.to_vec();
    if parts.iter().any(|part| !is_expired(view, part.header().event_time, now)) {
        parts.retain(|part| !is_expired(view, part.header().event_time, now));
    }
    let newest = parts.iter().max_by_key(|part| part.rank().version)?.header();
    let mut body = BodyBuilder::new(view.features.len());
    for (at, feature) in view.features.iter().enumerate() {
        let of_parts = parts.iter().map(|part| part.value(at, feature.value_type));
        let value = values::combined(view.merge, feature.value_type, of_parts);
        // A policy accepts only types that it also returns.
        body.push(feature.value_type, &value).ok()?;
    }
    let meta = RowMeta {
        view: view.id,
        event_time: parts.iter().map(|part| part.header().event_time).max()?,
        version: newest.version,
        lsn: parts.iter().map(|part| part.header().lsn).max()?,
    };
    Some(Row::new(meta, key, Some(&body.finish().ok()?)))
}

#[cfg(test)]
mod tests;
