//! Replicates from one other region's leader: connects, submits its records, reports what is durable, and reconnects when the stream ends.

use super::{
    link::Link,
    underway::{Answer, Then, Underway},
};
use crate::{
    config::OtherRegion,
    shared::{Job, Shared, Submission},
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
use tokio::{
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the other leader is pinged: it disconnects silent subscribers.
const PING_EVERY: Duration = Duration::from_millis(500);
/// How long to wait for room in the queue.
const ROOM_WAIT: Duration = Duration::from_millis(5);

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
    BegunAgain,
    #[error(transparent)]
    Ineligible(#[from] Ineligible),
    #[error("its leader closed the feed")]
    Closed,
}

/// Follows until cancelled.
pub(crate) async fn run(shared: Arc<Shared>, other: OtherRegion, stop: CancellationToken) {
    let region = other.name;
    let mut driver = Driver::new(shared.clone(), other);
    let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
    loop {
        let begun = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            () = asked(&shared, region) => Ended::BegunAgain,
            ended = driver.follow() => ended.err().unwrap_or(Ended::Closed),
        };
        driver.lost(&ended);
        if begun.elapsed() > PAUSE_MAX {
            pause.reset();
        }
        if !matches!(ended, Ended::BegunAgain) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = asked(&shared, region) => {}
                () = sleep(pause.next_pause()) => {}
            }
        }
        driver.ask_for_all().await;
    }
}

struct Driver {
    shared: Arc<Shared>,
    region: Region,
    config: client::Config,
    epochs: Epochs,
    /// The index of the address that is connected, or tried first.
    address: usize,
    /// The other leader's last record when it greeted, until everything up to there is here.
    target: Option<Position>,
    last_failure: String,
}

