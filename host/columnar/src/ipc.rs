//! Decodes Arrow IPC streams from clients.

use crate::{Columns, Error, Limits, Plan};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use littoral_model::{event_time::EventTime, view::FeatureView, write::RowBatch};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Decodes an Arrow IPC stream of rows of one view. Columns are matched by the names of join keys,
/// features and `event_timestamp`. Rows without that column get `default_time`.
///
/// # Errors
/// [`Error`], which names column and row.
pub fn decode_ipc(
    bytes: Bytes,
    view: &FeatureView,
    default_time: EventTime,
    limits: Limits,
) -> Result<RowBatch, Error> {
    // Arrow validates what it reads, but its reader has panicked on malicious bytes. One request
    // must not affect others.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(bytes, view, default_time, limits)));
    decoded.unwrap_or_else(|_| Err(Error::Malformed("its contents are inconsistent".to_owned())))
}

fn decode(bytes: Bytes, view: &FeatureView, default_time: EventTime, limits: Limits) -> Result<RowBatch, Error> {
    let malformed = |error: arrow_schema::ArrowError| Error::Malformed(error.to_string().chars().take(300).collect());
    // Both of Arrow's readers allocate memory for lengths that the bytes merely state, up to 64
    // MiB.
    check_lengths(&bytes)?;
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(bytes);
    let mut rows = RowBatch::with_capacity(0, 0);
    rows.stamp(default_time);
    let mut plan = None;
    while !buffer.is_empty() {
        let Some(batch) = decoder.decode(&mut buffer).map_err(malformed)? else { break };
        let plan = match &plan {
            Some(plan) => plan,
            None => plan.insert(Plan::new(&batch.schema(), view, &Columns::default())?),
        };
        let base = rows.len();
        let checked = plan.check(&batch, default_time, limits).map_err(|error| error.offset_rows(base))?;
        checked.append_to(&mut rows, limits).map_err(|error| error.offset_rows(base))?;
    }
    decoder.finish().map_err(malformed)?;
    if plan.is_none() && decoder.schema().is_none() {
        return Err(Error::Malformed("it has no schema".to_owned()));
    }
    Ok(rows)
}

/// Checks that every message of a stream is complete, with the whole body that it announces.
fn check_lengths(stream: &[u8]) -> Result<(), Error> {
    const CONTINUATION: [u8; 4] = [0xff; 4];
    let short = |what: &str, at: usize, needed: u64, have: usize| {
        Error::Malformed(format!("the message at byte {at} announces {what} of {needed} bytes, but only {have} follow"))
    };
    let mut rest = stream;
    loop {
        let at = stream.len() - rest.len();
        let message = rest.strip_prefix(&CONTINUATION[..]).unwrap_or(rest);
        let Some((len, message)) = message.split_first_chunk::<4>() else { return Ok(()) };
        let len = u32::from_le_bytes(*len) as usize;
        if len == 0 {
            return Ok(());
        }
        let (head, body) =
            message.split_at_checked(len).ok_or_else(|| short("a header", at, len as u64, message.len()))?;
        let head = arrow_ipc::root_as_message(head).map_err(|error| {
            Error::Malformed(format!("the message at byte {at}: {error}").chars().take(300).collect())
        })?;
        let announced = u64::try_from(head.bodyLength())
            .map_err(|_| Error::Malformed(format!("the message at byte {at} has a body of a negative length")))?;
        let (body, after) = usize::try_from(announced)
            .ok()
            .and_then(|announced| body.split_at_checked(announced))
            .ok_or_else(|| short("a body", at, announced, body.len()))?;
        check_buffers(&head, body.len())
            .map_err(|reason| Error::Malformed(format!("the message at byte {at} {reason}")))?;
        rest = after;
    }
}

/// Checks that a message's buffers lie within its body, which Arrow's reader does not check.
fn check_buffers(message: &arrow_ipc::Message<'_>, body_len: usize) -> Result<(), String> {
    let batch = message
        .header_as_record_batch()
        .or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    for (index, buffer) in batch.and_then(|batch| batch.buffers()).into_iter().flatten().enumerate() {
        let (offset, len) = (buffer.offset(), buffer.length());
        let end =
            u64::try_from(offset).ok().zip(u64::try_from(len).ok()).and_then(|(offset, len)| offset.checked_add(len));
        if end.is_none_or(|end| end > body_len as u64) {
            return Err(format!(
                "has a body of {body_len} bytes, but its buffer {index} has {len} bytes from offset {offset} on"
            ));
        }
    }
    Ok(())
}
