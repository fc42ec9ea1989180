//! Checks a block's records one by one and divides them into runs. Each run becomes a frame: it has one epoch and a
//! limited size.

use crate::{cut, scan::Expected};
use littoral_model::{
    hlc::Hlc,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_wire::records;
use std::ops::Range;

/// A run of consecutive records of one epoch within a block.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The byte range of its records in the block.
    pub(crate) range: Range<usize>,
    pub(crate) first: Lsn,
    pub(crate) records: u32,
    pub(crate) epoch: Epoch,
    /// The newest clock reading up to its end.
    pub(crate) hlc: Hlc,
    pub(crate) chain_before: ChainHash,
    pub(crate) chain_after: ChainHash,
}

/// A record that does not follow the one before it.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) at: Lsn,
    pub(crate) reason: String,
}

impl Run {
    pub(crate) fn last(&self) -> Lsn {
        Lsn(self.first.0 + u64::from(self.records) - 1)
    }
}

/// Divides a block that must follow `after` into runs of at most about `bytes_max` bytes, with at least one record
/// each.
pub(crate) fn runs(bytes: &[u8], after: Expected, mut hlc: Hlc, bytes_max: usize) -> Result<Vec<Run>, Broken> {
    let Expected { mut next, mut chain, mut epoch } = after;
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let broken = |reason: String| Broken { at: next, reason };
        let len = cut::record_len(&bytes[at..]).ok_or_else(|| broken("the block ends within it".to_owned()))?;
        let record = records::iter(&bytes[at..at + len]).next();
        let record = record.ok_or_else(|| broken("it is empty".to_owned()))?;
        let record = record.map_err(|error| broken(error.to_string()))?;
        if record.lsn != next {
            return Err(broken(format!("found record {} instead", record.lsn)));
        }
        if record.epoch < epoch || record.epoch < Epoch::FIRST {
            return Err(broken(format!("epoch {} follows epoch {epoch}", record.epoch)));
        }
        if record.chain_after(chain) != record.chain {
            return Err(broken("its chain hash does not match".to_owned()));
        }
        hlc = hlc.max(record.hlc);
        let end = at + len;
        match runs.last_mut().filter(|run| run.epoch == record.epoch && end - run.range.start <= bytes_max) {
            Some(run) => {
                run.range.end = end;
                run.records += 1;
                (run.hlc, run.chain_after) = (hlc, record.chain);
            }
            None => runs.push(Run {
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
    Ok(runs)
}
