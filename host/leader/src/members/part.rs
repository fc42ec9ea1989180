//! This process's part in keeping the region's log: what it has promised, whom it follows or what those that follow it have.
//!
//! Everything that bears on what is committed is decided under one lock, and what is promised there is durable before the lock is
//! let go of: an epoch that was promised is never followed by a record of an older one.

use super::{Seat, Turns};
use crate::shared::Shared;
use littoral_feed::client::CallClient;
use littoral_leader_core::Published;
use littoral_lease as lease;
use littoral_log::Log;
use littoral_model::{
    catalogue::Catalogue,
    freshness::Source,
    ports::RecordBlock,
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::{
    members::{Follower, Leading, ask, ask::NotTold, follower::Alarm, follower::Start, majority},
    staleness::Staleness,
};
use littoral_wire::records;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What this member is.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It does not lead. With the way to who does, while that is there.
    Following(Option<Leader>),
    /// It has won the lease, and is not through with what comes before leading.
    Taking(Epoch),
    /// It leads.
    Leading(Epoch),
    /// It takes part no more: its log is opened anew, or it stops.
    Over,
}

/// Who leads, as who follows sees it.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) name: String,
    pub(crate) calls: CallClient,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) me: String,
    pub(crate) seats: Vec<Seat>,
    pub(crate) lease: lease::Handle,
    pub(crate) timing: lease::Timing,
    pub(crate) turns: Turns,
    pub(crate) log: Arc<dyn Log>,
    inner: Mutex<Inner>,
    role: watch::Sender<Role>,
    /// The last record that is durable at this leader: what fetches wait for.
    durable: watch::Sender<Lsn>,
    freshness: Mutex<Freshness>,
    runtime: tokio::runtime::Handle,
}

#[derive(Debug)]
struct Inner {
    follower: Follower,
    leading: Option<Leadership>,
    sessions: u64,
}

#[derive(Debug)]
struct Leadership {
    core: Leading<String>,
    /// Who follows, by the session of its last join.
    followers: BTreeMap<String, Following>,
}

#[derive(Debug)]
struct Following {
    session: u64,
    heard: Instant,
}

/// How far this member may be behind.
#[derive(Debug)]
struct Freshness {
    origin: Instant,
    /// While it follows: each fetch is a ping, its answer the echo.
    staleness: Staleness,
    /// While it leads: when everything that it had acknowledged was applied.
    level_at: Instant,
}

/// What a follower fetches with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) epoch: Epoch,
}

impl Part {
    pub(crate) fn new(
        (me, seats): (String, Vec<Seat>),
        (lease, timing): (lease::Handle, lease::Timing),
        log: Arc<dyn Log>,
        applied: Lsn,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        let mut follower = Follower::restored(log.promised(), log.history());
        follower.know_committed(applied);
        let turns = Turns::default();
        turns.committed(applied);
        let now = Instant::now();
        let mut staleness = Staleness::default();
        staleness.applied(applied);
        Self {
            me,
            seats,
            lease,
            timing,
            turns,
            log,
            inner: Mutex::new(Inner { follower, leading: None, sessions: 0 }),
            role: watch::Sender::new(Role::Following(None)),
            durable: watch::Sender::new(Lsn::NONE),
            freshness: Mutex::new(Freshness { origin: now, staleness, level_at: now }),
            runtime,
        }
    }

    // === what this member is ===

    pub(crate) fn role(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// The epoch in which this member takes writes now.
    pub(crate) fn leads(&self) -> Option<Epoch> {
        match *self.role.borrow() {
            Role::Leading(epoch) => Some(epoch),
            Role::Taking(_) | Role::Following(_) | Role::Over => None,
        }
    }

    /// Whether it leads and no other can have led until now.
    pub(crate) fn leads_surely(&self) -> bool {
        self.leads().is_some_and(|epoch| self.lease.confirm(epoch).is_ok())
    }

    /// Whether what was made durable in this epoch may be acknowledged.
    pub(crate) fn confirm(&self, epoch: Epoch) -> Result<(), WriteError> {
        let unknown = |reason: String| Err(WriteError::LeaderUnavailable(reason));
        if self.leads() != Some(epoch) {
            return unknown("this member leads no more".to_owned());
        }
        self.lease.confirm(epoch).or_else(|fenced| unknown(fenced.to_string()))
    }

    /// Where the leader is, while this member follows one.
    pub(crate) fn leader(&self) -> Option<Leader> {
        match &*self.role.borrow() {
            Role::Following(leader) => leader.clone(),
            Role::Taking(_) | Role::Leading(_) | Role::Over => None,
        }
    }

    /// The way to the leader is there, or gone. Nothing changes for who leads.
    pub(crate) fn follows(&self, leader: Option<Leader>) {
        if leader.is_none() {
            self.freshness.lock().staleness.disconnected();
        }
        self.role.send_if_modified(|role| {
            let follows = matches!(role, Role::Following(_));
            if follows {
                *role = Role::Following(leader);
            }
            follows
        });
    }

    /// How far rows as of `published` may be behind, and who answers with them.
    pub(crate) fn freshness(&self, published: &Published) -> (Option<Duration>, Source) {
        if self.leads_surely() {
            let level = published.position.lsn >= self.log.bounds().tail;
            let behind = if level { Duration::ZERO } else { self.freshness.lock().level_at.elapsed() };
            return (Some(behind), Source::Leader);
        }
        (self.staleness(), Source::Replica)
    }

    /// How far this member is behind the leader that it follows; `None` when it never heard of one.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        let freshness = self.freshness.lock();
        freshness.staleness.staleness(freshness.origin.elapsed())
    }

