//! What each message of another region's leader leads to. No IO: the driver submits and answers.

use super::catalogue;
use crate::{
    import::{History, Import},
    log_state::LogState,
    published::Published,
};
use littoral_model::{
    catalogue::CatalogueChange,
    hlc::Hlc,
    lineage::RegionLineages,
    merge::{MergePolicy, Rank},
    module::ModuleDigest,
    origin::Seen,
    position::{Lsn, Position},
    record::{ChainHash, Payload, Record},
    region::Region,
    token::Watermark,
    view::ViewId,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, PublisherHello, Resume, SubscriberHello, Views},
    subscriber::{Action, Block, BlockCheck, Epochs, Subscriber, Violation},
};
use littoral_replica::Table;
use littoral_wire::{records, rows};
use std::collections::{BTreeMap, HashMap};

/// What only says how far a region's log has come is written down once for so many of its records: writing down each would
/// make the other region write down that, without end.
const MARK_EVERY: u64 = 10_000;

/// Why a stream is ended.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The feed's rules were broken.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// A record or a row cannot be decoded.
    #[error("its leader sent what cannot be read: {0}")]
    Wire(#[from] littoral_wire::Error),
    /// The other leader ends the stream.
    #[error("its leader ended the feed ({code:?}): {message}")]
    Ended {
        /// Why.
        code: ErrorCode,
        /// Its words.
        message: String,
    },
    /// The address leads to another region.
    #[error("this address serves region '{0}', not this one; mend [[regions]] in the leader's configuration")]
    OtherRegion(Region),
    /// The regions' catalogues do not agree: what differs, and what to do.
    #[error("{0}")]
    Apart(String),
}

/// What the driver does next.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    None,
    /// The other leader has this much; everything up to `applied` is here.
    Heard {
        /// Its last record.
        head: Position,
        /// Ours of it.
        applied: Position,
    },
    /// Submit these one after the other, having fetched the modules first; then call [`RegionFeed::done`]. For records that may be
    /// as soon as they are submitted: what follows is refused where they could not be taken. A stream that saw one fail is
    /// ended.
    Submit {
        /// What is to be made durable.
        imports: Vec<Import>,
        /// Modules whose components must be here before.
        modules: Vec<ModuleDigest>,
        /// To be given back when that is done.
        done: Done,
    },
}

/// What holds once everything is submitted.
#[derive(Debug)]
pub enum Done {
    /// A part of a snapshot, or the history of the region's log.
    Part,
    /// The snapshot.
    Snapshot,
    /// Records.
    Block(Block, littoral_model::position::Epoch),
}

/// One stream from another region's leader.
#[derive(Debug)]
pub struct RegionFeed {
    region: Region,
    own: Region,
    is_home: bool,
    subscriber: Subscriber,
    /// What the region had seen of others in blocks that were not worth writing down: it belongs before what comes next.
    carried: BTreeMap<Region, Vec<u8>>,
    /// Whether the region's log is the one whose records are here, and has not lost any of them.
    goes_on: bool,
    /// Whether all that the region has is asked for, as our log was put back to an older copy.
    asks_for_all: bool,
    /// As of when a snapshot is that comes.
    snapshot: Option<(Position, ChainHash)>,
    marked: Lsn,
    /// Up to where of the region's log everything is here or submitted.
    submitted: Lsn,
}

impl RegionFeed {
    /// A stream that goes on where our log stands.
    #[must_use]
    pub fn new(region: Region, own: Region, is_home: bool, known: &LogState, epochs: &Epochs) -> Self {
        let origin = known.origins.get(region);
        // A first snapshot that broke off begins again: it brings what no record of that log does.
        let begun = origin.filter(|origin| origin.position.lsn > Lsn::NONE);
        let resume = begun.map(|origin| Resume { position: origin.position, chain: origin.chain });
        let subscriber = Subscriber::new(resume, epochs.clone(), Views::ForRegion(own));
        let subscriber =
            subscriber.with_lives(RegionLineages::clone(&known.lives)).with_rows_up_to(known.holds_past(region));
        let marked = resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
        let (carried, goes_on, snapshot, asks_for_all) = (BTreeMap::new(), true, None, known.asks_for_all(region));
        Self { region, own, is_home, subscriber, carried, goes_on, asks_for_all, snapshot, marked, submitted: marked }
    }

