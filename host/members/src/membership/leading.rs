//! The leader's side of a membership: begins the epoch, counts the followers' durable records, and ends when it is
//! deposed.

use super::{Membership, State};
use littoral_leader::Role;
use littoral_model::{
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::members::{
    Leading,
    leading::{Joined, NotJoined},
    majority,
    rpc::{self, Rejection},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The leadership of this member: what the core decides, and the followers that it has heard.
#[derive(Debug)]
pub(super) struct Leadership {
    core: Leading<String>,
    /// The followers, by name.
    followers: BTreeMap<String, FollowerState>,
}

#[derive(Debug)]
struct FollowerState {
    /// The session of its last join.
    session: u64,
    /// When its last request was received.
    heard: Instant,
}

/// A follower's right to fetch, from its join until it joins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) epoch: Epoch,
}

/// A follower in the leader's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FollowerStatus {
    pub(crate) name: String,
    pub(crate) is_heard: bool,
}

/// The reply to a member that joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) session: Session,
    /// The last record that is committed.
    pub(crate) committed: Lsn,
    /// The last record that both logs have; `None` when the member needs a snapshot.
    pub(crate) common: Option<Lsn>,
}

impl Leadership {
    /// Returns the last record that this leadership knows to be committed.
    pub(super) fn committed(&self) -> Lsn {
        self.core.committed()
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.core.epoch()
    }
}

impl Membership {
    /// Notes that this member has won the lease in `epoch` and is being promoted.
    pub(crate) fn become_candidate(&self, epoch: Epoch) {
        self.role.send_replace(Role::Candidate(epoch));
    }

    /// Begins the leadership with its first record, which `append` makes durable. No other epoch is promised in the
    /// meantime. Other members may follow once this has returned. Blocks on the disk.
    ///
    /// # Errors
    /// The error of `append`, or the leadership has ended already.
    pub(crate) fn begin_leadership(
        &self,
        epoch: Epoch,
        append: impl FnOnce() -> Result<Lsn, WriteError>,
    ) -> Result<Lsn, WriteError> {
        let _writing = self.writing.lock();
        let promised = self.promised();
        if promised != epoch {
            return Err(WriteError::NotLeader(format!("epoch {promised} was promised in the meantime")));
        }
        let begin = append()?;
        let mut state = self.state.lock();
        if !matches!(*self.role.borrow(), Role::Candidate(own) if own == epoch) {
            state.resync(&*self.log);
            return Err(WriteError::NotLeader(format!("the leadership of epoch {epoch} ended before it began")));
        }
        let members = self.members.iter().map(|member| member.name.clone()).collect();
        let mut core = Leading::new(epoch, self.me.clone(), members, begin);
        core.durable(&self.me, begin);
        state.leading = Some(Leadership { core, followers: BTreeMap::new() });
        self.durable.send_replace(begin);
        // The only member of a region is a majority by itself.
        self.advance(&mut state);
        Ok(begin)
    }

    /// Accepts writes from now on. Returns false if the leadership has ended already.
    pub(crate) fn open_for_writes(&self, epoch: Epoch) -> bool {
        let state = self.state.lock();
        let leads = state.leading.as_ref().is_some_and(|leading| leading.core.epoch() == epoch);
        if leads {
            self.role.send_replace(Role::Leading(epoch));
        }
        leads
    }

    /// Notes that records of `epoch` up to `last` are durable here. Returns the last record that is committed.
    pub(crate) fn note_appended(&self, epoch: Epoch, last: Lsn) -> Lsn {
        let mut state = self.state.lock();
        if let Some(leading) = state.leading.as_mut().filter(|leading| leading.core.epoch() == epoch) {
            leading.core.durable(&self.me, last);
            self.durable.send_replace(last);
            self.advance(&mut state);
        }
        state.committed()
    }