    /// A fetch leaves now.
    pub(crate) fn ping(&self) -> Option<u64> {
        let mut freshness = self.freshness.lock();
        let now = freshness.origin.elapsed();
        freshness.staleness.ping(now)
    }

    /// It was answered by a leader whose log then ended with `tail`.
    pub(crate) fn echo(&self, seq: u64, tail: Lsn) {
        self.freshness.lock().staleness.echo(seq, tail, Some(Duration::ZERO));
    }

    /// Everything up to here is applied.
    pub(crate) fn applied(&self, lsn: Lsn) {
        let level = lsn >= self.log.bounds().tail;
        let mut freshness = self.freshness.lock();
        freshness.staleness.applied(lsn);
        if level {
            freshness.level_at = Instant::now();
        }
    }

    // === as any member ===

    /// This member's log, for others.
    pub(crate) fn log_told(&self) -> ask::Log {
        let promised = self.inner.lock().follower.promised();
        ask::Log { incarnation: self.log.identity().incarnation, promised, history: self.log.history() }
    }

    /// The newest epoch that this member knows of.
    pub(crate) fn promised(&self) -> Epoch {
        self.inner.lock().follower.promised()
    }

    pub(crate) fn committed(&self) -> Lsn {
        self.inner.lock().committed()
    }

    /// Somebody is about to lead in this epoch. Blocks for the disk.
    pub(crate) fn prepare(&self, epoch: Epoch) -> Result<ask::Log, NotTold> {
        let mut inner = self.inner.lock();
        let over = |refused: littoral_protocol::members::follower::Refused| NotTold::Over {
            asked: refused.asked,
            promised: refused.promised,
        };
        let had = inner.follower.promised();
        inner.follower.prepare(epoch).map_err(over)?;
        if epoch > had {
            self.log.promise(epoch).map_err(|error| NotTold::Failed(format!("a promise cannot be kept: {error}")))?;
            self.depose_older(&mut inner, epoch);
        }
        let incarnation = self.log.identity().incarnation;
        Ok(ask::Log { incarnation, promised: epoch, history: self.log.history() })
    }

    /// A stream of `epoch` begins: what this member has behind `common` is given up. Blocks for the disk, and nobody may append
    /// meanwhile.
    ///
    /// # Errors
    /// An alarm, or why the disk did not do it; nothing is lost then.
    pub(crate) fn begin(&self, shared: &Shared, start: Start) -> Result<(), BeginError> {
        let _nobody_appends = shared.core.lock();
        let mut inner = self.inner.lock();
        inner.resync(&*self.log);
        self.depose_older(&mut inner, start.epoch);
        let begun = inner.follower.begin(start)?;
        let disk = |error: String| BeginError::Disk(error);
        let done = (|| {
            if let Some(epoch) = begun.promise {
                self.log.promise(epoch).map_err(|error| disk(error.to_string()))?;
            }
            if let Some((first, last)) = begun.detach {
                let detached = self.log.cut(start.common).map_err(|error| disk(error.to_string()))?;
                shared.receipts.lock().cut(start.common);
                tracing::warn!(
                    first = first.0,
                    last = last.0,
                    tail = detached.map(|detached| detached.name).unwrap_or_default(),
                    "records that a majority never had are given up and kept aside; see `littoral tails`"
                );
                metrics::counter!("littoral_members_records_detached_total").increment(last.0 - first.0 + 1);
            }
            Ok(())
        })();
        if done.is_err() {
            inner.resync(&*self.log);
        }
        self.know(&mut inner, start.committed);
        done
    }

