//! What each message of another region's leader leads to. No IO: the driver submits and answers.

use super::catalogue;
use crate::{import::Import, published::Published};
use littoral_model::{
    catalogue::CatalogueChange,
    hlc::Hlc,
    merge::{MergePolicy, Rank},
    module::ModuleDigest,
    origin::{Origin, Seen},
    position::{Lsn, Position},
    record::{ChainHash, Payload, Record},
    region::Region,
    token::Watermark,
    view::ViewId,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Resume, SubscriberHello, Views},
    subscriber::{Block, BlockCheck, Effect, Epochs, Subscriber, Violation},
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
    /// Submit these one after the other, having fetched the modules first; then call [`Taking::done`]. For records that may be
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
    /// A part of a snapshot.
    Part,
    /// The snapshot.
    Snapshot,
    /// Records.
    Block(Block, littoral_model::position::Epoch),
}

/// One stream from another region's leader.
#[derive(Debug)]
pub struct Taking {
    region: Region,
    own: Region,
    is_home: bool,
    subscriber: Subscriber,
    /// What the region had seen of others in blocks that were not worth writing down: it belongs before what comes next.
    carried: BTreeMap<Region, Vec<u8>>,
    /// As of when a snapshot is that comes.
    snapshot: Option<(Position, ChainHash)>,
    marked: Lsn,
    /// Up to where of the region's log everything is here or submitted.
    submitted: Lsn,
}

impl Taking {
    /// A stream that goes on where our log stands.
    #[must_use]
    pub fn new(region: Region, own: Region, is_home: bool, origin: Option<&Origin>, epochs: &Epochs) -> Self {
        // A first snapshot that broke off begins again: it brings what no record of that log does.
        let begun = origin.filter(|origin| origin.position.lsn > Lsn::NONE);
        let resume = begun.map(|origin| Resume { position: origin.position, chain: origin.chain });
        let subscriber = Subscriber::new(resume, epochs.clone(), Views::ForRegion(own));
        let marked = resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
        Self { region, own, is_home, subscriber, carried: BTreeMap::new(), snapshot: None, marked, submitted: marked }
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
    pub fn take(
        &mut self,
        message: Downstream,
        epochs: &mut Epochs,
        (ours, table): (&Published, &Table),
    ) -> Result<Step, Fault> {
        Ok(match self.subscriber.receive(message)? {
            Effect::Greeted(hello) if hello.region != self.region => return Err(Fault::OtherRegion(hello.region)),
            Effect::Greeted(hello) => {
                epochs.seen(hello.head.incarnation, self.subscriber.epoch());
                Step::Heard { head: hello.head, applied: self.position() }
            }
            Effect::BeginSnapshot { as_of, chain, watermark, catalogue, .. } => {
                self.snapshot = Some((as_of, chain));
                let seen = Import { seen: self.seen(&watermark, ours), ..self.import(as_of, Vec::new(), None) };
                if !self.is_home {
                    catalogue::check_same(&ours.catalogue, &catalogue, self.region).map_err(Fault::Apart)?;
                    return Ok(Step::Submit { imports: vec![seen], modules: Vec::new(), done: Done::Part });
                }
                let known = ours.origins.get(self.region).map(|origin| origin.position.incarnation);
                let changes = catalogue::changes(&ours.catalogue, &catalogue, self.region, as_of, known)?;
                let modules = catalogue.modules().map(|module| module.digest).collect();
                Step::Submit { imports: vec![changes, seen], modules, done: Done::Part }
            }
            Effect::TakeRows { bytes, .. } => {
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
            Effect::FinishSnapshot => {
                let Some((as_of, chain)) = self.snapshot.take() else { return Ok(Step::None) };
                let import = self.import(as_of, Vec::new(), Some((as_of.lsn, chain)));
                self.submitted = as_of.lsn;
                Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Snapshot }
            }
            Effect::Apply(block) => self.block(block, ours, table)?,
            Effect::Heard { head, .. } => Step::Heard { head, applied: self.position() },
            Effect::Compare(_) => Step::None,
            Effect::End { code, message } => return Err(Fault::Ended { code, message }),
        })
    }

    /// What a step asked for is done.
    pub fn done(&mut self, done: &Done, epochs: &mut Epochs) {
        if let Done::Block(block, epoch) = done {
            self.subscriber.applied(block, *epoch);
            epochs.seen(self.position().incarnation, self.subscriber.epoch());
        }
    }

    fn import(&self, at: Position, records: Vec<u8>, through: Option<(Lsn, ChainHash)>) -> Import {
        let (region, incarnation, seen) = (self.region, at.incarnation, Vec::new());
        Import { region, incarnation, records: records.into(), snapshot: false, seen, through, after: Lsn::NONE }
    }

    /// What the region had seen of us and of others when it took its snapshot.
    fn seen(&self, theirs: &Watermark, ours: &Published) -> Vec<Seen> {
        let of = |(region, incarnation, lsn)| {
            if region == self.own && incarnation == ours.position.incarnation {
                return Some(Seen { region, lsn, hlc: Hlc::default() });
            }
            // Of a third region the clock is needed: known when they had all that we have.
            let origin = ours.origins.get(region)?;
            let has_all = origin.position.incarnation == incarnation && origin.position.lsn <= lsn;
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
