//! What must hold, as sentences. Each is asked after every event.

use crate::clock::Truth;
use littoral_model::position::Epoch;
use std::{collections::HashMap, time::Duration};

/// One life of one process.
pub type Life = (usize, u64);

#[derive(Debug, Default)]
pub struct Judge {
    newest_acknowledged: Epoch,
    leaderships: HashMap<Epoch, Leadership>,
}

#[derive(Debug)]
struct Leadership {
    life: Life,
    ended: bool,
    /// By its holder's clock.
    until: Duration,
}

impl Judge {
    /// At most one process may acknowledge at any moment.
    pub fn at_most_one_may_acknowledge(&self, able: &[(usize, Epoch)]) -> Result<(), String> {
        match able {
            [] | [_] => Ok(()),
            [(a, ea), (b, eb), ..] => {
                Err(format!("processes {a} (epoch {ea}) and {b} (epoch {eb}) may both acknowledge"))
            }
        }
    }

    /// Epochs of acknowledgements never go back.
    pub fn epochs_of_acknowledgements_never_go_back(&mut self, life: Life, epoch: Epoch) -> Result<(), String> {
        if epoch < self.newest_acknowledged {
            let newest = self.newest_acknowledged;
            return Err(format!("process {} acknowledges in epoch {epoch} after epoch {newest}", life.0));
        }
        self.newest_acknowledged = epoch;
        Ok(())
    }

    /// An epoch is one unbroken leadership of one life of one process. True when it begins.
    pub fn an_epoch_is_one_unbroken_leadership(
        &mut self,
        life: Life,
        epoch: Epoch,
        now: Duration,
        until: Duration,
    ) -> Result<bool, String> {
        let Some(leadership) = self.leaderships.get_mut(&epoch) else {
            self.leaderships.insert(epoch, Leadership { life, ended: false, until });
            return Ok(true);
        };
        if leadership.life != life {
            return Err(format!(
                "epoch {epoch} was process {}'s and is taken by process {}",
                leadership.life.0, life.0
            ));
        }
        if leadership.ended || now >= leadership.until {
            return Err(format!("process {} goes on in epoch {epoch}, which had ended", life.0));
        }
        leadership.until = until;
        Ok(false)
    }

    pub fn ended(&mut self, epoch: Epoch) {
        if let Some(leadership) = self.leaderships.get_mut(&epoch) {
            leadership.ended = true;
        }
    }

    /// Once all is well again, somebody leads within a bounded time, and goes on to.
    pub fn somebody_leads(&self, able: &[(usize, Epoch)], now: Truth, healed: Truth) -> Result<(), String> {
        if able.is_empty() {
            return Err(format!("nobody leads {} ms after all was well again", (now - healed) / 1_000_000));
        }
        Ok(())
    }
}
