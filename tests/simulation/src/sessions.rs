//! Clients: they write, retry unanswered writes, and read with the tokens that they have received.

use crate::{
    edge::WaitingKey,
    event::Event,
    history::Write,
    leader::{FULL, KEYS, RESIDENT, RESTRICTED, key, request, restricted_key, write, writes_of},
    world::World,
};
use littoral_edge_core::{
    demand::{self, Unmet},
    fills::Outcome,
    read::{self, FillFailure, FillingRead, KeyIndex},
};
use littoral_leader_core::LogCommand;
use littoral_model::{
    entity_key::KeyBatch,
    freshness::ReadDemand,
    hlc::Hlc,
    position::{Incarnation, Lsn, Position},
    read::{ReadRequest, ViewRead},
    row::Row,
    token::Watermark,
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use littoral_protocol::frame::Resume;
use std::{cell::Cell, collections::BTreeSet, rc::Rc, time::Duration};

/// How long a read waits for its demand.
const READ_MAX: Duration = Duration::from_millis(400);

/// One client.
#[derive(Default)]
pub(crate) struct Session {
    /// An unanswered write: it is retried under its key.
    unanswered: Option<WriteRequest>,
    /// The number of idempotency keys that it has used.
    keys: u64,
    /// The token that it has received, from writes and reads.
    token: Option<Watermark>,
}

/// A waiting read.
pub(crate) struct Read {
    id: u64,
    session: usize,
    pub(crate) edge: usize,
    demand: ReadDemand,
    request: ReadRequest,
    until: Duration,
    abandoned: Rc<Cell<bool>>,
    /// The position that the answer states, once it is decided: the read then only waits for fills.
    stated: Option<Resume>,
    filling: Option<FillingRead>,
    pending_fills: usize,
    /// Rows of the full view that were corrupted in memory when they were read.
    corrupted: BTreeSet<u64>,
    /// The history that it is checked against, once it states a position.
    history: Incarnation,
    /// Whether its edge may hold rows of both histories of a log that was rolled back while its leader ran.
    mixed: bool,
    rows: Vec<Vec<Option<Row>>>,
}

/// The client that waits for a command of a batch; none for the leader's own commands.
struct Writer {
    session: usize,
    request: WriteRequest,
}

impl World {
    /// Some clients write, in one batch of the leader.
    pub(crate) fn write(&mut self) -> Result<(), String> {
        let (commands, writers) = self.next_commands()?;
        let built = self.leader.build(commands, self.now);
        let (fresh, from) = (built.fresh(), self.leader.head().lsn.next());
        match self.leader.append(built) {
            Ok(answers) => self.acknowledged(from, writers, answers),
            Err(reason) => {
                self.rejected(from, writers, &fresh, reason);
                Ok(())
            }
        }
    }

    /// Returns the writes of some clients, and the leader's own commands.
    fn next_commands(&mut self) -> Result<(Vec<LogCommand>, Vec<Option<Writer>>), String> {
        let (mut commands, mut writers) = (Vec::new(), Vec::new());
        for session in 0..self.sessions.len() {
            if !self.random.one_in(2) && !commands.is_empty() {
                continue;
            }
            let request = match self.sessions[session].unanswered.take() {
                Some(request) => request,
                None => self.next_write(session),
            };
            commands.push(self.valid(&request)?);
            writers.push(Some(Writer { session, request }));
        }
        if self.random.one_in(6) {
            let before = Hlc::new(self.leader.now_ms(self.now).saturating_sub(self.random.below(200)), 0);
            if self.leader.table.tombstones_before(before) > 0 {
                commands.push(LogCommand::Collect(before));
                writers.push(None);
            }
        }
        Ok((commands, writers))
    }

    fn valid(&self, request: &WriteRequest) -> Result<LogCommand, String> {
        let checked = self.leader.check(request.clone(), self.now);
        checked.map_err(|error| format!("a valid write is rejected: {error}"))
    }

    fn acknowledged(
        &mut self,
        from: Lsn,
        writers: Vec<Option<Writer>>,
        answers: Vec<Result<WriteReceipt, WriteError>>,
    ) -> Result<(), String> {
        // A command without records was not written: an earlier failed batch may still be on the disk.
        if self.leader.head().lsn >= from {
            self.pending = Vec::new();
        }
        self.record(from)?;
        self.note(Event::Acknowledged { from, last: self.leader.head().lsn });
        for (writer, answer) in writers.into_iter().zip(answers) {
            let receipt = answer.map_err(|error| format!("a valid write is rejected: {error}"))?;
            let Some(Writer { session, request }) = writer else { continue };
            self.what_is_acknowledged_is_in_the_log(&receipt, &request)?;
            // Some answers are lost: the client retries the write.
            if request.idempotency_key.is_some() && self.random.one_in(3) {
                self.sessions[session].unanswered = Some(request);
                continue;
            }
            // A retry is answered with the original receipt.
            if !receipt.duplicate {
                self.sessions[session].token = Some(receipt.token);
            }
        }
        Ok(())
    }

    /// A batch was rejected. What was written of it, the commands that are `fresh`, may still be on the disk.
    fn rejected(&mut self, from: Lsn, writers: Vec<Option<Writer>>, fresh: &[bool], reason: String) {
        self.note(Event::Rejected { from, reason });
        let rows = writers.iter().zip(fresh).filter(|(_, fresh)| **fresh).filter_map(|(writer, _)| writer.as_ref());
        self.pending = rows.flat_map(|writer| writes_of(&writer.request)).collect();
        for Writer { session, request } in writers.into_iter().flatten() {
            if request.idempotency_key.is_some() {
                self.sessions[session].unanswered = Some(request);
            }
        }
    }

    fn next_write(&mut self, session: usize) -> WriteRequest {
        let mut rows: Vec<Write> = (0..=self.random.below(2)).map(|_| write(&mut self.random, self.now)).collect();
        // An idempotency key belongs to one project.
        let is_restricted = self.restrict(&mut rows);
        let named = self.random.one_in(2);
        let state = &mut self.sessions[session];
        state.keys += u64::from(named);
        let key = format!("client {session} write {}", state.keys);
        request(&rows, named.then(|| if is_restricted { restricted_key(key) } else { key }))
    }

    /// Makes some writes those of [`RESTRICTED`] in a world with a residency rule. Returns whether these are.
    pub(crate) fn restrict(&mut self, rows: &mut [Write]) -> bool {
        let is_restricted = self.rule.is_some() && self.random.one_in(3);
        if is_restricted {
            rows.iter_mut().for_each(|row| row.view = RESTRICTED);
        }
        is_restricted
    }

    fn what_is_acknowledged_is_in_the_log(&self, receipt: &WriteReceipt, request: &WriteRequest) -> Result<(), String> {
        let (first, last) = (receipt.first, receipt.position.lsn);
        let rows: Vec<Write> = (first.0..=last.0)
            .filter_map(|lsn| match &self.history().entry(Lsn(lsn))?.content {
                crate::history::Content::Write(write) => Some(write.clone()),
                _ => None,
            })
            .collect();
        if rows != writes_of(request) {
            return Err(format!("a write is acknowledged as records {first} to {last}, which have other content"));
        }
        let outranked: Vec<u32> =
            (0..rows.len() as u32).filter(|row| !self.history().kept(first.advance((*row).into()))).collect();
        if receipt.outranked.rows != outranked {
            let reported = &receipt.outranked.rows;
            return Err(format!(
                "of the records {first} to {last}, rows {outranked:?} are outranked, but {reported:?} are reported"
            ));
        }
        Ok(())
    }

    /// All clients discard their tokens of a log that is lost.
    pub(crate) fn reset_sessions(&mut self) {
        for session in &mut self.sessions {
            (session.unanswered, session.token) = (None, None);
            // Keys of the lost log must not be mistaken for retries.
            session.keys += 1_000;
        }
        self.reads.clear();
    }

    /// A client reads keys of both views at an edge, with its token.
    pub(crate) fn begin_read(&mut self, edge: usize) -> Result<(), String> {
        // Memory is short: rows are evicted.
        if self.random.one_in(2) {
            let number = self.random.below(KEYS);
            self.edges[edge].evict(number);
        }
        let session = self.random.below(self.sessions.len() as u64) as usize;
        let mut reads = Vec::new();
        let reads_restricted = self.rule.is_some() && self.random.one_in(2) && !self.edges[edge].is_outside();
        for view in [FULL, RESIDENT].into_iter().chain(reads_restricted.then_some(RESTRICTED)) {
            let mut keys = KeyBatch::default();
            (0..=self.random.below(2)).for_each(|_| keys.push(&key(self.random.below(KEYS))));
            reads.push(ViewRead { view, keys });
        }
        let token = self.sessions[session].token.as_ref().filter(|_| !self.random.one_in(4));
        let at_least = token.map(|token| token.to_string().parse()).transpose();
        let demand = ReadDemand {
            at_least: at_least.map_err(|_| "a token does not survive being text")?,
            max_staleness: self.random.one_in(6).then(|| self.random.ms(5, 100)),
            ..ReadDemand::default()
        };
        self.last_read += 1;
        let request = ReadRequest { reads, demand: demand.clone() };
        self.reads.push(Read {
            id: self.last_read,
            session,
            edge,
            demand,
            request,
            until: self.now + READ_MAX,
            abandoned: Rc::default(),
            stated: None,
            filling: None,
            pending_fills: 0,
            corrupted: BTreeSet::new(),
            history: Incarnation::default(),
            mixed: false,
            rows: Vec::new(),
        });
        self.check_read(self.reads.len() - 1)
    }

    /// Checks the waiting reads, and abandons those that have waited too long.
    pub(crate) fn check_reads(&mut self) -> Result<(), String> {
        let mut index = 0;
        while index < self.reads.len() {
            let read = &self.reads[index];
            if read.until <= self.now || read.abandoned.get() {
                read.abandoned.set(true);
                let read = self.reads.swap_remove(index);
                self.note(Event::ReadAbandoned { edge: read.edge, read: read.id });
                continue;
            }
            let before = self.reads.len();
            self.check_read(index)?;
            index += usize::from(self.reads.len() == before);
        }
        Ok(())
    }

    fn check_read(&mut self, index: usize) -> Result<(), String> {
        let history = self.edges[self.reads[index].edge].replica().map(|replica| self.log_at(replica));
        let read = &mut self.reads[index];
        let state = &self.edges[read.edge];
        if read.stated.is_none() {
            let (Some(replica), Some(history)) = (state.replica(), history) else { return Ok(()) };
            let point = replica.point.load_full();
            let staleness = state.fresh_at.map(|at| state.now(self.now).saturating_sub(at));
            match demand::unmet(&read.demand, &point, staleness) {
                None => {}
                Some(Unmet::Lost { token }) => {
                    read.abandoned.set(true);
                    return self.a_token_is_lost_only_when_its_record_is(&token, history);
                }
                Some(_) => return Ok(()),
            }
            let mut misses = Vec::new();
            read::local(replica, &read.request, &mut read.rows, &mut misses);
            (read.corrupted, read.history, read.mixed) = (state.corrupted.clone(), history, state.mixed);
            read.stated = Some(point.resume);
            read.filling = Some(FillingRead::new(replica, point.resume.position, misses));
        }
        if read.pending_fills > 0 {
            return Ok(());
        }
        let Some(filling) = &mut read.filling else { return Ok(()) };
        let key_indexes = match filling.next_round() {
            Ok(key_indexes) => key_indexes,
            // The read starts over.
            Err(FillFailure::Replaced) => {
                (read.stated, read.filling) = (None, None);
                return Ok(());
            }
            Err(FillFailure::Failed(_)) => {
                read.abandoned.set(true);
                return Ok(());
            }
        };
        if key_indexes.is_empty() {
            let read = self.reads.swap_remove(index);
            return self.answered(&read);
        }
        read.pending_fills = key_indexes.len();
        let (edge, id, abandoned) = (read.edge, read.id, read.abandoned.clone());
        let requests: Vec<(KeyIndex, Vec<u8>)> = key_indexes
            .into_iter()
            .map(|key_index| {
                (key_index, read.request.reads[key_index.0 as usize].keys.get(key_index.1 as usize).to_vec())
            })
            .collect();
        for (key_index, key) in requests {
            self.request_key(edge, &key, WaitingKey { read: id, index: key_index, abandoned: abandoned.clone() });
        }
        Ok(())
    }

    /// Delivers the outcome of a fill to its read.
    pub(crate) fn filled(&mut self, waiting: WaitingKey, outcome: &Outcome) {
        let Some(read) = self.reads.iter_mut().find(|read| read.id == waiting.read) else { return };
        let Some(filling) = &mut read.filling else { return };
        match outcome {
            Ok(answered) => filling.filled(waiting.index, answered.clone(), &mut read.rows),
            Err(_) => read.abandoned.set(true),
        }
        read.pending_fills -= 1;
    }

    /// Checks the answer of a read, and records its token for the client.
    fn answered(&mut self, read: &Read) -> Result<(), String> {
        let Some(stated) = read.stated else { return Ok(()) };
        let Position { incarnation, lsn } = stated.position;
        self.note(Event::Answered { edge: read.edge, read: read.id, position: stated.position });
        self.an_answer_holds_what_it_states_and_what_was_demanded(read, stated.position)?;
        if self.log_of(incarnation) == self.leader_log && read.history == self.leader_log {
            let reached = Watermark::at(crate::leader::region(), incarnation, lsn);
            let of_log = |(life, known): (Incarnation, Lsn)| (self.log_of(life), known);
            let token = self.sessions[read.session].token.as_ref();
            let known = token.and_then(|token| token.get(crate::leader::region())).map(of_log);
            if known.is_none_or(|(log, known)| log == self.log_of(incarnation) && known <= lsn) {
                self.sessions[read.session].token = Some(reached);
            }
        }
        Ok(())
    }

    /// Returns whether a record of a life is in this history.
    fn has(&self, history: Incarnation, life: Incarnation, lsn: Lsn) -> bool {
        let of = |history| self.histories.get(&history).and_then(|history| history.entry(lsn)).map(|entry| entry.chain);
        lsn == Lsn::NONE || of(history).is_some_and(|chain| of(self.log_of(life)) == Some(chain))
    }

    fn a_token_is_lost_only_when_its_record_is(&self, token: &Watermark, history: Incarnation) -> Result<(), String> {
        let certain = |life| !self.ambiguous.contains(&history) && !self.ambiguous.contains(&self.log_of(life));
        let here = |(life, lsn): &(Incarnation, Lsn)| certain(*life) && self.has(history, *life, *lsn);
        match token.get(crate::leader::region()).filter(here) {
            Some(_) => Err(format!("the token '{token}' is reported as lost, but its record is in the log")),
            None => Ok(()),
        }
    }

    fn an_answer_holds_what_it_states_and_what_was_demanded(
        &self,
        read: &Read,
        stated: Position,
    ) -> Result<(), String> {
        let is_certain = !self.ambiguous.contains(&read.history) || !(read.mixed || self.edges[read.edge].mixed);
        let history = self.histories.get(&read.history).filter(|_| is_certain);
        let Some(history) = history else { return Ok(()) };
        let token = read.demand.at_least.as_ref().and_then(|token| token.get(crate::leader::region()));
        let demanded = match token {
            Some((life, _)) if self.ambiguous.contains(&self.log_of(life)) => Lsn::NONE,
            Some((life, lsn)) if self.has(read.history, life, lsn) => lsn,
            Some(_) if self.ambiguous.contains(&read.history) => Lsn::NONE,
            Some(_) => return Err(format!("a token of another log was accepted as reached at {stated}")),
            None => Lsn::NONE,
        };
        for (view_read, rows) in read.request.reads.iter().zip(&read.rows) {
            for (key, row) in view_read.keys.iter().zip(rows) {
                if view_read.view == FULL && read.corrupted.iter().any(|number| crate::leader::key(*number) == key) {
                    continue;
                }
                let body = row.as_ref().map(Row::body);
                for (from, name) in [(stated.lsn, "its position"), (demanded, "the demanded token")] {
                    if !history.since(view_read.view, key, from).contains(&body) {
                        let ViewId(view) = view_read.view;
                        let edge = read.edge;
                        return Err(format!(
                            "edge {edge} answers {body:?} for {key:?} of view {view}, older than {name}, {from}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