impl Driver {
    fn new(shared: Arc<Shared>, other: OtherRegion) -> Self {
        let config = client::Config { leader: other.peers, ..client::Config::default() };
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
            let published = shared.published.load();
            let is_home = gives_catalogue(self.region, own, shared.config.catalogue_home, &published.known());
            RegionFeed::new(self.region, own, is_home, &published.known(), &self.epochs)
        };
        connection.sender.send(&Upstream::Hello(feed.hello(&format!("{}/{own}", shared.config.name))))?;
        let mut pings = interval(PING_EVERY);
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
                    Some(message) => self.take(&mut feed, &mut underway, &connection, message).await?,
                },
            }
        }
    }

    async fn take(
        &mut self,
        feed: &mut RegionFeed,
        underway: &mut Underway,
        connection: &Connection,
        message: Downstream,
    ) -> Result<(), Ended> {
        let hello = if let Downstream::Hello(hello) = &message { Some(hello.clone()) } else { None };
        let greets = hello.is_some();
        let published = self.shared.published.load_full();
        let step = feed.receive(message, &mut self.epochs, (&published, &self.shared.table))?;
        if let Some(hello) = hello {
            self.target = Some(hello.head);
            self.shared.affiliation.greeted(&self.shared, &hello).await?;
        }
        if greets && let Some(link) = self.shared.cross_region.link(self.region) {
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
                let mut answers = Vec::with_capacity(imports.len());
                for import in imports {
                    answers.push(self.submit(import).await?);
                }
                match done {
                    // The next part of a snapshot is compared with what is applied here.
                    Done::Part => return settle(answers).await,
                    Done::Snapshot => settle(std::mem::take(&mut answers)).await?,
                    Done::Block(..) => {}
                }
                feed.done(&done, &mut self.epochs);
                underway.push(answers, Then::Applied(feed.position()));
            }
        }
        Ok(())
    }

    /// Reports it once everything is here that the other leader had when it greeted.
    async fn report_level(&mut self) {
        let applied = self.shared.cross_region.link(self.region).map(Link::applied).unwrap_or_default();
        let is_level = |target: &Position| applied.incarnation == target.incarnation && applied.lsn >= target.lsn;
        if self.target.take_if(|target| is_level(target)).is_some() {
            self.shared.affiliation.levelled(&self.shared, self.region).await;
        }
    }

    /// Reports that a step, and every step before it, is done.
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
                // Only now: the other region counts these records as durable here.
                connection.sender.send(&Upstream::Applied { lsn: position.lsn })?;
            }
        }
        Ok(())
    }

    /// Submits records to be made durable here, and waits for room as long as necessary.
    async fn submit(&self, import: Import) -> Result<Answer, WriteError> {
        let bytes = import.records.len();
        loop {
            let (reply, answer) = oneshot::channel();
            let job = Job::Append(LogCommand::Import(import.clone()));
            match self.shared.queue.push(Submission { job, reply }, bytes) {
                Err(crate::queue::PushError::Full) => sleep(ROOM_WAIT).await,
                Err(crate::queue::PushError::Closed) => {
                    return Err(WriteError::NotLeader("it is shutting down".to_owned()));
                }
                Ok(()) => {
                    metrics::counter!("littoral_leader_region_record_bytes_total", "region" => self.region.to_string())
                        .increment(bytes as u64);
                    return Ok(answer);
                }
            }
        }
    }

    /// Fetches and stores a module's component before the record that names it.
    async fn fetch(&self, connection: &Connection, digest: ModuleDigest) -> Result<(), Ended> {
        let fault = |reason: String| Ended::Module(digest, reason);
        let modules = self.shared.modules.clone();
        let there = tokio::task::spawn_blocking(move || modules.load(digest).is_ok()).await;
        if there.unwrap_or(false) {
            return Ok(());
        }
        let fetched = connection.calls.fetch_module(digest).await.map_err(|error| fault(error.to_string()))?;
        // The other leader no longer has a release that was replaced since; the record of the replacement follows.
        let Some(component) = fetched else { return Ok(()) };
        let (modules, stored) = (self.shared.modules.clone(), component.clone());
        let stored = tokio::task::spawn_blocking(move || modules.store(digest, &stored)).await;
        stored.map_err(|error| fault(error.to_string()))?.map_err(|error| fault(error.to_string()))?;
        if let Err(error) = self.shared.runtime.prepare(digest, component).await {
            tracing::error!(%digest, %error, "a module of the catalogue's home cannot be called here");
        }
        Ok(())
    }

    /// Records that nothing counts as replicated from the region, if a caller waits for that: after all of its records that are on their
    /// way into the log, which would count otherwise.
    async fn ask_for_all(&self) {
        let Some(link) = self.shared.cross_region.link(self.region) else { return };
        let asks = link.asks();
        if asks.is_empty() {
            return;
        }
        let asked = self.nothing_taken(link).await;
        for ask in asks {
            let _ = ask.send(asked.clone());
        }
    }

    async fn nothing_taken(&self, link: &Link) -> Result<(), WriteError> {
        let lives = {
            let published = self.shared.published.load();
            let taken = published.origins.get(self.region).is_some_and(|origin| origin.position != Position::default());
            published.lives.get(self.region).filter(|_| taken).cloned()
        };
        // Nothing of it was ever replicated: its snapshot comes anyhow.
        let Some(lives) = lives else { return Ok(()) };
        let answer = self.submit(Import::nothing_taken(self.region, lives)).await?;
        answer.await.unwrap_or_else(|_| Err(WriteError::NotLeader("it is shutting down".to_owned())))?;
        link.applied_to(Position::default());
        Ok(())
    }

    fn lost(&mut self, ended: &Ended) {
        // A member that does not lead rejects the stream: the next address may be its leader's. Otherwise the configured order counts.
        let not_here = matches!(ended, Ended::Fault(Fault::Ended { code: ErrorCode::Behind, .. }));
        self.address = if not_here { self.address + 1 } else { 0 };
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

/// Returns when a caller waits until everything that the region holds is requested.
async fn asked(shared: &Shared, region: Region) {
    match shared.cross_region.link(region) {
        Some(link) => link.asked.notified().await,
        None => std::future::pending().await,
    }
}

/// Waits until all of these are durable.
async fn settle(answers: Vec<Answer>) -> Result<(), Ended> {
    for answer in answers {
        answer.await.unwrap_or_else(|_| Err(WriteError::NotLeader("it is shutting down".to_owned())))?;
    }
    Ok(())
}
