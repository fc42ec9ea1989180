//! Parts: rows of a view whose policy combines what each region wrote.
//!
//! A region writes its own part of such a row, under the entity key with the region's name behind it. Parts are rows like all
//! others: a part's newest write stays, in whatever order writes come in, so logs, replicas and digests know nothing of
//! them. Only who reads puts them together ([`combine`]): a state-based counter keeps its replicas' counts apart in the same
//! way (Shapiro, Preguiça, Baquero, Zawirski: "A comprehensive study of Convergent and Commutative Replicated Data Types",
//! 2011, specifications 6 and 7).

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

/// The longest entity key of a view whose rows have parts, in bytes: a region's name and its length go behind it.
pub const ENTITY_KEY_LEN_MAX: usize = KEY_LEN_MAX - Region::LEN_MAX - 1;

/// Makes an entity key the key of a region's part.
pub fn push_region(key: &mut Vec<u8>, region: Region) {
    let name = region.name_bytes();
    key.extend_from_slice(name);
    // A name has at most 16 bytes.
    key.push(name.len() as u8);
}

/// Splits a part's key into the entity key and the region; `None` when it is no part's.
#[must_use]
pub fn split(key: &[u8]) -> Option<(&[u8], Region)> {
    let (len, rest) = key.split_last()?;
    let (entity_key, name) = rest.split_at_checked(rest.len().checked_sub(usize::from(*len))?)?;
    Some((entity_key, std::str::from_utf8(name).ok()?.parse().ok()?))
}

/// The entity key of a row as the view's users know it.
#[must_use]
pub fn entity_key<'a>(view: &FeatureView, key: &'a [u8]) -> &'a [u8] {
    if view.merge.combines() { split(key).map_or(key, |(entity_key, _)| entity_key) } else { key }
}

/// The rows that a leader logs for rows that it is asked to write, when a view among them combines: of each the part of the first
/// of these regions, and for a deletion the end of the parts of all. `None` when none combines, and nobody asks for the regions.
pub fn written(catalogue: &Catalogue, rows: &RowBatch, regions: impl FnOnce() -> Vec<Region>) -> Option<RowBatch> {
    // Rows of one view come in runs.
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

/// Reads through `reader`, and puts parts together where a view combines: what doors and modules read with. `now` is the time
/// that parts' expiry is judged by.
///
/// # Errors
/// The reader's.
pub async fn read(
    reader: &dyn FeatureReader,
    request: &ReadRequest,
    now: EventTime,
    answer: &mut ReadAnswer,
) -> Result<(), ReadError> {
    let catalogue = reader.catalogue();
    let regions = reader.regions();
    let parts = parts_of(&catalogue, &regions, request);
    // Nearly always the replica has it; only what it has not is worth a boxed future.
    if !reader.read_local(&parts, answer) {
        *answer = reader.read(&parts).await?;
    }
    combine(&catalogue, regions.len(), request, now, answer);
    Ok(())
}

/// The read that asks for every region's part of the rows of views that combine, key by key.
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

/// Makes an answer to [`parts_of`] the answer to the request itself.
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
        // A row of which a part is unknown is unknown: what the others make of it may be anything.
        for (_, place) in answer.unknown.iter_mut().filter(|(of, _)| *of as usize == at) {
            *place /= regions.max(1) as u32;
            if let Some(row) = rows.get_mut(*place as usize) {
                *row = None;
            }
        }
    }
    answer.unknown.dedup();
}

/// The row that parts make: of each feature what the view's policy makes of their values, and the newest part's event
/// timestamp. A part that has expired counts only when all have: what a region that is gone last said is not added for ever.
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
        // A policy takes only types that it gives back.
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
