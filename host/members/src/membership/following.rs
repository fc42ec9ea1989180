//! The follower's side of a membership: promises epochs, detaches records that the leader does not have, and appends
//! the leader's.

use super::{Membership, State};
use littoral_leader::LocalLog;
use littoral_model::{
    ports::RecordBlock,
    position::{Epoch, Lsn},
};
use littoral_protocol::members::{
    acceptor::{Alarm, Begun, StaleEpoch, Start},
    rpc::{self, Rejection},
};
use littoral_wire::records;

/// Why the leader's stream does not begin or continue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    Alarm(#[from] Alarm),
    #[error("{0}")]
    Disk(String),
}

fn disk(error: impl std::fmt::Display) -> BeginError {
    BeginError::Disk(error.to_string())
}

impl Membership {
    /// Describes this member's log to another member. Waits for an append in progress, and so blocks on the disk.
    /// Otherwise the leader would treat records as missing that this log is about to contain, and [`Membership::begin`]
    /// would cut them.
    pub(crate) fn describe_log(&self) -> rpc::Log {
        let _writing = self.writing.lock();
        let promised = self.state.lock().acceptor.promised();
        rpc::Log { incarnation: self.log.identity().incarnation, promised, history: self.log.history() }
    }

    /// Returns the newest epoch that this member has promised.
    pub(crate) fn promised(&self) -> Epoch {
        self.state.lock().acceptor.promised()
    }

    /// Returns the last record that is known to be committed.
    pub(crate) fn committed(&self) -> Lsn {
        self.state.lock().committed()
    }

    /// Promises an epoch to a member that is about to lead in it. Blocks on the disk.
    pub(crate) fn prepare(&self, epoch: Epoch) -> Result<rpc::Log, Rejection> {
        let _writing = self.writing.lock();
        let stale = |StaleEpoch { asked, promised }| Rejection::StaleEpoch { asked, promised };
        let had = {
            let state = self.state.lock();
            state.acceptor.clone().prepare(epoch).map_err(stale)?;
            state.acceptor.promised()
        };
        if epoch > had {
            self.log
                .promise(epoch)
                .map_err(|error| Rejection::Failed(format!("the promise cannot be made durable: {error}")))?;
        }
        let mut state = self.state.lock();
        state.acceptor.prepare(epoch).map_err(stale)?;
        if epoch > had {
            self.depose_older(&mut state, epoch);
        }
        let incarnation = self.log.identity().incarnation;
        Ok(rpc::Log { incarnation, promised: epoch, history: self.log.history() })
    }

    /// Begins a leader's stream: cuts this log's records after the common record, and keeps them as a detached tail.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`BeginError`]: an alarm, or the disk's error. No record is lost then.
    pub(crate) fn begin(&self, local: &LocalLog, start: Start) -> Result<(), BeginError> {
        let mut appends = local.append_lock();
        let _writing = self.writing.lock();
        let Begun { promise, detach } = {
            let mut state = self.state.lock();
            state.resync(&*self.log);
            self.depose_older(&mut state, start.epoch);
            state.acceptor.begin(start)?
        };
        let done = (|| {
            if let Some(epoch) = promise {
                self.log.promise(epoch).map_err(disk)?;
            }
            if let Some((first, last)) = detach {
                let detached = self.log.cut(start.common).map_err(disk)?;
                appends.forget_writes(start.common);
                tracing::warn!(
                    first = first.0,
                    last = last.0,
                    tail = detached.map(|detached| detached.name).unwrap_or_default(),
                    "records that no majority has were cut from this log and kept as a detached tail; see `littoral tails`"
                );
                metrics::counter!("littoral_members_records_detached_total").increment(last.0 - first.0 + 1);
            }
            Ok(())
        })();
        let mut state = self.state.lock();
        if done.is_err() {
            state.resync(&*self.log);
        }
        self.know(&mut state, start.committed);
        done
    }

    /// Appends records of the stream that was begun. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Membership::begin`].
    pub(crate) fn append(&self, local: &LocalLog, block: &RecordBlock) -> Result<(), BeginError> {
        let _appends = local.append_lock();
        let _writing = self.writing.lock();
        let appended = self.accept(block).and_then(|()| self.log.append_block(block).map_err(disk));
        if appended.is_err() {
            self.state.lock().resync(&*self.log);
        }
        appended
    }

    /// Checks with the acceptor that each record continues the stream.
    fn accept(&self, block: &RecordBlock) -> Result<(), BeginError> {
        let mut state = self.state.lock();
        for record in records::iter(&block.bytes) {
            let record = record.map_err(|error| disk(format!("the leader's records cannot be read: {error}")))?;
            state.acceptor.take(record.epoch, record.lsn)?;
        }
        Ok(())
    }

    /// Notes up to which record the leader reports the log as committed.
    pub(crate) fn know_committed(&self, committed: Lsn) {
        self.know(&mut self.state.lock(), committed);
    }

    fn know(&self, state: &mut State, committed: Lsn) {
        state.acceptor.know_committed(committed);
        self.advance(state);
    }

    /// Notes that the leader's stream has ended.
    pub(crate) fn end_stream(&self) {
        self.state.lock().acceptor.end_stream();
    }
}

#[cfg(test)]
mod tests;
