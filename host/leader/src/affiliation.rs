//! The cluster that this leader's log belongs to. [`littoral_leader_core::affiliation`] checks the hello of each other
//! region's leader; this module writes the result to the log.

use crate::{shared::Shared, write_path::Job};
use littoral_leader_core::{
    LogCommand, LogState,
    affiliation::{AffiliationCheck, Greeting, Ineligible},
};
use littoral_model::{
    cluster::Affiliation,
    lineage::Lineage,
    position::{Incarnation, Position},
    region::Region,
};
use littoral_protocol::frame::PublisherHello;
use littoral_replica::Table;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The first version of the feed whose publishers send their cluster.
const KNOWS_CLUSTERS: u16 = 4;

/// Checks the log's affiliation, and records it in the log.
#[derive(Debug)]
pub(crate) struct AffiliationState {
    check: Mutex<AffiliationCheck>,
    /// Whether the log is known to lack nothing. Once true it stays true, so that reads and writes need no lock.
    settled: AtomicBool,
}

impl AffiliationState {
    pub(crate) fn new(check: AffiliationCheck) -> Self {
        Self { check: Mutex::new(check), settled: AtomicBool::new(false) }
    }

    /// Returns the log's affiliation.
    pub(crate) fn now(&self, shared: &Shared) -> Option<Affiliation> {
        self.check.lock().now(recorded(shared))
    }

    /// Checks whether clients' writes may be accepted.
    ///
    /// # Errors
    /// What the log is waiting for.
    pub(crate) fn may_write(&self, shared: &Shared) -> Result<(), String> {
        if self.settled.load(Relaxed) {
            return Ok(());
        }
        self.check.lock().may_write(recorded(shared))?;
        // Settles if nothing is missing, so that a leader without reads does not lock for each write.
        let _ = self.has_all(shared);
        Ok(())
    }

    /// Checks whether a missing row certainly does not exist. That is unknown while the log waits for regions that may
    /// have records which it has lost.
    ///
    /// # Errors
    /// What the log is waiting for.
    pub(crate) fn has_all(&self, shared: &Shared) -> Result<(), String> {
        if self.settled.load(Relaxed) {
            return Ok(());
        }
        if !shared.leads() {
            // Other regions answer the leader only.
            return Ok(());
        }
        self.check.lock().has_all(recorded(shared))?;
        self.settled.store(true, Relaxed);
        Ok(())
    }

    /// Notes that this node begins to lead.
    pub(crate) fn leads(&self, shared: &Shared) {
        let published = shared.applied.load();
        self.check.lock().leads(is_blank(&published.known(), &shared.applied.table));
    }

    /// Checks the hello of another region's leader.
    ///
    /// # Errors
    /// Why its records are not replicated.
    pub(crate) async fn greeted(&self, shared: &Shared, hello: &PublisherHello) -> Result<(), Ineligible> {
        let greeting = Greeting {
            cluster: hello.cluster,
            knows_clusters: hello.version >= KNOWS_CLUSTERS,
            log: hello.log(),
            knew: hello.lineages.get(shared.identity.region).map(Lineage::log),
        };
        let published = shared.applied.load_full();
        // This node knows another region's log only if it has replicated something from it.
        let origin = published.origins.get(hello.region).filter(|origin| origin.position != Position::default());
        let known: Option<Incarnation> = origin.and_then(|_| published.lineages.get(hello.region)).map(Lineage::log);
        let checked = self.check.lock().greeted(hello.region, greeting, known, recorded(shared));
        self.record(shared).await;
        checked
    }

    /// Notes that this log has caught up with everything that a region had at its hello.
    pub(crate) async fn levelled(&self, shared: &Shared, region: Region) {
        self.check.lock().levelled(region);
        self.record(shared).await;
    }

    /// Writes the affiliation to the log if it has changed.
    async fn record(&self, shared: &Shared) {
        let next = self.check.lock().to_write(recorded(shared));
        let Some(affiliation) = next else { return };
        let recorded = shared.writes.run(Job::Append(LogCommand::Affiliate(affiliation)), 0).await;
        let Affiliation { cluster, succeeds, healed } = affiliation;
        let succeeds = succeeds.map(tracing::field::display);
        match recorded {
            Ok(_) => tracing::info!(%cluster, succeeds, healed, "recorded the cluster that this log belongs to"),
            // The next hello retries it.
            Err(error) => {
                tracing::warn!(%cluster, %error, "the cluster that this log belongs to cannot be recorded yet")
            }
        }
    }
}

/// Returns whether a log holds nothing that could be lost.
pub(crate) fn is_blank(state: &LogState, table: &Table) -> bool {
    state.catalogue.is_blank() && table.is_empty() && state.lineages.belongs().is_none()
}

/// Returns the affiliation that the log states.
fn recorded(shared: &Shared) -> Option<Affiliation> {
    shared.applied.load().lineages.belongs()
}
