//! Where this leader's log belongs, carried out: what other regions answer is judged in [`littoral_leader_core::belonging`], and
//! written down here.

use crate::shared::{Job, Shared, Submission};
use littoral_leader_core::{
    Known, Work,
    belonging::{Belongs, Greeting, Refused},
};
use littoral_model::{
    cluster::Belonging,
    lives::Lives,
    position::{Incarnation, Position},
    region::Region,
    write::WriteError,
};
use littoral_protocol::frame::PublisherHello;
use littoral_replica::Table;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::oneshot;

/// The first version of the feed whose publishers know clusters.
const KNOWS_CLUSTERS: u16 = 4;

/// See [`Belongs`].
#[derive(Debug)]
pub(crate) struct Ownership {
    belongs: Mutex<Belongs>,
    /// Everything is here, and that stays so: every read and write asks.
    settled: AtomicBool,
}

impl Ownership {
    pub(crate) fn new(belongs: Belongs) -> Self {
        Self { belongs: Mutex::new(belongs), settled: AtomicBool::new(false) }
    }

    /// Where the log belongs.
    pub(crate) fn now(&self, shared: &Shared) -> Option<Belonging> {
        self.belongs.lock().now(written(shared))
    }

    /// Whether clients' writes may be taken.
    ///
    /// # Errors
    /// What they wait for.
    pub(crate) fn may_write(&self, shared: &Shared) -> Result<(), String> {
        if self.settled.load(Relaxed) {
            return Ok(());
        }
        self.belongs.lock().may_write(written(shared))?;
        // Settles where nothing is missing, so that a leader without reads does not lock for each write.
        let _ = self.has_all(shared);
        Ok(())
    }

    /// Whether what is not here does not exist; false while the regions that have what is lost here, or may have it, are waited for.
    ///
    /// # Errors
    /// What is waited for.
    pub(crate) fn has_all(&self, shared: &Shared) -> Result<(), String> {
        if self.settled.load(Relaxed) {
            return Ok(());
        }
        if !shared.leads() {
            // Other regions answer the leader only.
            return Ok(());
        }
        self.belongs.lock().has_all(written(shared))?;
        self.settled.store(true, Relaxed);
        Ok(())
    }

    /// This member begins to lead.
    pub(crate) fn leads(&self, shared: &Shared) {
        let published = shared.published.load();
        self.belongs.lock().leads(is_blank(&published.known(), &shared.table));
    }

    /// Another region's leader has answered.
    ///
    /// # Errors
    /// Why its records are not taken.
    pub(crate) async fn greeted(&self, shared: &Shared, hello: &PublisherHello) -> Result<(), Refused> {
        let greeting = Greeting {
            cluster: hello.cluster,
            knows_clusters: hello.version >= KNOWS_CLUSTERS,
            log: hello.log(),
            knew: hello.lives.get(shared.identity.region).map(Lives::log),
        };
        let published = shared.published.load_full();
        // Only where something of it was taken is another log of it known.
        let origin = published.origins.get(hello.region).filter(|origin| origin.position != Position::default());
        let known: Option<Incarnation> = origin.and_then(|_| published.lives.get(hello.region)).map(Lives::log);
        let judged = self.belongs.lock().greeted(hello.region, greeting, known, written(shared));
        self.write_down(shared).await;
        judged
    }

    /// Everything is here that a region had when it answered.
    pub(crate) async fn levelled(&self, shared: &Shared, region: Region) {
        self.belongs.lock().levelled(region);
        self.write_down(shared).await;
    }

    async fn write_down(&self, shared: &Shared) {
        let next = self.belongs.lock().to_write(written(shared));
        let Some(belongs) = next else { return };
        let (reply, answer) = oneshot::channel();
        let pushed = shared.queue.push(Submission { job: Job::Append(Work::Belong(belongs)), reply }, 0);
        let done = match pushed {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(WriteError::LeaderUnavailable("it is stopping".to_owned()))),
            Err(_) => Err(WriteError::Overloaded),
        };
        let Belonging { cluster, succeeds, healed } = belongs;
        let succeeds = succeeds.map(tracing::field::display);
        match done {
            Ok(_) => tracing::info!(%cluster, succeeds, healed, "where this log belongs is written down"),
            // The next answer brings it up again.
            Err(error) => tracing::warn!(%cluster, %error, "where this log belongs cannot be written down yet"),
        }
    }
}

/// Whether a log holds nothing that anybody could miss.
pub(crate) fn is_blank(known: &Known, table: &Table) -> bool {
    known.catalogue.is_blank() && table.is_empty() && known.lives.belongs().is_none()
}

fn written(shared: &Shared) -> Option<Belonging> {
    shared.published.load().lives.belongs()
}
