//! Batches of one partition as request bodies.

use bytes::Bytes;
use littoral_columnar::{Checked, Error};

/// One request body.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Where the body's rows begin within the partition's part of the chunk.
    pub(crate) at: u32,
    pub(crate) rows: u64,
    pub(crate) stream: Bytes,
}

/// The rows as bodies of at most `bytes_max` bytes, in order. A single row is sent however large it is: the node judges.
pub(crate) fn bodies(rows: &Checked, bytes_max: usize) -> Result<Vec<Body>, Error> {
    let mut bodies = Vec::new();
    split(rows, 0, bytes_max, &mut bodies)?;
    Ok(bodies)
}

fn split(rows: &Checked, at: u32, bytes_max: usize, bodies: &mut Vec<Body>) -> Result<(), Error> {
    let stream = littoral_columnar::stream(&rows.to_batch()?)?;
    if stream.len() <= bytes_max || rows.rows() <= 1 {
        bodies.push(Body { at, rows: rows.rows() as u64, stream: stream.into() });
        return Ok(());
    }
    drop(stream);
    let (all, half) = (rows.rows() as u32, rows.rows() as u32 / 2);
    split(&rows.take(&(0..half).collect::<Vec<_>>())?, at, bytes_max, bodies)?;
    split(&rows.take(&(half..all).collect::<Vec<_>>())?, at + half, bytes_max, bodies)
}
