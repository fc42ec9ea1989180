//! The invariants, which are checked after every event.

use crate::clock::Truth;
use littoral_model::position::Epoch;
use std::{collections::HashMap, time::Duration};

/// One run of one process: its index, and which run it is.
pub type Process = (usize, u64);

#[derive(Debug, Default)]
pub struct Invariants {
    newest_acknowledged: Epoch,
    leaderships: HashMap<Epoch, Leadership>,
}

#[derive(Debug)]
struct Leadership {
    process: Process,
    ended: bool,
    /// By its holder's clock.
    until: Duration,
}

impl Invariants {
    /// Checks that at most one process may acknowledge at any moment.
    pub fn at_most_one_may_acknowledge(&self, able: &[(usize, Epoch)]) -> Result<(), String> {
        match able {
            [] | [_] => Ok(()),
            [(a, ea), (b, eb), ..] => {
                Err(format!("processes {a} (epoch {ea}) and {b} (epoch {eb}) may both acknowledge"))
            }
        }
    }

    /// Checks that the epochs of acknowledgements never decrease.
    pub fn epochs_of_acknowledgements_never_go_back(&mut self, process: Process, epoch: Epoch) -> Result<(), String> {
        if epoch < self.newest_acknowledged {
            let newest = self.newest_acknowledged;
            return Err(format!("process {} acknowledges in epoch {epoch} after epoch {newest}", process.0));
        }
        self.newest_acknowledged = epoch;
        Ok(())
    }

    /// Checks that an epoch is one unbroken leadership of one run of one process. Returns whether it begins now.
    pub fn an_epoch_is_one_unbroken_leadership(
        &mut self,
        process: Process,
        epoch: Epoch,
        now: Duration,
        until: Duration,
    ) -> Result<bool, String> {
        let Some(leadership) = self.leaderships.get_mut(&epoch) else {
            self.leaderships.insert(epoch, Leadership { process, ended: false, until });
            return Ok(true);
        };
        if leadership.process != process {
            return Err(format!(
                "epoch {epoch} belonged to process {} and was begun by process {}",
                leadership.process.0, process.0
            ));
        }
        if leadership.ended || now >= leadership.until {
            return Err(format!("process {} continues in epoch {epoch}, which had ended", process.0));
        }
        leadership.until = until;
        Ok(false)
    }

    pub fn ended(&mut self, epoch: Epoch) {
        if let Some(leadership) = self.leaderships.get_mut(&epoch) {
            leadership.ended = true;
        }
    }

    /// Checks that, once all faults have ended, a process leads within a bounded time and keeps leading.
    pub fn a_process_leads(&self, able: &[(usize, Epoch)], now: Truth, healed: Truth) -> Result<(), String> {
        if able.is_empty() {
            return Err(format!("no process leads {} ms after all faults ended", (now - healed) / 1_000_000));
        }
        Ok(())
    }
}
