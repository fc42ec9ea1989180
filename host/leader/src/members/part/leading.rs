//! What a member does that has won the lease: it begins its epoch, counts what the others have, and is deposed.

use super::{Inner, Part, Role};
use littoral_model::{
    position::{Epoch, Lsn},
    write::WriteError,
};
use littoral_protocol::members::{
    Leading,
    ask::{self, NotTold},
    leading::{Joined, NotJoined},
    majority,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Leadership {
    core: Leading<String>,
    /// Who follows, by the session of its last join.
    followers: BTreeMap<String, Following>,
}

#[derive(Debug)]
struct Following {
    session: u64,
    heard: Instant,
}

/// What a follower fetches with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) epoch: Epoch,
}

impl Leadership {
    /// What is committed, as far as this leadership knows.
    pub(super) fn committed(&self) -> Lsn {
        self.core.committed()
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.core.epoch()
    }
}

impl Part {
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

    pub(super) fn advance(&self, inner: &mut Inner) {
        let committed = inner.committed();
        self.log.note_committed(committed);
        self.lease.know_committed(self.at(inner.mark(committed)));
        self.turns.committed(committed);
    }

    pub(super) fn depose_older(&self, inner: &mut Inner, epoch: Epoch) {
        let older = match *self.role.borrow() {
            Role::Taking(own) | Role::Leading(own) => own < epoch,
            Role::Following(_) | Role::Over => false,
        };
        if older {
            self.depose(inner, "a newer epoch was promised");
        }
    }

    pub(super) fn depose(&self, inner: &mut Inner, why: &str) {
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
}
