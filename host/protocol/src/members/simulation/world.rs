//! The world: members, links with queued messages, and the committed records.

mod converge;
mod promote;

use super::member::{Copy, Member, Next, Record, Role};
use crate::members::{
    EpochHistory, RecordId,
    acceptor::{Alarm, StaleEpoch, Start},
    leading::{Joined, NotJoined},
};
use fastrand::Rng;
use littoral_model::position::{Epoch, Lsn};
use std::collections::{BTreeMap, VecDeque};

const STEPS: usize = 700;

#[derive(Debug, Default)]
pub struct Counts {
    pub committed: u64,
    pub leaderships: u64,
    pub detached: u64,
    pub snapshots: u64,
    pub refused: u64,
    /// Promotions that did not find a committed record.
    pub lacking: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.leaderships += other.leaderships;
        self.detached += other.detached;
        self.snapshots += other.snapshots;
        self.refused += other.refused;
        self.lacking += other.lacking;
    }
}

enum Message {
    Prepare(Epoch),
    Promised(Epoch, EpochHistory),
    StaleEpoch(StaleEpoch),
    /// The following messages carry the number of the connection of their join.
    Join(u64, Epoch, EpochHistory),
    Start(u64, Start),
    Record(u64, Lsn, Record, Lsn),
    Snapshot(u64, Epoch, Vec<Record>),
    Durable(u64, Lsn),
    Fetch(Epoch, Lsn, Lsn),
    Fetched(Epoch, Lsn, Vec<Record>),
}

