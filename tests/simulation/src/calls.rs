//! The calls next to the feed: requests for fills and buckets, and their replies.

use crate::{
    edge::WaitingKey,
    event::Event,
    leader::RESIDENT,
    network::Target,
    world::{RELAY, World},
};
use littoral_edge_core::{
    Replica,
    anti_entropy::{Reach, Wanted, may_insert_bucket, reach},
    fills::{self, Fill, Outcome, Requested, Verdict},
};
use littoral_model::{
    digest::BucketRows,
    position::Position,
    read::{ReadError, ViewRead},
    row::Row,
};
use littoral_wire::rows;
use std::{sync::Arc, time::Duration};

/// The call, and its reply once it has one.
enum Request {
    Fill {
        fills: Vec<Fill>,
        replica: Option<Arc<Replica>>,
        answer: Option<(Position, Vec<u8>)>,
    },
    /// For this round of the edge's anti-entropy.
    Bucket {
        replica: Arc<Replica>,
        round: u64,
        wanted: Wanted,
        answer: Option<BucketRows>,
    },
}

/// A call in flight.
pub(crate) struct Call {
    pub(crate) edge: usize,
    to: Target,
    /// The number of the stream next to which it was made.
    stream: u64,
    /// Whether its reply may have rows of both histories of a log that was rolled back while its leader ran.
    mixed: bool,
    at: Duration,
    /// Whether it survives the end of its stream.
    outlives: bool,
    request: Request,
}

impl World {
    /// Starts as many calls as the edge's fills need.
    pub(crate) fn begin_call(&mut self, edge: usize) {
        let Some(fills) = self.edges[edge].fills.next_call() else { return };
        let may_request_rows = self.edges[edge].follower.may_request_rows();
        let Some(stream) = self.streams[edge].as_ref().filter(|_| may_request_rows) else {
            return self.fail_call(edge, fills);
        };
        let to = stream.target;
        let replica = self.edges[edge].replica().cloned();
        let call = self.call(edge, to, Request::Fill { fills, replica, answer: None });
        self.calls.push(call);
    }

    fn call(&mut self, edge: usize, to: Target, request: Request) -> Call {
        let outlives = !self.healed && self.random.one_in(4);
        let stream = self.streams[edge].as_ref().map_or(0, |stream| stream.number);
        Call { edge, to, stream, mixed: false, at: self.arrival(), outlives, request }
    }

    /// There is no connection to the leader: all waiters fail, including those that joined in the meantime.
    fn fail_call(&mut self, edge: usize, mut fills: Vec<Fill>) {
        loop {
            for fill in fills {
                self.finish_fill(edge, &fill.key, &Err(ReadError::LeaderUnavailable("cut".to_owned())));
            }
            match self.edges[edge].fills.next_call() {
                Some(next) => fills = next,
                None => return,
            }
        }
    }

    /// Drops the calls of an edge whose stream has ended, except for some that arrive late.
    pub(crate) fn cut_calls(&mut self, edge: usize, all: bool) {
        let (ended, remaining) =
            std::mem::take(&mut self.calls).into_iter().partition(|call| call.edge == edge && (all || !call.outlives));
        self.calls = remaining;
        let ended: Vec<Call> = ended;
        for call in ended {
            match call.request {
                Request::Fill { fills, .. } => self.fail_call(edge, fills),
                Request::Bucket { round, .. } => self.bucket_not_repaired(edge, round),
            }
        }
    }

    /// Records that a bucket could not be fetched. The edge may serve another replica by now, with another round of
    /// anti-entropy.
    fn bucket_not_repaired(&mut self, edge: usize, round: u64) {
        let state = &mut self.edges[edge];
        state.repair.take_if(|(repair, _)| repair.round() == round);
        state.anti_entropy.not_repaired(round);
    }

    /// Requests the next bucket that needs repair, or applies the received one.
    pub(crate) fn continue_repair(&mut self, edge: usize) {
        let Some(replica) = self.edges[edge].replica().cloned() else { return };
        let target = self.streams[edge].as_ref().map(|stream| stream.target);
        let state = &mut self.edges[edge];
        let Some((repair, read)) = &mut state.repair else { return };
        let round = repair.round();
        if let Some(received) = read.take() {
            let reached = reach(&replica.point.load(), received.as_of);
            match reached {
                Reach::Behind => *read = Some(received),
                Reach::Reached if !may_insert_bucket(&replica, &received) => {
                    state.repair = None;
                    state.anti_entropy.not_repaired(round);
                }
                Reach::OtherLog => {
                    state.repair = None;
                    state.anti_entropy.not_repaired(round);
                }
                Reach::Reached => {
                    if let Some(chunk) = repair.chunk(received) {
                        let repaired = replica.table.repair_in(replica.generation, &chunk);
                        replica.holds(repaired.exact_from);
                        let complete = repair.repaired(repaired).is_some();
                        self.note(Event::Repaired { edge, repaired, complete });
                    }
                }
            }
            return;
        }
        if self.calls.iter().any(|call| call.edge == edge && matches!(call.request, Request::Bucket { .. })) {
            return;
        }
        match (repair.wants(), target) {
            (None, _) => {
                let exact_from = repair.exact_from();
                state.repair = None;
                state.anti_entropy.repaired(round, exact_from);
            }
            (Some(_), None) => {
                state.repair = None;
                state.anti_entropy.not_repaired(round);
            }
            (Some(wanted), Some(target)) => {
                // A relay forwards the call, because its own rows may be the ones that need repair.
                let target = if target == Target::Relay { Target::Leader } else { target };
                let call = self.call(edge, target, Request::Bucket { replica, round, wanted, answer: None });
                self.calls.push(call);
            }
        }
    }

