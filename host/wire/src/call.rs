//! Calls and their answers as frames.

use crate::{
    Outgoing, REPLY_LEN_MAX, REQUEST_LEN_MAX,
    encode::decode,
    error::{Error, malformed},
};
use bytes::Bytes;
use littoral_model::entity_key::KEY_LEN_MAX;
use littoral_protocol::call::{Answer, Call, Reply, Request};

const REQUEST: &str = "call";
const REPLY: &str = "answer to a call";

/// What a row of a write takes besides its key and values, in bytes, about.
const ROW_OVERHEAD: usize = 20;

/// Appends a call.
///
/// # Errors
/// [`Error::TooLong`] when it is beyond [`REQUEST_LEN_MAX`]; nothing was appended.
pub fn push_request(out: &mut Outgoing, request: &Request) -> Result<(), Error> {
    if let Call::Write(write) = &request.call {
        // A buffer that grows bit by bit is copied as often as it doubles.
        out.reserve(write.rows.payload_len() + ROW_OVERHEAD * write.rows.len());
    }
    out.push(REQUEST, request, REQUEST_LEN_MAX)
}

/// Reads a call. Batches of keys and rows are checked: their ranges lie within their bytes.
///
/// # Errors
/// [`Error::Malformed`].
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

/// Appends an answer.
///
/// # Errors
/// [`Error::TooLong`] when it is beyond [`REPLY_LEN_MAX`]; nothing was appended.
pub fn push_reply(out: &mut Outgoing, reply: &Reply) -> Result<(), Error> {
    match &reply.answer {
        Answer::Read(Ok(read)) => {
            let head = (reply.id, READ, RESULT_OK, &read.as_of, &read.watermark, &read.counts);
            out.push_with_tail(REPLY, &head, Some(&read.bytes), REPLY_LEN_MAX)
        }
        _ => out.push(REPLY, reply, REPLY_LEN_MAX),
    }
}

/// Reads an answer.
///
/// # Errors
/// [`Error::Malformed`].
pub fn reply(payload: &Bytes) -> Result<Reply, Error> {
    decode(payload, REPLY)
}

/// The numbers of [`Answer::Read`] and of `Ok`; a test holds them against serde's.
const READ: u32 = 0;
const RESULT_OK: u32 = 0;

/// The number of the call that an answer is for, without reading the answer.
///
/// # Errors
/// [`Error::Malformed`].
pub fn reply_id(payload: &[u8]) -> Result<u64, Error> {
    postcard::take_from_bytes(payload).map(|(id, _)| id).map_err(|error| malformed(REPLY, error))
}