    /// Appends records of the stream that was begun. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Part::begin`].
    pub(crate) fn take(&self, shared: &Shared, block: &RecordBlock) -> Result<(), BeginError> {
        let _nobody_appends = shared.core.lock();
        let mut inner = self.inner.lock();
        let taken = (|| {
            for record in records::iter(&block.bytes) {
                let record =
                    record.map_err(|error| BeginError::Disk(format!("its records cannot be read: {error}")))?;
                inner.follower.take(record.epoch, record.lsn)?;
            }
            self.log.append_block(block).map_err(|error| BeginError::Disk(error.to_string()))
        })();
        if taken.is_err() {
            inner.resync(&*self.log);
        }
        taken
    }

    /// The leader that is followed says what is committed.
    pub(crate) fn know_committed(&self, committed: Lsn) {
        self.know(&mut self.inner.lock(), committed);
    }

    fn know(&self, inner: &mut Inner, committed: Lsn) {
        inner.follower.know_committed(committed);
        let committed = inner.committed();
        self.log.note_committed(committed);
        self.turns.committed(committed);
    }

    /// The stream is over.
    pub(crate) fn part(&self) {
        self.inner.lock().follower.part();
    }

    // === as the leader ===

    /// This member has won the lease in `epoch`: it takes over, unless it has promised a newer one.
    pub(crate) fn takes(&self, epoch: Epoch) {
        self.role.send_replace(Role::Taking(epoch));
    }

    /// Its first record in `epoch` is durable: others may follow. `append` does that, while nothing is promised.
    ///
    /// # Errors
    /// `append`'s; or a newer epoch was promised meanwhile.
    pub(crate) fn begins(
        &self,
        epoch: Epoch,
        append: impl FnOnce() -> Result<Lsn, WriteError>,
    ) -> Result<Lsn, WriteError> {
        let mut inner = self.inner.lock();
        if inner.follower.promised() != epoch {
            return Err(WriteError::NotLeader(format!("epoch {} was promised meanwhile", inner.follower.promised())));
        }
        let begin = append()?;
        let members = self.seats.iter().map(|seat| seat.name.clone()).collect();
        let mut core = Leading::new(epoch, self.me.clone(), members, begin);
        core.durable(&self.me, begin);
        let leadership = Leadership { core, followers: BTreeMap::new() };
        inner.leading = Some(leadership);
        self.durable.send_replace(begin);
        // One who is alone has a majority at once.
        self.advance(&mut inner);
        Ok(begin)
    }

    /// Writes are taken from now on. False when the leadership is over already.
    pub(crate) fn opens(&self, epoch: Epoch) -> bool {
        let inner = self.inner.lock();
        let leads = inner.leading.as_ref().is_some_and(|leading| leading.core.epoch() == epoch);
        if leads {
            self.role.send_replace(Role::Leading(epoch));
        }
        leads
    }

    /// What was appended in `epoch` up to here is durable here.
    pub(crate) fn appended(&self, epoch: Epoch, last: Lsn) {
        let mut inner = self.inner.lock();
        let Some(leading) = inner.leading.as_mut().filter(|leading| leading.core.epoch() == epoch) else { return };
        leading.core.durable(&self.me, last);
        self.durable.send_replace(last);
        self.advance(&mut inner);
    }

    /// A member wants to follow.
    pub(crate) fn join(&self, member: String, theirs: &ask::Log) -> Result<(Session, Lsn, Option<Lsn>), NotTold> {
        let mut inner = self.inner.lock();
        let Inner { leading, sessions, .. } = &mut *inner;
        let Some(leading) = leading else { return Err(self.not_leading()) };
        let ours = self.log.identity().incarnation;
        if theirs.history.tail() > Lsn::NONE && theirs.incarnation != ours {
            return Err(NotTold::OtherLog { theirs: theirs.incarnation, ours });
        }
        use littoral_protocol::members::leading::{Joined, NotJoined};
        let joined = leading.core.joined(&member, theirs.promised, &theirs.history, &self.log.history());
        let common = match joined {
            Ok(Joined::Start(start)) => Some(start.common),
            Ok(Joined::Snapshot) => None,
            Err(NotJoined::Stranger) => return Err(NotTold::Stranger(member)),
            Err(error @ NotJoined::Unsound) => return Err(NotTold::Failed(error.to_string())),
            Err(NotJoined::Over(refused)) => {
                self.depose(&mut inner, "another member knows of a newer epoch");
                return Err(NotTold::Over { asked: refused.asked, promised: refused.promised });
            }
        };
        *sessions += 1;
        let session = Session { number: *sessions, epoch: leading.core.epoch() };
        leading.followers.insert(member, Following { session: session.number, heard: Instant::now() });
        Ok((session, leading.core.committed(), common))
    }