    pub(crate) fn deliver_calls(&mut self) -> Result<(), String> {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.calls).into_iter().partition(|call| call.at <= now);
        self.calls = later;
        let due: Vec<Call> = due;
        for call in due {
            self.deliver_call(call)?;
        }
        Ok(())
    }

    fn deliver_call(&mut self, mut call: Call) -> Result<(), String> {
        let edge = call.edge;
        let (to, slow) = (call.to, !self.healed && self.random.one_in(3));
        // An edge requests no rows before it has accepted the hello of its publisher. A relay forwards calls to a
        // leader that the edge does not follow.
        let stream = self.streams[edge].as_ref().filter(|stream| stream.number == call.stream && stream.target == to);
        call.mixed |= stream.is_none_or(|stream| stream.greeted) && self.is_mixed(to);
        let back = self.arrival() + if slow { self.random.ms(50, 400) } else { Duration::ZERO };
        match &mut call.request {
            Request::Fill { fills, answer: answer @ None, .. } => match self.read_at(to, &fills::reads(fills))? {
                Some(read) => {
                    *answer = Some(read);
                    call.at = back;
                    self.calls.push(call);
                }
                None => {
                    if let Request::Fill { fills, .. } = call.request {
                        self.fail_call(edge, fills);
                    }
                }
            },
            Request::Bucket { round, wanted: Wanted { view, bucket, after }, answer: answer @ None, .. } => {
                let leader = if to == Target::Old { self.old.as_ref() } else { Some(&self.leader) };
                *answer = leader.map(|leader| leader.bucket(*view, *bucket, after.as_deref()));
                if answer.is_none() {
                    let round = *round;
                    self.bucket_not_repaired(edge, round);
                    return Ok(());
                }
                call.at = back;
                self.calls.push(call);
            }
            Request::Fill { .. } | Request::Bucket { .. } => self.deliver_answer(call)?,
        }
        Ok(())
    }

    fn deliver_answer(&mut self, call: Call) -> Result<(), String> {
        let edge = call.edge;
        match call.request {
            Request::Bucket { replica, round, answer, .. } => {
                let served = self.edges[edge].serves(&replica);
                self.edges[edge].mixed |= call.mixed && served;
                if let (true, Some((repair, read))) = (served, &mut self.edges[edge].repair)
                    && repair.round() == round
                {
                    *read = answer;
                }
            }
            Request::Fill { fills, replica, answer: Some((as_of, block)) } => {
                // A reply for a replica that was replaced does not concern the one that is served.
                let served = replica.as_ref().is_none_or(|replica| self.edges[edge].serves(replica));
                self.edges[edge].mixed |= call.mixed && served;
                let mut rows = rows::iter(&block);
                for fill in fills {
                    let row = rows.next().ok_or("an answer had no entry")?.map_err(|error| error.to_string())?;
                    match fills::settle(replica.as_deref(), &fill, row.map(|row| row.to_row()), as_of) {
                        Verdict::Finish(answered) => {
                            self.note(Event::Filled { edge, as_of: as_of.lsn });
                            self.finish_fill(edge, &fill.key, &Ok(answered));
                        }
                        Verdict::Again => {
                            self.note(Event::FillOvertaken { edge, as_of: as_of.lsn });
                            self.edges[edge].fills.again(fill);
                        }
                    }
                }
                self.begin_call(edge);
            }
            Request::Fill { .. } => {}
        }
        Ok(())
    }

    /// Reads rows of the target, and the position of the read: the position is taken first.
    fn read_at(&self, target: Target, reads: &[ViewRead]) -> Result<Option<(Position, Vec<u8>)>, String> {
        let (as_of, table) = match target {
            Target::Leader => (self.leader.head(), self.leader.table.clone()),
            Target::Old => match &self.old {
                Some(old) => (old.head(), old.table.clone()),
                None => return Ok(None),
            },
            Target::Relay => match self.edges[RELAY].replica() {
                Some(replica) => (replica.position(), replica.table.clone()),
                None => return Ok(None),
            },
        };
        let mut block = Vec::new();
        for read in reads {
            let (mut rows, mut unknown): (Vec<Option<Row>>, Vec<u32>) = (Vec::new(), Vec::new());
            table.read(read.view, &read.keys, &mut rows, &mut unknown);
            for row in &rows {
                rows::push(&mut block, row.as_ref()).map_err(|error| error.to_string())?;
            }
        }
        Ok(Some((as_of, block)))
    }

    fn finish_fill(&mut self, edge: usize, key: &fills::Key, outcome: &Outcome) {
        for waiting in self.edges[edge].fills.finish(key) {
            self.filled(waiting, outcome);
        }
    }

    /// Requests a key for a read.
    pub(crate) fn request_key(&mut self, edge: usize, key: &[u8], waiting: WaitingKey) {
        if let Ok(Requested::Call) = self.edges[edge].fills.request(RESIDENT, key, waiting) {
            self.begin_call(edge);
        }
    }
}
