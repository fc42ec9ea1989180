//! What every member does: it promises, gives up what the leader does not have, and takes what it has.

use super::{Inner, Part};
use crate::shared::Shared;
use littoral_model::{
    ports::RecordBlock,
    position::{Epoch, Lsn},
};
use littoral_protocol::members::{
    ask::{self, NotTold},
    follower::{Alarm, Refused, Start},
};
use littoral_wire::records;

/// Why a stream does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    Alarm(#[from] Alarm),
    #[error("{0}")]
    Disk(String),
}

impl Part {
    /// This member's log, for others.
    pub(crate) fn log_told(&self) -> ask::Log {
        let promised = self.inner.lock().follower.promised();
        ask::Log { incarnation: self.log.identity().incarnation, promised, history: self.log.history() }
    }

    /// The newest epoch that this member knows of.
    pub(crate) fn promised(&self) -> Epoch {
        self.inner.lock().follower.promised()
    }

    pub(crate) fn committed(&self) -> Lsn {
        self.inner.lock().committed()
    }

    /// Somebody is about to lead in this epoch. Blocks for the disk.
    pub(crate) fn prepare(&self, epoch: Epoch) -> Result<ask::Log, NotTold> {
        let mut inner = self.inner.lock();
        let over = |Refused { asked, promised }| NotTold::Over { asked, promised };
        let had = inner.follower.promised();
        inner.follower.prepare(epoch).map_err(over)?;
        if epoch > had {
            self.log.promise(epoch).map_err(|error| NotTold::Failed(format!("a promise cannot be kept: {error}")))?;
            self.depose_older(&mut inner, epoch);
        }
        let incarnation = self.log.identity().incarnation;
        Ok(ask::Log { incarnation, promised: epoch, history: self.log.history() })
    }

    /// A stream of `epoch` begins: what this member has behind `common` is given up. Blocks for the disk, and nobody may append
    /// meanwhile.
    ///
    /// # Errors
    /// An alarm, or why the disk did not do it; nothing is lost then.
    pub(crate) fn begin(&self, shared: &Shared, start: Start) -> Result<(), BeginError> {
        let _nobody_appends = shared.core.lock();
        let mut inner = self.inner.lock();
        inner.resync(&*self.log);
        self.depose_older(&mut inner, start.epoch);
        let begun = inner.follower.begin(start)?;
        let disk = |error: String| BeginError::Disk(error);
        let done = (|| {
            if let Some(epoch) = begun.promise {
                self.log.promise(epoch).map_err(|error| disk(error.to_string()))?;
            }
            if let Some((first, last)) = begun.detach {
                let detached = self.log.cut(start.common).map_err(|error| disk(error.to_string()))?;
                shared.receipts.lock().cut(start.common);
                tracing::warn!(
                    first = first.0,
                    last = last.0,
                    tail = detached.map(|detached| detached.name).unwrap_or_default(),
                    "records that a majority never had are given up and kept aside; see `littoral tails`"
                );
                metrics::counter!("littoral_members_records_detached_total").increment(last.0 - first.0 + 1);
            }
            Ok(())
        })();
        if done.is_err() {
            inner.resync(&*self.log);
        }
        self.know(&mut inner, start.committed);
        done
    }

    /// Appends records of the stream that was begun. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Part::begin`].
    pub(crate) fn take(&self, shared: &Shared, block: &RecordBlock) -> Result<(), BeginError> {
        let _nobody_appends = shared.core.lock();
        let mut inner = self.inner.lock();
        let taken = (|| {
            for record in records::iter(&block.bytes) {
                let record =
                    record.map_err(|error| BeginError::Disk(format!("its records cannot be read: {error}")))?;
                inner.follower.take(record.epoch, record.lsn)?;
            }
            self.log.append_block(block).map_err(|error| BeginError::Disk(error.to_string()))
        })();
        if taken.is_err() {
            inner.resync(&*self.log);
        }
        taken
    }

    /// The leader that is followed says what is committed.
    pub(crate) fn know_committed(&self, committed: Lsn) {
        self.know(&mut self.inner.lock(), committed);
    }

    fn know(&self, inner: &mut Inner, committed: Lsn) {
        inner.follower.know_committed(committed);
        self.advance(inner);
    }

    /// The stream is over.
    pub(crate) fn part(&self) {
        self.inner.lock().follower.part();
    }
}
