//! Encodes the batches of one partition as request bodies.

use bytes::Bytes;
use littoral_columnar::{Checked, Error};
use std::ops::Range;

/// One request body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Its rows within the partition's slice of the chunk.
    pub(crate) rows: Range<u32>,
    pub(crate) stream: Bytes,
}

/// Encodes some of a slice's rows as bodies of at most `bytes_max` bytes, in order. A single row may be larger: the
/// node decides whether to accept it.
pub(crate) fn bodies(slice: &Checked, rows: Range<u32>, bytes_max: usize) -> Result<Vec<Body>, Error> {
    let mut bodies = Vec::new();
    split(slice, rows, bytes_max, &mut bodies)?;
    Ok(bodies)
}

fn split(slice: &Checked, rows: Range<u32>, bytes_max: usize, bodies: &mut Vec<Body>) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let stream = if rows.len() == slice.rows() {
        littoral_columnar::stream(&slice.to_batch()?)?
    } else {
        littoral_columnar::stream(&slice.take(&rows.clone().collect::<Vec<_>>())?.to_batch()?)?
    };
    if stream.len() <= bytes_max || rows.len() <= 1 {
        bodies.push(Body { rows, stream: stream.into() });
        return Ok(());
    }
    drop(stream);
    let half = rows.start + rows.len() as u32 / 2;
    split(slice, rows.start..half, bytes_max, bodies)?;
    split(slice, half..rows.end, bytes_max, bodies)
}