    /// A member that follows has everything before `from`. Returns what is committed.
    pub(crate) fn fetches(&self, member: &str, session: u64, from: Lsn) -> Result<Lsn, NotTold> {
        let mut inner = self.inner.lock();
        let Some(leading) = &mut inner.leading else { return Err(self.not_leading()) };
        let Some(following) = leading.followers.get_mut(member).filter(|following| following.session == session) else {
            return Err(NotTold::Superseded);
        };
        following.heard = Instant::now();
        leading.core.durable(&member.to_owned(), Lsn(from.0.saturating_sub(1)));
        self.advance(&mut inner);
        Ok(inner.committed())
    }

    /// The last record that is durable here, for who waits for more.
    pub(crate) fn durable(&self) -> watch::Receiver<Lsn> {
        self.durable.subscribe()
    }

    /// Whether a majority was heard of within `patience`.
    pub(crate) fn is_heard(&self, patience: Duration) -> bool {
        let inner = self.inner.lock();
        let Some(leading) = &inner.leading else { return false };
        let heard = leading.followers.values().filter(|following| following.heard.elapsed() < patience).count();
        heard + 1 >= majority(self.seats.len())
    }

    /// This member leads no more, for a reason that it knows of itself.
    pub(crate) fn steps_down(&self, why: &str) {
        self.depose(&mut self.inner.lock(), why);
    }

    /// This member takes part no more: whoever waits here is to look for it again.
    pub(crate) fn ends(&self, why: &str) {
        self.steps_down(why);
        self.role.send_replace(Role::Over);
    }

    /// Others that follow, each with whether it was heard within `patience`.
    pub(crate) fn followers(&self, patience: Duration) -> Vec<(String, bool)> {
        let inner = self.inner.lock();
        let followers = inner.leading.iter().flat_map(|leading| &leading.followers);
        followers.map(|(name, following)| (name.clone(), following.heard.elapsed() < patience)).collect()
    }

    pub(crate) fn not_leading(&self) -> NotTold {
        NotTold::NotLeading { leader: self.leader().map(|leader| leader.name) }
    }

    fn advance(&self, inner: &mut Inner) {
        let committed = inner.committed();
        self.log.note_committed(committed);
        self.turns.committed(committed);
    }

    fn depose_older(&self, inner: &mut Inner, epoch: Epoch) {
        let older = match *self.role.borrow() {
            Role::Taking(own) | Role::Leading(own) => own < epoch,
            Role::Following(_) | Role::Over => false,
        };
        if older {
            self.depose(inner, "a newer epoch was promised");
        }
    }

    fn depose(&self, inner: &mut Inner, why: &str) {
        let committed = inner.committed();
        if inner.leading.take().is_some() {
            tracing::warn!(why, "this member leads no more");
            inner.resync(&*self.log);
            inner.follower.know_committed(committed);
        }
        self.role.send_if_modified(|role| {
            let led = matches!(role, Role::Taking(_) | Role::Leading(_));
            if led {
                *role = Role::Following(None);
            }
            led
        });
        // After the role: whoever waits now is told, and nobody waits from now on.
        self.turns.give_up(&WriteError::LeaderUnavailable(format!("its leadership has ended: {why}")));
        // Fetches that wait look again.
        self.durable.send_modify(|_| {});
    }

    // === modules ===

    /// Has what the catalogue names ready to be called, in the background.
    pub(crate) fn prepare_modules(&self, shared: &Shared, catalogue: &Catalogue) {
        for module in catalogue.modules() {
            let (digest, name) = (module.digest, module.name.clone());
            if shared.runtime.is_ready(digest) {
                continue;
            }
            let (modules, sandbox) = (shared.modules.clone(), shared.runtime.clone());
            self.runtime.spawn(async move {
                let loaded = tokio::task::spawn_blocking(move || modules.load(digest)).await;
                let prepared = match loaded {
                    Ok(Ok(component)) => sandbox.prepare(digest, component).await.map_err(|error| error.to_string()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = prepared {
                    tracing::error!(module = name, %digest, error, "a module cannot be called at this member yet");
                }
            });
        }
    }
}

/// Why a stream does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    Alarm(#[from] Alarm),
    #[error("{0}")]
    Disk(String),
}

impl Inner {
    /// What is committed, as far as is known.
    fn committed(&self) -> Lsn {
        let led = self.leading.as_ref().map_or(Lsn::NONE, |leading| leading.core.committed());
        led.max(self.follower.committed())
    }

    /// The log is what its disk says.
    fn resync(&mut self, log: &dyn Log) {
        let committed = self.committed();
        let promised = self.follower.promised().max(log.promised());
        self.follower = Follower::restored(promised, log.history());
        self.follower.know_committed(committed);
    }
}
