//! [`Replication`] by a majority of the members.

use crate::membership::Membership;
use littoral_leader::{Replication, Role, RowFreshness};
use littoral_lease::StoreState;
use littoral_model::{
    position::{Epoch, Lsn},
    write::WriteError,
};
use std::time::Duration;
use tokio::sync::watch;

/// A member counts as heard in the status if its last request was received at most this long ago.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

impl Replication for Membership {
    fn may_append(&self, epoch: Epoch) -> bool {
        self.leads() == Some(epoch) && self.lease.epoch() == Ok(epoch)
    }

    fn appended(&self, epoch: Epoch, last: Lsn) -> Lsn {
        self.note_appended(epoch, last)
    }

    fn may_acknowledge(&self, epoch: Epoch) -> Result<(), WriteError> {
        let unknown = |reason: String| Err(WriteError::LeaderUnavailable(reason));
        if self.leads() != Some(epoch) {
            return unknown("this member no longer leads".to_owned());
        }
        self.lease.confirm(epoch).or_else(|fenced| unknown(fenced.to_string()))
    }

    fn applied(&self, lsn: Lsn) {
        self.note_applied(lsn);
    }

    fn freshness(&self, applied: Lsn) -> RowFreshness {
        if self.leads_confirmed() {
            RowFreshness { leads: true, staleness: Some(self.behind_own_log(applied)) }
        } else {
            RowFreshness { leads: false, staleness: self.staleness() }
        }
    }

    fn role(&self) -> watch::Receiver<Role> {
        self.watch_role()
    }

    fn record_metrics(&self) {
        // Empty unless this member leads.
        let followers = self.followers(HEARD_WITHIN);
        for member in self.members.iter().filter(|member| member.name != self.me) {
            let is_heard = followers.iter().any(|follower| follower.name == member.name && follower.is_heard);
            metrics::gauge!("littoral_members_reachable", "member" => member.name.clone()).set(f64::from(is_heard));
        }
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        let is_lost = matches!(*self.lease.store().borrow(), StoreState::Lost(_));
        let mut gauges = vec![
            ("log_tail_lsn".to_owned(), self.log.bounds().tail.0 as f64),
            ("promised_epoch".to_owned(), self.promised().0 as f64),
            ("lease_store_lost".to_owned(), f64::from(is_lost)),
        ];
        for follower in self.followers(HEARD_WITHIN) {
            gauges.push((format!("member_heard/{}", follower.name), f64::from(follower.is_heard)));
        }
        gauges
    }
}
