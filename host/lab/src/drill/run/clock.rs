//! A leader whose clock is wrong: first by a tolerated amount, then by more.

use super::{LEVEL_MAX, NOTICE_MAX, Running};
use crate::drill::report::{Check, Event, Kind};
use crate::{
    drill::{clients::Load, ends},
    failure::Failure,
};
use littoral_model::region::Region as Name;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Leaders tolerate two seconds by default.
const TOLERATED_MS: i64 = 1_000;
const TOO_MUCH_MS: i64 = 6_000;
/// How long the clock is wrong by the tolerated amount.
const TOLERATED_FOR: Duration = Duration::from_millis(1_500);
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// What the reason of a rejection because of clocks contains.
const REJECTION: &str = "a clock reading";

impl<T: FnMut(&Event)> Running<T> {
    /// Returns the error of the clock, ahead or behind as the seed decides.
    fn wrong_by(&self, ms: i64) -> (i64, &'static str) {
        if self.seed % 2 == 1 { (ms, "ahead") } else { (-ms, "behind") }
    }

    /// Makes the clock wrong by a tolerated amount, and checks that no region rejects records.
    pub(super) async fn tolerate(&mut self, victim: Name, names: &[Name]) -> Result<(), Failure> {
        let (ms, way) = self.wrong_by(TOLERATED_MS);
        self.regions.set_clock(victim, ms)?;
        self.note(Kind::Note, format!("the clock of '{victim}' is {TOLERATED_MS} ms {way}, which the others tolerate"));
        let begun = Instant::now();
        let mut refusals = 0;
        while begun.elapsed() < TOLERATED_FOR && refusals == 0 {
            refusals = u64::from(self.rejection(names).await?.is_some());
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        let level = ends::level(&self.regions, names, LEVEL_MAX).await;
        self.checks.push(Check { name: "rejections within the clocks' bound", missed: refusals });
        self.checks.push(Check { name: "standstills within the clocks' bound", missed: u64::from(!level) });
        Ok(())
    }

    /// Makes the clock wrong by more. Clients in another region write too, so that both have records for the other.
    pub(super) fn set_wrong(&mut self, victim: Name, load: &Arc<Load>) -> Result<Option<CancellationToken>, Failure> {
        let (ms, way) = self.wrong_by(TOO_MUCH_MS);
        self.regions.set_clock(victim, ms)?;
        self.note(Kind::Fault, format!("the clock of '{victim}' is {TOO_MUCH_MS} ms {way}"));
        let other = self.names().into_iter().find(|name| *name != victim);
        Ok(other.map(|other| load.write_within(self.regions.leader_url(other))))
    }

    /// Waits until a leader reports that it rejects another's records because of their clocks.
    pub(super) async fn see_rejection(&mut self, names: &[Name]) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut refusal = None;
        while refusal.is_none() && begun.elapsed() < NOTICE_MAX.min(self.scenario.broken) {
            tokio::time::sleep(CHECK_INTERVAL).await;
            refusal = self.rejection(names).await?;
        }
        if let Some(reason) = &refusal {
            self.note(Kind::Detection, reason.clone());
        }
        let missed = u64::from(refusal.is_none());
        self.checks.push(Check { name: "clocks too far apart that no leader reports", missed });
        Ok(())
    }

    /// Returns which leader rejects whose records, with the reason in its status.
    async fn rejection(&self, names: &[Name]) -> Result<Option<String>, Failure> {
        for name in names {
            let status = ends::status(&self.regions, *name).await?;
            let refused = status.regions.iter().find(|other| other.trouble.contains(REJECTION));
            if let Some(other) = refused {
                return Ok(Some(format!("'{name}' rejects records of '{}': {}", other.region, other.trouble)));
            }
        }
        Ok(None)
    }

    /// Counts the acknowledged writes that are not in every region while records are rejected.
    pub(super) async fn not_everywhere(&mut self, names: &[Name], load: &Load) -> Result<u64, Failure> {
        let acknowledged = load.acknowledged();
        let mut everywhere: Option<BTreeSet<u64>> = None;
        for name in names {
            let held = ends::numbers(&self.regions, *name).await?;
            everywhere = Some(everywhere.map_or_else(|| held.clone(), |others| &others & &held));
        }
        let everywhere = everywhere.unwrap_or_default();
        let late = acknowledged.iter().filter(|number| !everywhere.contains(number)).count() as u64;
        self.note(Kind::Note, format!("{late} acknowledged writes are not in every region yet"));
        Ok(late)
    }

    /// Corrects the clock. Records dated ahead are accepted once the others' clocks have reached them.
    pub(super) fn set_right(&mut self, victim: Name) -> Result<(), Failure> {
        self.regions.set_clock(victim, 0)?;
        self.note(Kind::Repair, format!("the clock of '{victim}' is corrected; nothing else is done"));
        Ok(())
    }
}
