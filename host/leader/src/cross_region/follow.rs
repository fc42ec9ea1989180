//! Replicates from one other region's leader: connects, submits its records, reports what is durable, and reconnects
//! when the stream ends.

use super::{
    link::Link,
    underway::{Then, Underway},
};
use crate::{
    config::OtherRegion,
    queue::PushError,
    shared::Shared,
    write_path::{Job, Response, result},
};
use littoral_feed::client::{self, Connection, Pause};
use littoral_leader_core::{
    Import, LogCommand,
    affiliation::Ineligible,
    cross_region::{Done, Fault, RegionFeed, Step},
    gives_catalogue,
};
use littoral_model::{module::ModuleDigest, position::Position, region::Region, write::WriteError};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Upstream},
    subscriber::Epochs,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the other leader is pinged: it disconnects silent subscribers.
const PING_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait before a record is submitted again to a queue that was full.
const QUEUE_RETRY_DELAY: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Transport(#[from] client::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("its records cannot be appended here: {0}")]
    Rejected(#[from] WriteError),
    #[error("the component of module {0} cannot be fetched: {1}")]
    Module(ModuleDigest, String),
    #[error("it holds records that this region has lost; replicating its whole snapshot")]
    SnapshotRequested,
    #[error(transparent)]
    Ineligible(#[from] Ineligible),
    #[error("its leader closed the feed")]
    Closed,
}

/// Follows until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, other: OtherRegion, stop: CancellationToken) {
    let region = other.name;
    let mut follower = Follower::new(shared.clone(), other);
    let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            () = snapshot_requested(&shared, region) => Ended::SnapshotRequested,
            ended = follower.follow() => ended.err().unwrap_or(Ended::Closed),
        };
        follower.lost(&ended);
        if begun.elapsed() > PAUSE_MAX {
            pause.reset();
        }
        if !matches!(ended, Ended::SnapshotRequested) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = snapshot_requested(&shared, region) => {}
                () = sleep(pause.next_pause()) => {}
            }
        }
        follower.answer_snapshot_requests().await;
    }
}

struct Follower {
    shared: Arc<Shared>,
    region: Region,
    config: client::Config,
    epochs: Epochs,
    /// The index of the address that is connected, or tried first.
    address: usize,
    /// The other leader's last record at its hello, until everything up to it is applied here.
    target: Option<Position>,
    last_failure: String,
}

impl Follower {
    fn new(shared: Arc<Shared>, other: OtherRegion) -> Self {
        let config = client::Config {
            leader: other.peers,
            region: Some(shared.identity.region),
            tls: shared.tls.clone(),
            version: shared.config.protocol_version,
            ..client::Config::default()
        };
        Self {
            shared,
            region: other.name,
            config,
            epochs: Epochs::default(),
            address: 0,
            target: None,
            last_failure: String::new(),
        }
    }

    async fn follow(&mut self) -> Result<(), Ended> {
        let (mut connection, address) = client::connect_from(&self.config, self.address).await?;
        self.address = address;
        let shared = self.shared.clone();
        let own = shared.identity.region;
        let mut feed = {
            let published = shared.applied.load();
            let is_home = gives_catalogue(self.region, own, shared.config.catalogue_home, &published.known());
            let feed = RegionFeed::new(self.region, own, is_home, &published.known(), &self.epochs);
            feed.speaking(self.config.version)
        };
        connection.sender.send(&Upstream::Hello(feed.hello(&format!("{}/{own}", shared.config.name))))?;
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seq = 0;
        let mut underway = Underway::default();
        loop {
            tokio::select! {
                biased;
                _ = pings.tick() => {
                    seq += 1;
                    connection.sender.send(&Upstream::Ping { seq })?;
                }
                then = underway.next() => {
                    self.report(then?, &connection)?;
                    self.report_level().await;
                }
                message = connection.receiver.next(), if underway.has_room() => match message? {
                    None => return Ok(()),
                    Some(message) => self.receive(&mut feed, &mut underway, &connection, message).await?,
                },
            }
        }
    }

    /// Carries out the step that a message requires.
    async fn receive(
        &mut self,
        feed: &mut RegionFeed,
        underway: &mut Underway,
        connection: &Connection,
        message: Downstream,
    ) -> Result<(), Ended> {
        let hello = if let Downstream::Hello(hello) = &message { Some(hello.clone()) } else { None };
        let is_greeting = hello.is_some();
        let published = self.shared.applied.load_full();
        let step = feed.receive(message, &mut self.epochs, (&published, &self.shared.applied.table))?;
        if let Some(hello) = hello {
            self.target = Some(hello.head);
            self.shared.affiliation.greeted(&self.shared, &hello).await?;
        }
        if is_greeting && let Some(link) = self.shared.cross_region.link(self.region) {
            tracing::info!(region = %self.region, from = %feed.position(), "replicating another region's records");
            link.connected(connection.calls.clone());
            link.applied_to(feed.position());
            self.last_failure.clear();
        }
        match step {
            Step::None => {}
            Step::Heard { head, .. } => underway.push([], Then::Heard(head)),
            Step::Submit { imports, modules, done } => {
                for digest in modules {
                    self.fetch(connection, digest).await?;
                }
                let mut responses = Vec::with_capacity(imports.len());
                for import in imports {
                    responses.push(self.submit(import).await?);
                }
                match done {
                    // The next chunk of a snapshot is compared with the rows that are applied here.
                    Done::Piece => return settle(responses).await,
                    Done::Snapshot => settle(std::mem::take(&mut responses)).await?,
                    Done::Block(..) => {}
                }
                feed.done(&done, &mut self.epochs);
                underway.push(responses, Then::Applied(feed.position()));
            }
        }
        Ok(())
    }

