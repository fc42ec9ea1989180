//! Recovery of one segment: which frames are valid, and whether the rest is an unfinished end or damage.

use crate::{
    error::OpenError,
    frame::{self, ALIGN, HEADER_LEN},
    segment::Segment,
};
use littoral_model::{
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_wire::records;

/// What the next record must match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) next: Lsn,
    pub(crate) chain: ChainHash,
    pub(crate) epoch: Epoch,
}

/// The result of a scan, except for what it adds to the segment.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) then: Expected,
    /// The segment's epochs, each with its last record in this segment, ascending.
    pub(crate) epochs: Vec<(Epoch, Lsn)>,
    /// The range of the last frame, if there is one.
    pub(crate) last_frame: Option<(u64, u64)>,
    /// The bytes from the segment's end up to here remain from an unfinished batch.
    pub(crate) torn_end: Option<u64>,
}

/// Checks a segment's frames. `until` is the first record of the next segment: frames from there on remain from a batch
/// that failed and was superseded. Without it this is the last segment, whose end may be torn.
pub(crate) fn scan(
    segment: &mut Segment,
    bytes: &[u8],
    expected: Expected,
    until: Option<Lsn>,
) -> Result<Found, OpenError> {
    let mut then = expected;
    let mut last_frame = None;
    let mut epochs: Vec<(Epoch, Lsn)> = Vec::new();
    loop {
        let at = segment.end as usize;
        if until == Some(then.next) {
            return Ok(Found { then, epochs, last_frame, torn_end: None });
        }
        let damaged = |reason: String| OpenError::damaged(segment.name.clone(), at as u64, reason);
        let rest = bytes.get(at..).unwrap_or_default();
        let whole = frame::Header::read(rest, segment.header.salt)
            .and_then(|header| header.payload(rest).map(|payload| (header, payload)));
        let Some((header, payload)) = whole else {
            let used = rest.iter().rposition(|byte| *byte != 0).map(|last| at + last + 1);
            if let Some(until) = until {
                return Err(damaged(format!(
                    "record {} is missing here, and the next file begins with record {until}",
                    then.next
                )));
            }
            if used.is_some()
                && let Some(successor) = successor(rest, segment.header.salt, then.next)
            {
                return Err(damaged(format!(
                    "record {} is damaged, but record {successor} after it is intact, so it was durable once",
                    then.next
                )));
            }
            return Ok(Found { then, epochs, last_frame, torn_end: used.map(|used| used as u64) });
        };
        check(&header, payload, &then).map_err(damaged)?;
        last_frame = Some((segment.end, segment.end + header.frame_len() as u64));
        segment.grew(&header);
        match epochs.last_mut().filter(|(epoch, _)| *epoch == header.epoch) {
            Some((_, last)) => *last = header.last(),
            None => epochs.push((header.epoch, header.last())),
        }
        then = Expected { next: header.last().next(), chain: header.chain_after, epoch: header.epoch };
    }
}

/// Finds a later frame in `rest` that can only have been written after the expected record was durable. Returns its
/// first record.
fn successor(rest: &[u8], salt: u64, expected: Lsn) -> Option<Lsn> {
    (ALIGN..rest.len().saturating_sub(HEADER_LEN))
        .step_by(ALIGN)
        .filter_map(|at| frame::Header::read(&rest[at..], salt))
        .map(|header| header.first)
        .find(|first| *first > expected)
}

/// Checks that a frame and each of its records follow what precedes them.
fn check(header: &frame::Header, payload: &[u8], expected: &Expected) -> Result<(), String> {
    if header.first != expected.next || header.chain_before != expected.chain {
        return Err(format!("a batch from record {} follows record {}", header.first, expected.next.0 - 1));
    }
    if header.epoch < expected.epoch || header.epoch < Epoch::FIRST {
        return Err(format!("epoch {} follows epoch {}", header.epoch, expected.epoch));
    }
    let (mut next, mut chain) = (expected.next, expected.chain);
    for record in records::iter(payload) {
        let record = record.map_err(|error| format!("record {next}: {error}"))?;
        if record.lsn != next || record.chain_after(chain) != record.chain || record.epoch != header.epoch {
            return Err(format!("record {next} does not follow the one before it"));
        }
        (next, chain) = (next.next(), record.chain);
    }
    if next != header.last().next() || chain != header.chain_after {
        return Err(format!(
            "the batch's header states that it ends with record {}, but it ends before record {next}",
            header.last()
        ));
    }
    Ok(())
}
