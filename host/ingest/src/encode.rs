//! Encodes the batches of one partition as request bodies.

use bytes::Bytes;
use littoral_columnar::{Checked, Error};
use std::ops::Range;

/// One request body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Its rows within the partition's part of the chunk.
    pub(crate) rows: Range<u32>,
    pub(crate) stream: Bytes,
}

/// Encodes some of a part's rows as bodies of at most `bytes_max` bytes, in order. A single row may be larger: the node
/// decides whether to accept it.
pub(crate) fn bodies(part: &Checked, rows: Range<u32>, bytes_max: usize) -> Result<Vec<Body>, Error> {
    let mut bodies = Vec::new();
    split(part, rows, bytes_max, &mut bodies)?;
    Ok(bodies)
}

fn split(part: &Checked, rows: Range<u32>, bytes_max: usize, bodies: &mut Vec<Body>) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let stream = if rows.len() == part.rows() {
        littoral_columnar::stream(&part.to_batch()?)?
    } else {
        littoral_columnar::stream(&part.take(&rows.clone().collect::<Vec<_>>())?.to_batch()?)?
    };
    if stream.len() <= bytes_max || rows.len() <= 1 {
        bodies.push(Body { rows, stream: stream.into() });
        return Ok(());
    }
    drop(stream);
    let half = rows.start + rows.len() as u32 / 2;
    split(part, rows.start..half, bytes_max, bodies)?;
    split(part, half..rows.end, bytes_max, bodies)
}
