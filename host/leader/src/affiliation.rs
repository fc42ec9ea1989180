//! The cluster that this leader's log belongs to. [`littoral_leader_core::affiliation`] checks the greetings of other regions; this module
//! writes the result to the log.

use crate::shared::{Job, Shared, Submission};
use littoral_leader_core::{
    LogCommand, LogState,
    affiliation::{AffiliationCheck, Greeting, Ineligible},
};
use littoral_model::{
    cluster::Affiliation,
    lineage::Lineage,
    position::{Incarnation, Position},
    region::Region,
    write::WriteError,
};
use littoral_protocol::frame::PublisherHello;
use littoral_replica::Table;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::oneshot;

/// The first version of the feed whose publishers send their cluster.
const KNOWS_CLUSTERS: u16 = 4;

/// See [`AffiliationCheck`].
#[derive(Debug)]
pub(crate) struct AffiliationState {
    check: Mutex<AffiliationCheck>,
    /// Whether everything is here. That stays so, and every read and write checks it.
    settled: AtomicBool,
}

impl AffiliationState {
    pub(crate) fn new(check: AffiliationCheck) -> Self {
        Self { check: Mutex::new(check), settled: AtomicBool::new(false) }
    }

    /// Returns the cluster that the log belongs to.
    pub(crate) fn now(&self, shared: &Shared) -> Option<Affiliation> {
        self.check.lock().now(written(shared))
    }

    /// Checks whether clients' writes may be accepted.
    ///
    /// # Errors
    /// What they wait for.
    pub(crate) fn may_write(&self, shared: &Shared) -> Result<(), String> {
        if self.settled.load(Relaxed) {
            return Ok(());
        }
        self.check.lock().may_write(written(shared))?;
        // Settles where nothing is missing, so that a leader without reads does not lock for each write.
        let _ = self.has_all(shared);
        Ok(())
    }

    /// Checks whether a row that is not here does not exist. That is not so while the log waits for regions that may have records which
    /// it has lost.
    ///
    /// # Errors
    /// What the log waits for.
    pub(crate) fn has_all(&self, shared: &Shared) -> Result<(), String> {
        if self.settled.load(Relaxed) {
            return Ok(());
        }
        if !shared.leads() {
            // Other regions answer the leader only.
            return Ok(());
        }
        self.check.lock().has_all(written(shared))?;
        self.settled.store(true, Relaxed);
        Ok(())
    }

    /// Notes that this node begins to lead.
    pub(crate) fn leads(&self, shared: &Shared) {
        let published = shared.published.load();
        self.check.lock().leads(is_blank(&published.known(), &shared.table));
    }

    /// Judges the greeting of another region's leader.
    ///
    /// # Errors
    /// Why its records are not replicated.
    pub(crate) async fn greeted(&self, shared: &Shared, hello: &PublisherHello) -> Result<(), Ineligible> {
        let greeting = Greeting {
            cluster: hello.cluster,
            knows_clusters: hello.version >= KNOWS_CLUSTERS,
            log: hello.log(),
            knew: hello.lives.get(shared.identity.region).map(Lineage::log),
        };
        let published = shared.published.load_full();
        // Another log of the region is known only where something of it was replicated.
        let origin = published.origins.get(hello.region).filter(|origin| origin.position != Position::default());
        let known: Option<Incarnation> = origin.and_then(|_| published.lives.get(hello.region)).map(Lineage::log);
        let judged = self.check.lock().greeted(hello.region, greeting, known, written(shared));
        self.write_down(shared).await;
        judged
    }

    /// Notes that everything is here that a region had when it sent its greeting.
    pub(crate) async fn levelled(&self, shared: &Shared, region: Region) {
        self.check.lock().levelled(region);
        self.write_down(shared).await;
    }

    async fn write_down(&self, shared: &Shared) {
        let next = self.check.lock().to_write(written(shared));
        let Some(belongs) = next else { return };
        let (reply, answer) = oneshot::channel();
        let pushed = shared.queue.push(Submission { job: Job::Append(LogCommand::Affiliate(belongs)), reply }, 0);
        let done = match pushed {
            Ok(()) => {
                answer.await.unwrap_or_else(|_| Err(WriteError::LeaderUnavailable("it is shutting down".to_owned())))
            }
            Err(_) => Err(WriteError::Overloaded),
        };
        let Affiliation { cluster, succeeds, healed } = belongs;
        let succeeds = succeeds.map(tracing::field::display);
        match done {
            Ok(_) => tracing::info!(%cluster, succeeds, healed, "recorded the cluster that this log belongs to"),
            // The next greeting tries it again.
            Err(error) => {
                tracing::warn!(%cluster, %error, "the cluster that this log belongs to cannot be recorded yet")
            }
        }
    }
}

/// Returns whether a log holds nothing that could be lost.
pub(crate) fn is_blank(known: &LogState, table: &Table) -> bool {
    known.catalogue.is_blank() && table.is_empty() && known.lives.belongs().is_none()
}

fn written(shared: &Shared) -> Option<Affiliation> {
    shared.published.load().lives.belongs()
}
