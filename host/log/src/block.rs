//! Records that come as a block, checked one by one and divided into what makes a frame: one epoch, and not too large.

use crate::{cut, scan::Expected};
use littoral_model::{
    hlc::Hlc,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_wire::records;
use std::ops::Range;

/// A run of a block's records.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Where its records stand in the block.
    pub(crate) range: Range<usize>,
    pub(crate) first: Lsn,
    pub(crate) records: u32,
    pub(crate) epoch: Epoch,
    /// The newest clock reading up to its end.
    pub(crate) hlc: Hlc,
    pub(crate) chain_before: ChainHash,
    pub(crate) chain_after: ChainHash,
}

/// A record that does not follow.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) at: Lsn,
    pub(crate) reason: String,
}

impl Part {
    pub(crate) fn last(&self) -> Lsn {
        Lsn(self.first.0 + u64::from(self.records) - 1)
    }
}

/// Divides a block that must follow `after` into parts of at most about `bytes_max` bytes, at least one record each.
pub(crate) fn parts(bytes: &[u8], after: Expected, mut hlc: Hlc, bytes_max: usize) -> Result<Vec<Part>, Broken> {
    let Expected { mut next, mut chain, mut epoch } = after;
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let broken = |reason: String| Broken { at: next, reason };
        let len = cut::record_len(&bytes[at..]).ok_or_else(|| broken("the block ends within it".to_owned()))?;
        let record = records::iter(&bytes[at..at + len]).next();
        let record = record.ok_or_else(|| broken("it is empty".to_owned()))?;
        let record = record.map_err(|error| broken(error.to_string()))?;
        if record.lsn != next {
            return Err(broken(format!("record {} stands in its place", record.lsn)));
        }
        if record.epoch < epoch || record.epoch < Epoch::FIRST {
            return Err(broken(format!("epoch {} follows epoch {epoch}", record.epoch)));
        }
        if record.chain_after(chain) != record.chain {
            return Err(broken("its hash is not the one that it must have here".to_owned()));
        }
        hlc = hlc.max(record.hlc);
        let end = at + len;
        match parts.last_mut().filter(|part| part.epoch == record.epoch && end - part.range.start <= bytes_max) {
            Some(part) => {
                part.range.end = end;
                part.records += 1;
                (part.hlc, part.chain_after) = (hlc, record.chain);
            }
            None => parts.push(Part {
                range: at..end,
                first: next,
                records: 1,
                epoch: record.epoch,
                hlc,
                chain_before: chain,
                chain_after: record.chain,
            }),
        }
        (next, chain, epoch, at) = (next.next(), record.chain, record.epoch, end);
    }
    Ok(parts)
}