    /// Admits a member that wants to follow.
    pub(crate) fn join(&self, member: String, theirs: &rpc::Log) -> Result<Admission, Rejection> {
        let mut state = self.state.lock();
        let State { leading, sessions, .. } = &mut *state;
        let Some(leading) = leading else { return Err(self.not_leading()) };
        let ours = self.log.identity().incarnation;
        if theirs.history.tail() > Lsn::NONE && theirs.incarnation != ours {
            return Err(Rejection::OtherLog { theirs: theirs.incarnation, ours });
        }
        let joined = leading.core.joined(&member, theirs.promised, &theirs.history, &self.log.history());
        let common = match joined {
            Ok(Joined::Start(start)) => Some(start.common),
            Ok(Joined::Snapshot) => None,
            Err(NotJoined::Stranger) => return Err(Rejection::NotAMember(member)),
            Err(error @ NotJoined::Unsound) => return Err(Rejection::Failed(error.to_string())),
            Err(NotJoined::Over(refused)) => {
                self.depose(&mut state, "another member has promised a newer epoch");
                return Err(Rejection::StaleEpoch { asked: refused.asked, promised: refused.promised });
            }
        };
        *sessions += 1;
        let session = Session { number: *sessions, epoch: leading.core.epoch() };
        leading.followers.insert(member, FollowerState { session: session.number, heard: Instant::now() });
        Ok(Admission { session, committed: leading.core.committed(), common })
    }

    /// Notes that a follower has everything before `from`. Returns the last record that is committed.
    pub(crate) fn note_fetch(&self, member: &str, session: u64, from: Lsn) -> Result<Lsn, Rejection> {
        let mut state = self.state.lock();
        let Some(leading) = &mut state.leading else { return Err(self.not_leading()) };
        let Some(follower) = leading.followers.get_mut(member).filter(|follower| follower.session == session) else {
            return Err(Rejection::Superseded);
        };
        follower.heard = Instant::now();
        leading.core.durable(&member.to_owned(), Lsn(from.0.saturating_sub(1)));
        self.advance(&mut state);
        Ok(state.committed())
    }

    /// Returns the last record that is durable here, now and whenever that changes.
    pub(crate) fn durable(&self) -> watch::Receiver<Lsn> {
        self.durable.subscribe()
    }

    /// Returns whether a majority, including this member, was heard within `within`.
    pub(crate) fn is_heard(&self, within: Duration) -> bool {
        let state = self.state.lock();
        let Some(leading) = &state.leading else { return false };
        let heard = leading.followers.values().filter(|follower| follower.heard.elapsed() < within).count();
        heard + 1 >= majority(self.members.len())
    }

    /// Ends this member's leadership for the reason `why`.
    pub(crate) fn step_down(&self, why: &str) {
        self.depose(&mut self.state.lock(), why);
    }

    /// Ends this membership. Callers that wait for it continue with the membership of the reopened log, if there is
    /// one.
    pub(crate) fn close(&self, why: &str) {
        self.step_down(why);
        self.role.send_replace(Role::Closed);
    }

    /// Returns the followers, each with whether it was heard within `within`.
    pub(crate) fn followers(&self, within: Duration) -> Vec<FollowerStatus> {
        let state = self.state.lock();
        let followers = state.leading.iter().flat_map(|leading| &leading.followers);
        let status = |(name, follower): (&String, &FollowerState)| FollowerStatus {
            name: name.clone(),
            is_heard: follower.heard.elapsed() < within,
        };
        followers.map(status).collect()
    }

    /// Returns the rejection of a request that only a leader can answer.
    pub(crate) fn not_leading(&self) -> Rejection {
        Rejection::NotLeading { leader: self.leader().map(|leader| leader.name) }
    }

    /// Passes the last committed record to the log, to the lease, and to the writes that wait for it.
    pub(super) fn advance(&self, state: &mut State) {
        let committed = state.committed();
        self.log.note_committed(committed);
        self.lease.note_committed(self.lease_position(state.record_id(committed)));
        self.commits.committed(committed);
    }

    /// Ends this member's leadership if its epoch is older than `epoch`.
    pub(super) fn depose_older(&self, state: &mut State, epoch: Epoch) {
        if self.own_epoch().is_some_and(|own| own < epoch) {
            self.depose(state, "a newer epoch was promised");
        }
    }

    /// Ends this member's leadership, and fails the writes that wait for it.
    pub(super) fn depose(&self, state: &mut State, why: &str) {
        let committed = state.committed();
        if state.leading.take().is_some() {
            tracing::warn!(why, "this member no longer leads");
            state.resync(&*self.log);
            state.acceptor.know_committed(committed);
        }
        self.role.send_if_modified(|role| {
            let led = matches!(role, Role::Candidate(_) | Role::Leading(_));
            if led {
                *role = Role::Following(None);
            }
            led
        });
        // Do this after the role has changed: then no writer begins to wait any more, and every writer that waits is
        // answered.
        self.commits.fail(&WriteError::LeaderUnavailable(format!("the leadership has ended: {why}")));
        // Wakes the fetches that wait.
        self.durable.send_modify(|_| {});
    }
}