    /// Notes once everything that the other leader had at its hello is applied here.
    async fn report_level(&mut self) {
        let applied = self.shared.cross_region.link(self.region).map(Link::applied).unwrap_or_default();
        let is_level = |target: &Position| applied.incarnation == target.incarnation && applied.lsn >= target.lsn;
        if self.target.take_if(|target| is_level(target)).is_some() {
            self.shared.affiliation.levelled(&self.shared, self.region).await;
        }
    }

    /// Reports that a message, and every message before it, is durable.
    fn report(&self, then: Then, connection: &Connection) -> Result<(), Ended> {
        let link = self.shared.cross_region.link(self.region);
        match then {
            Then::Heard(head) => {
                if let Some(link) = link {
                    link.heard(head);
                }
            }
            Then::Applied(position) => {
                if let Some(link) = link {
                    link.applied_to(position);
                }
                // Report it only now that it is durable: the other region then counts these records as durable here.
                connection.sender.send(&Upstream::Applied { lsn: position.lsn })?;
            }
        }
        Ok(())
    }

    /// Submits records to be made durable here. Waits while the queue is full.
    async fn submit(&self, import: Import) -> Result<Response, WriteError> {
        let bytes = import.records.len();
        loop {
            match self.shared.writes.submit(Job::Append(LogCommand::Import(import.clone())), bytes) {
                Err(PushError::Full) => sleep(QUEUE_RETRY_DELAY).await,
                Err(closed @ PushError::Closed) => return Err(closed.into()),
                Ok(response) => {
                    metrics::counter!("littoral_leader_region_record_bytes_total", "region" => self.region.to_string())
                        .increment(bytes as u64);
                    return Ok(response);
                }
            }
        }
    }

    /// Fetches and stores a module's component before the record that names it.
    async fn fetch(&self, connection: &Connection, digest: ModuleDigest) -> Result<(), Ended> {
        let fault = |reason: String| Ended::Module(digest, reason);
        let modules = &self.shared.modules;
        if modules.blocking(move |modules| modules.load(digest)).await.is_ok() {
            return Ok(());
        }
        let fetched = connection.calls.fetch_module(digest).await.map_err(|error| fault(error.to_string()))?;
        // The other leader no longer has a release that was replaced since; the record of the replacement follows.
        let Some(component) = fetched else { return Ok(()) };
        let copy = component.clone();
        let stored = modules.blocking(move |modules| modules.store(digest, &copy)).await;
        stored.map_err(|error| fault(error.to_string()))?;
        if let Err(error) = modules.sandbox.prepare(digest, component).await {
            tracing::error!(%digest, %error, "a module of the catalogue home cannot be called here");
        }
        Ok(())
    }

    /// Carries out the requests for a whole snapshot: appends a record that nothing counts as replicated from the
    /// region. It follows all of the region's records that are under way, because those would count otherwise.
    async fn answer_snapshot_requests(&self) {
        let Some(link) = self.shared.cross_region.link(self.region) else { return };
        let requests = link.take_snapshot_requests();
        if requests.is_empty() {
            return;
        }
        let recorded = self.record_nothing_replicated(link).await;
        for request in requests {
            // The requester may have stopped waiting.
            let _ = request.send(recorded.clone());
        }
    }

    async fn record_nothing_replicated(&self, link: &Link) -> Result<(), WriteError> {
        let lineage = {
            let published = self.shared.applied.load();
            let has_any = published.known().has_any(self.region);
            published.lineages.get(self.region).filter(|_| has_any).cloned()
        };
        // If nothing of it was ever replicated, its snapshot is replicated without a request.
        let Some(lineage) = lineage else { return Ok(()) };
        result(self.submit(Import::nothing_taken(self.region, lineage)).await?.await)?;
        link.applied_to(Position::default());
        Ok(())
    }

    /// Notes why the stream has ended, and selects the next address.
    fn lost(&mut self, ended: &Ended) {
        // A member that does not lead rejects the stream: the next address may be the leader's. Otherwise the
        // configured order counts.
        let does_not_lead = matches!(ended, Ended::Fault(Fault::Ended { code: ErrorCode::Behind, .. }));
        self.address = if does_not_lead { self.address + 1 } else { 0 };
        let failure = ended.to_string();
        if let Some(link) = self.shared.cross_region.link(self.region) {
            link.lost(failure.clone());
        }
        metrics::counter!("littoral_leader_region_feed_ended_total", "region" => self.region.to_string()).increment(1);
        if failure == self.last_failure {
            tracing::debug!(region = %self.region, reason = %failure, "another region's records still cannot be replicated");
        } else {
            tracing::warn!(region = %self.region, reason = %failure, "another region's records cannot be replicated; retrying");
        }
        self.last_failure = failure;
    }
}

/// Returns when a whole snapshot of the region is requested.
async fn snapshot_requested(shared: &Shared, region: Region) {
    match shared.cross_region.link(region) {
        Some(link) => link.snapshot_requested.notified().await,
        None => std::future::pending().await,
    }
}

/// Waits until all submissions are durable.
async fn settle(responses: Vec<Response>) -> Result<(), Ended> {
    for response in responses {
        result(response.await)?;
    }
    Ok(())
}