pub struct World {
    rng: Rng,
    /// How often the lease changes hands, beyond the ordinary rate.
    restless: u8,
    members: Vec<Member>,
    links: BTreeMap<(usize, usize), VecDeque<Message>>,
    /// Members that are disconnected from all others.
    cut_off: Vec<bool>,
    /// The claim in the store: which member may try to lead, and in which epoch.
    claim: (usize, Epoch),
    /// The committed record according to the claim.
    claimed: RecordId,
    /// An old copy of one member's disk; used once.
    copy: Option<(usize, Copy)>,
    rolled_back: bool,
    committed: Vec<Record>,
    values: u64,
    counts: Counts,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let count = [3, 3, 5, 5, 4][rng.usize(..5)];
        let restless = [0, 1, 3][rng.usize(..3)];
        // In most seeds the region has begun already, because an unknown member has no vote.
        let begun = (rng.u8(..4) > 0).then_some((Epoch::FIRST, 1));
        Self {
            rng,
            restless,
            members: (0..count).map(|_| Member::new(begun)).collect(),
            links: BTreeMap::new(),
            cut_off: vec![false; count],
            claim: (0, Epoch::FIRST),
            claimed: RecordId::default(),
            copy: None,
            rolled_back: false,
            committed: begun.into_iter().collect(),
            values: 1,
            counts: Counts::default(),
        }
    }

    pub fn run(mut self) -> Result<Counts, String> {
        for _ in 0..STEPS {
            self.step()?;
        }
        self.converge()?;
        self.logs_agree()?;
        Ok(self.counts)
    }

    fn step(&mut self) -> Result<(), String> {
        let who = self.rng.usize(..self.members.len());
        if self.rng.u8(..100) < self.restless {
            return self.win(who);
        }
        match self.rng.u8(..100) {
            0..=49 => self.deliver_one(),
            50..=61 => self.append(who),
            62..=81 => self.sync(who),
            82..=91 => self.join(who),
            92..=93 => self.win(who),
            94..=95 => {
                let lost = self.members[who].log.len() - self.members[who].synced;
                let survive = self.rng.usize(..=lost);
                self.members[who].crash(survive);
                self.break_links(who)
            }
            96 => self.break_links(who),
            97 => {
                self.cut_off[who] = !self.cut_off[who];
                self.break_links(who)
            }
            98 if self.rng.u8(..3) > 0 => {
                self.members[who].trim();
                Ok(())
            }
            _ if self.copy.is_none() => {
                self.copy = Some((who, self.members[who].copy()));
                Ok(())
            }
            _ => self.roll_back(),
        }
    }

    /// Rolls one member's disk back to an older copy. The others may lack what it then lacks. The
    /// leader has renewed its claim after the last commit, as it does continuously.
    fn roll_back(&mut self) -> Result<(), String> {
        let Some((who, copy)) = self.copy.clone().filter(|_| !self.rolled_back) else {
            return Ok(());
        };
        let committed = Lsn(self.committed.len() as u64);
        // Only the holder of the lease renews its claim and knows what is committed.
        let renewed = matches!(&self.members[self.claim.0].role, Role::Leading(leading, _)
            if leading.epoch() == self.claim.1 && leading.committed() == committed);
        // Otherwise records that counted for it and are not committed yet would be lost unnoticed.
        if !renewed || self.members[who].synced as u64 > committed.0 {
            return Ok(());
        }
        self.rolled_back = true;
        let last = self.committed.last().map_or(Epoch(0), |(epoch, _)| *epoch);
        self.claimed = RecordId { epoch: last, lsn: committed };
        self.members[who].roll_back(&copy, self.claim.1);
        self.break_links(who)
    }

    /// Breaks all connections of this member: messages in transit are lost, and streams end.
    fn break_links(&mut self, who: usize) -> Result<(), String> {
        self.links.retain(|(from, to), _| *from != who && *to != who);
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.follows.is_some_and(|leader| leader == who || index == who) {
                (member.follows, member.connection) = (None, 0);
                member.acceptor.end_stream();
            }
            if let Role::Leading(_, followers) = &mut member.role {
                followers.retain(|follower, _| *follower != who && index != who);
            }
        }
        // A promotion repeats its requests over the new connections.
        self.prepare_all()
    }

    fn prepare_all(&mut self) -> Result<(), String> {
        for me in 0..self.members.len() {
            if let Role::Promoting(promotion) = &self.members[me].role {
                let epoch = promotion.epoch();
                (0..self.members.len())
                    .filter(|to| *to != me)
                    .for_each(|to| self.send(me, to, Message::Prepare(epoch)));
            }
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        if !self.cut_off[from] && !self.cut_off[to] {
            self.links.entry((from, to)).or_default().push_back(message);
        }
    }

    fn append(&mut self, me: usize) -> Result<(), String> {
        let Role::Leading(leading, _) = &self.members[me].role else { return Ok(()) };
        let epoch = leading.epoch();
        self.values += 1;
        let (value, next) = (self.values, self.members[me].tail().next());
        match self.members[me].take(next, (epoch, value)) {
            Ok(()) => self.pump(me),
            Err(alarm) => return Err(format!("leader {me}: {alarm}")),
        }
        Ok(())
    }

    /// Sends a leader's followers the records that they lack, durable here or not.
    fn pump(&mut self, me: usize) {
        let (member, mut messages) = (&mut self.members[me], Vec::new());
        let tail = member.tail();
        let Role::Leading(leading, followers) = &mut member.role else { return };
        for (to, next) in followers {
            for (record, lsn) in member.log.iter().zip(1..).skip(next.lsn.0 as usize - 1) {
                let record = Message::Record(next.connection, Lsn(lsn), *record, leading.committed());
                messages.push((*to, record));
            }
            next.lsn = tail.next();
        }
        messages.into_iter().for_each(|(to, message)| self.send(me, to, message));
    }

    fn sync(&mut self, me: usize) -> Result<(), String> {
        self.members[me].sync();
        let tail = self.members[me].tail();
        match (&self.members[me].role, self.members[me].follows) {
            (Role::Leading(..), _) => self.durable(me, me, tail),
            (_, Some(leader)) => {
                let connection = self.members[me].connection;
                self.send(me, leader, Message::Durable(connection, tail));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn durable(&mut self, leader: usize, member: usize, lsn: Lsn) -> Result<(), String> {
        let Role::Leading(leading, _) = &mut self.members[leader].role else { return Ok(()) };
        let before = leading.committed();
        if !leading.durable(&member, lsn) {
            return Ok(());
        }
        let (committed, epoch) = (leading.committed(), leading.epoch());
        self.members[leader].acceptor.know_committed(committed);
        for lsn in before.0 + 1..=committed.0 {
            let at = lsn as usize - 1;
            let record = self.members[leader].log[at];
            match self.committed.get(at) {
                Some(known) if *known != record => {
                    return Err(format!("epoch {epoch} commits {record:?} as record {lsn}, which was {known:?}"));
                }
                Some(_) => {}
                None => self.committed.push(record),
            }
            self.counts.committed += 1;
        }
        Ok(())
    }

    fn join(&mut self, me: usize) -> Result<(), String> {
        let (leader, _) = self.claim;
        let member = &mut self.members[me];
        if me != leader && member.follows.is_none() && matches!(member.role, Role::Idle) {
            self.values += 1;
            member.connection = self.values;
            let join = Message::Join(self.values, member.acceptor.promised(), member.acceptor.history().clone());
            self.send(me, leader, join);
        }
        Ok(())
    }

    fn deliver_one(&mut self) -> Result<(), String> {
        let waiting: Vec<_> = self.links.iter().filter(|(_, link)| !link.is_empty()).map(|(ends, _)| *ends).collect();
        let Some(ends) = self.rng.choice(waiting) else { return Ok(()) };
        let message = self.links.get_mut(&ends).and_then(VecDeque::pop_front);
        message.map_or(Ok(()), |message| self.deliver(ends.0, ends.1, message))
    }

    fn deliver(&mut self, from: usize, me: usize, message: Message) -> Result<(), String> {
        match message {
            Message::Prepare(epoch) => match self.members[me].acceptor.prepare(epoch) {
                Ok(()) => {
                    self.members[me].sync();
                    let leads = match &self.members[me].role {
                        Role::Idle => false,
                        Role::Promoting(promotion) => promotion.epoch() < epoch,
                        Role::Leading(leading, _) => leading.epoch() < epoch,
                    };
                    if leads || self.members[me].follows.is_some() {
                        self.members[me].idle();
                    }
                    let history = self.members[me].acceptor.history().clone();
                    self.send(me, from, Message::Promised(epoch, history));
                }
                Err(refused) => self.reject(me, from, refused),
            },
            Message::Promised(epoch, history) => {
                if let Role::Promoting(promotion) = &mut self.members[me].role
                    && promotion.epoch() == epoch
                {
                    promotion.promised(from, history);
                    return self.promote(me);
                }
            }
            Message::StaleEpoch(refused) => {
                let over = match &self.members[me].role {
                    Role::Idle => false,
                    Role::Promoting(promotion) => promotion.rejected(refused),
                    Role::Leading(leading, _) => refused.promised > leading.epoch(),
                };
                if over {
                    self.members[me].idle();
                }
            }
            Message::Join(connection, promised, history) => self.joined(me, from, connection, promised, &history),
            Message::Start(connection, _) | Message::Record(connection, ..) | Message::Snapshot(connection, ..)
                if connection != self.members[me].connection => {}
            Message::Start(_, start) => match self.members[me].begin(start) {
                Ok(begun) => {
                    self.counts.detached += u64::from(begun.detach.is_some());
                    self.members[me].role = Role::Idle;
                    self.members[me].follows = Some(from);
                }
                Err(alarm) => return self.alarmed(me, from, alarm),
            },
            Message::Record(_, lsn, record, committed) => match self.members[me].take(lsn, record) {
                Ok(()) => self.members[me].acceptor.know_committed(committed),
                Err(alarm) => return self.alarmed(me, from, alarm),
            },
            Message::Snapshot(_, stream, log) => match self.members[me].restart(stream, log) {
                Ok(()) => {
                    self.counts.snapshots += 1;
                    self.members[me].role = Role::Idle;
                    self.members[me].follows = Some(from);
                }
                Err(alarm) => return self.alarmed(me, from, alarm),
            },
            Message::Durable(connection, lsn) => {
                let mine = matches!(&self.members[me].role, Role::Leading(_, followers)
                    if followers.get(&from).is_some_and(|next| next.connection == connection));
                return if mine { self.durable(me, from, lsn) } else { Ok(()) };
            }
            Message::Fetch(epoch, common, until) => self.fetch(me, from, epoch, common, until),
            Message::Fetched(epoch, common, records) => return self.fetched(me, from, epoch, common, records),
        }
        Ok(())
    }

    fn reject(&mut self, me: usize, to: usize, refused: StaleEpoch) {
        self.counts.refused += 1;
        self.send(me, to, Message::StaleEpoch(refused));
    }

    fn alarmed(&mut self, me: usize, from: usize, alarm: Alarm) -> Result<(), String> {
        match alarm {
            Alarm::StaleEpoch(refused) => self.reject(me, from, refused),
            // The record belongs to a stream that has ended.
            Alarm::NoStream => {}
            alarm => return Err(format!("member {me} raises an alarm: {alarm}")),
        }
        Ok(())
    }

    fn joined(&mut self, me: usize, from: usize, connection: u64, promised: Epoch, theirs: &EpochHistory) {
        let member = &mut self.members[me];
        let own = member.acceptor.history();
        let Role::Leading(leading, followers) = &mut member.role else { return };
        let epoch = leading.epoch();
        match leading.joined(&from, promised, theirs, own) {
            Ok(Joined::Start(start)) => {
                followers.insert(from, Next { connection, lsn: start.common.next() });
                self.send(me, from, Message::Start(connection, start));
            }
            Ok(Joined::Snapshot) => {
                let log = member.log[..own.base().0 as usize].to_vec();
                followers.insert(from, Next { connection, lsn: own.base().next() });
                self.send(me, from, Message::Snapshot(connection, epoch, log));
            }
            Err(NotJoined::Over(_)) => self.members[me].idle(),
            Err(NotJoined::Stranger | NotJoined::Unsound) => {
                unreachable!("all are members and report their own history")
            }
        }
        self.pump(me);
    }
}
