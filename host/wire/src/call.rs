//! Calls and their replies as frames.

use crate::{
    Outgoing, REPLY_LEN_MAX, REQUEST_LEN_MAX,
    encode::decode,
    error::{Error, malformed},
};
use bytes::Bytes;
use littoral_model::entity_key::KEY_LEN_MAX;
use littoral_protocol::call::{Answer, Call, Reply, Request};

const REQUEST: &str = "call";
const REPLY: &str = "reply to a call";

/// The approximate overhead of a row in a write, in bytes, without key and values.
const ROW_OVERHEAD: usize = 20;

/// Appends a call.
///
/// # Errors
/// [`Error::TooLong`] if it exceeds [`REQUEST_LEN_MAX`]; nothing is appended.
pub fn push_request(out: &mut Outgoing, request: &Request) -> Result<(), Error> {
    if let Call::Write(write) = &request.call {
        // Reserve once, because a buffer that grows repeatedly copies its contents each time.
        out.reserve(write.rows.payload_len() + ROW_OVERHEAD * write.rows.len());
    }
    out.push(REQUEST, request, REQUEST_LEN_MAX)
}

/// Decodes a call and validates it: the ranges of key and row batches must lie within their bytes.
pub fn request(payload: &[u8]) -> Result<Request, Error> {
    let request: Request = decode(payload, REQUEST)?;
    let sound = match &request.call {
        Call::Read { reads, .. } | Call::Quorum { reads, .. } | Call::Held { reads } => {
            reads.iter().all(|read| read.keys.is_well_formed())
        }
        Call::Write(write) => write.rows.is_well_formed(),
        Call::Bucket { after, .. } => after.as_ref().is_none_or(|after| after.len() <= KEY_LEN_MAX),
        _ => true,
    };
    if sound { Ok(request) } else { Err(malformed(REQUEST, "its keys or rows lie outside its bytes")) }
}

/// Appends a reply.
///
/// # Errors
/// [`Error::TooLong`] if it exceeds [`REPLY_LEN_MAX`]; nothing is appended.
pub fn push_reply(out: &mut Outgoing, reply: &Reply) -> Result<(), Error> {
    match &reply.answer {
        Answer::Read(Ok(read)) => {
            let head = (reply.id, READ, RESULT_OK, &read.as_of, &read.watermark, &read.counts);
            out.push_with_tail(REPLY, &head, Some(&read.bytes), REPLY_LEN_MAX)
        }
        _ => out.push(REPLY, reply, REPLY_LEN_MAX),
    }
}

/// Decodes a reply.
pub fn reply(payload: &Bytes) -> Result<Reply, Error> {
    decode(payload, REPLY)
}

/// The variant numbers of [`Answer::Read`] and of `Ok`; a test compares them with serde's.
const READ: u32 = 0;
const RESULT_OK: u32 = 0;

/// Returns the number of the call that a reply belongs to, without decoding the reply.
pub fn reply_id(payload: &[u8]) -> Result<u64, Error> {
    postcard::take_from_bytes(payload).map(|(id, _)| id).map_err(|error| malformed(REPLY, error))
}