    /// The first message to send.
    #[must_use]
    pub fn hello(&self, name: &str) -> SubscriberHello {
        self.subscriber.hello(name)
    }

    /// Where the stream stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.subscriber.resume().map_or_else(Position::default, |resume| resume.position)
    }

    /// A message has come. `ours` is what is applied here by now, and `table` the rows.
    ///
    /// # Errors
    /// [`Fault`]: end the stream.
    pub fn receive(
        &mut self,
        message: Downstream,
        epochs: &mut Epochs,
        (ours, table): (&Published, &Table),
    ) -> Result<Step, Fault> {
        let effect = self.subscriber.receive(message).inspect_err(|violation| epochs.note_rejected(violation))?;
        Ok(match effect {
            Action::Greeted(hello) if hello.region != self.region => return Err(Fault::OtherRegion(hello.region)),
            Action::Greeted(hello) => {
                epochs.note_seen(hello.head.incarnation, self.subscriber.epoch());
                epochs.note_followed(self.subscriber.lives());
                self.greeted(&hello, ours)
            }
            Action::BeginSnapshot { as_of, chain, watermark, catalogue, .. } => {
                self.snapshot = Some((as_of, chain));
                let seen = Import { seen: self.seen(&watermark, ours), ..self.import(as_of, Vec::new(), None) };
                if !self.is_home {
                    catalogue::check_same(&ours.catalogue, &catalogue, self.region).map_err(Fault::Apart)?;
                    return Ok(Step::Submit { imports: vec![seen], modules: Vec::new(), done: Done::Part });
                }
                let of = (self.region, as_of);
                let changes = match self.asks_for_all && !ours.catalogue.is_blank() {
                    true => catalogue::additions(&ours.catalogue, &catalogue, of)?,
                    false => catalogue::changes(&ours.catalogue, &catalogue, of, self.goes_on)?,
                };
                let modules = catalogue.modules().map(|module| module.digest).collect();
                Step::Submit { imports: vec![changes, seen], modules, done: Done::Part }
            }
            Action::AddRows { bytes, .. } => {
                let Some((as_of, _)) = self.snapshot else { return Ok(Step::None) };
                let mut block = Vec::with_capacity(bytes.len() * 5 / 4);
                let merges: HashMap<_, _> = ours.catalogue.views().map(|view| (view.id, view.merge)).collect();
                for row in rows::iter(&bytes) {
                    let row = row?.ok_or_else(|| Violation::Damaged("a snapshot holds an empty row".to_owned()))?;
                    // Most of it is here already, or outranked.
                    let merge = merges.get(&row.view).copied().unwrap_or_default();
                    let rank = Rank { event_time: row.event_time, version: row.version };
                    if !has(table, merge, (row.view, row.key), rank) {
                        records::push(&mut block, &catalogue::row_record(&row))?;
                    }
                }
                let import = Import { snapshot: true, ..self.import(as_of, block, None) };
                Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Part }
            }
            Action::FinishSnapshot => {
                let Some((as_of, chain)) = self.snapshot.take() else { return Ok(Step::None) };
                let import = self.import(as_of, Vec::new(), Some((as_of.lsn, chain)));
                self.submitted = as_of.lsn;
                Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Snapshot }
            }
            Action::Apply(block) => self.block(block, ours, table)?,
            Action::Heard { head, .. } => Step::Heard { head, applied: self.position() },
            Action::Compare(_) => Step::None,
            Action::End { code, message } => return Err(Fault::Ended { code, message }),
        })
    }

    /// What a step asked for is done.
    pub fn done(&mut self, done: &Done, epochs: &mut Epochs) {
        if let Done::Block(block, epoch) = done {
            self.subscriber.applied(block, *epoch);
            epochs.note_seen(self.position().incarnation, self.subscriber.epoch());
        }
    }

    /// The region's leader has answered: what is new of its log's history is written down before anything else.
    fn greeted(&mut self, hello: &PublisherHello, ours: &Published) -> Step {
        let theirs = self.subscriber.lives();
        let known = ours.lives.get(self.region);
        let had = ours.origins.get(self.region).is_some_and(|origin| origin.position.lsn > Lsn::NONE);
        self.goes_on = hello.forked.is_none() && had && known.is_some_and(|known| known.log() == theirs.log());
        if let Some(fork) = hello.forked {
            let kept = self.marked.min(fork.position.lsn);
            (self.marked, self.submitted) = (kept, kept);
        }
        if hello.forked.is_none() && known.map_or(theirs.starts().len() == 1, |known| known == theirs) {
            return Step::Heard { head: hello.head, applied: self.position() };
        }
        let history = History { lives: theirs.clone(), forked: hello.forked };
        let import = Import { history: Some(Box::new(history)), ..self.import(hello.head, Vec::new(), None) };
        Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Part }
    }

    fn import(&self, at: Position, records: Vec<u8>, through: Option<(Lsn, ChainHash)>) -> Import {
        let (region, incarnation, seen) = (self.region, at.incarnation, Vec::new());
        let (records, snapshot, after) = (records.into(), false, Lsn::NONE);
        Import { region, incarnation, history: None, records, snapshot, seen, through, after }
    }

    /// What the region had seen of us and of others when it took its snapshot.
    fn seen(&self, theirs: &Watermark, ours: &Published) -> Vec<Seen> {
        let of = |(region, incarnation, lsn)| {
            let at = Position { incarnation, lsn };
            if region == self.own && ours.lives.reaches(region, ours.position, at) {
                return Some(Seen { region, lsn, hlc: Hlc::default() });
            }
            // Of a third region the clock is needed: known when they had all that we have.
            let origin = ours.origins.get(region)?;
            let has_all = region != self.own && ours.lives.reaches(region, at, origin.position);
            has_all.then_some(Seen { region, lsn, hlc: origin.hlc })
        };
        theirs.iter().filter_map(of).collect()
    }

    fn block(&mut self, block: Block, ours: &Published, table: &Table) -> Result<Step, Fault> {
        let mut check = BlockCheck::new(&block);
        let mut modules = Vec::new();
        let mut content = false;
        // Rows that came to the region by no number of their origin are here already, nearly always.
        let mut known = Vec::new();
        for record in records::iter(&block.bytes) {
            let record: Record<'_> = record?;
            check.record(&record)?;
            match &record.payload {
                _ if has_foreign(&record, ours, table) => known.push(record.lsn),
                Payload::Through { .. } if !content => {
                    let mut kept = Vec::new();
                    records::push(&mut kept, &record)?;
                    self.carried.insert(record.origin, kept);
                }
                Payload::Through { .. } => {}
                // Known since the region's leader has answered.
                Payload::Begin { .. } => {}
                Payload::Catalogue(change) => {
                    content = true;
                    if let CatalogueChange::PutModule(module) = &**change {
                        modules.push(module.digest);
                    }
                }
                _ => content = true,
            }
        }
        let epoch = check.finish()?;
        let mut imports = Vec::new();
        if content || block.last.0 - self.marked.0.min(block.last.0) >= MARK_EVERY {
            // Carried first: what the block itself begins with is among it, and repeats no harm.
            let mut bytes: Vec<u8> = std::mem::take(&mut self.carried).into_values().flatten().collect();
            if known.is_empty() {
                bytes.extend_from_slice(&block.bytes);
            } else {
                for record in records::iter(&block.bytes) {
                    let record = record?;
                    // Both are in the order of the log.
                    if known.binary_search(&record.lsn).is_err() {
                        records::push(&mut bytes, &record)?;
                    }
                }
            }
            let import = self.import(self.position(), bytes, Some((block.last, block.chain_after)));
            imports.push(Import { after: self.submitted, ..import });
            (self.marked, self.submitted) = (block.last, block.last);
        }
        Ok(Step::Submit { imports, modules, done: Done::Block(block, epoch) })
    }
}

/// Whether a row is here, or one that outranks it.
fn has(table: &Table, merge: MergePolicy, (view, key): (ViewId, &[u8]), rank: Rank) -> bool {
    table.held(view, key).is_some_and(|held| !merge.replaces(rank, held.rank()))
}

/// Whether a record is a row that came to its sender by no number of its origin, and is here.
fn has_foreign(record: &Record<'_>, ours: &Published, table: &Table) -> bool {
    let (Payload::Row { view, event_time, key, .. } | Payload::Tombstone { view, event_time, key }) = &record.payload
    else {
        return false;
    };
    if record.origin_lsn != Lsn::NONE {
        return false;
    }
    let merge = ours.catalogue.view_by_id(*view).map_or_else(MergePolicy::default, |view| view.merge);
    has(table, merge, (*view, key), Rank { event_time: *event_time, version: record.version() })
}
