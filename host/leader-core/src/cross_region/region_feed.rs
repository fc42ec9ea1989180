//! Processes the messages of another region's leader. No IO: the driver submits the resulting imports and sends
//! replies.

use super::catalogue;
use crate::{
    import::{History, Import, is_request},
    log_state::LogState,
    published::Published,
};
use littoral_model::{
    catalogue::CatalogueChange,
    format::ProtocolVersion,
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

/// If nothing but positions has changed, the position of a region's log is recorded only once per this many of its
/// records. If every position were recorded, each region would record the other's records of positions, endlessly.
const MARK_EVERY: u64 = 10_000;

/// Why a stream must be ended.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The other leader violated the feed's rules.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// A record or a row cannot be decoded.
    #[error("its leader sent data that cannot be decoded: {0}")]
    Wire(#[from] littoral_wire::Error),
    /// The other leader has ended the stream.
    #[error("its leader ended the feed ({code:?}): {message}")]
    Ended {
        /// The reason.
        code: ErrorCode,
        /// The text of its message.
        message: String,
    },
    /// The address is that of another region.
    #[error(
        "this address serves region '{0}', not the configured one; correct [[regions]] in the leader's configuration"
    )]
    OtherRegion(Region),
    /// The regions' catalogues are inconsistent: what differs, and what to do.
    #[error("{0}")]
    Apart(String),
}

/// The next step of the driver.
#[derive(Debug)]
pub enum Step {
    /// Nothing.
    None,
    /// The other leader has reported its position; everything up to `applied` is applied.
    Heard {
        /// Its last record.
        head: Position,
        /// The position in its log up to which this region has applied records.
        applied: Position,
    },
    /// Submit these imports one after the other, after fetching the modules; then call [`RegionFeed::done`]. Call it as
    /// soon as records are submitted: if one import fails, those after it are rejected. A stream with a failed import
    /// must be ended.
    Submit {
        /// The imports to make durable.
        imports: Vec<Import>,
        /// Modules whose components must be fetched before.
        modules: Vec<ModuleDigest>,
        /// To be passed to [`RegionFeed::done`].
        done: Done,
    },
}

/// What is complete once the imports are submitted.
#[derive(Debug)]
pub enum Done {
    /// A section of a snapshot, or the lineage of the region's log.
    Piece,
    /// The whole snapshot.
    Snapshot,
    /// A block of records.
    Block(Block, littoral_model::position::Epoch),
}

/// One stream from another region's leader.
#[derive(Debug)]
pub struct RegionFeed {
    region: Region,
    own: Region,
    is_home: bool,
    subscriber: Subscriber,
    /// The newest `Through` records from blocks that were not imported: they belong before the next import.
    carried: BTreeMap<Region, Vec<u8>>,
    /// Whether the region's log is the one whose records are applied here, and has lost none of them.
    goes_on: bool,
    /// Whether the region's complete snapshot is requested, because this log was rolled back.
    asks_for_all: bool,
    /// The position and chain hash of the snapshot that is arriving.
    snapshot: Option<(Position, ChainHash)>,
    /// The record of the region's log at which its position was last recorded here: see [`MARK_EVERY`].
    marked: Lsn,
    /// The record of the region's log up to which everything is applied or submitted.
    submitted: Lsn,
}

impl RegionFeed {
    /// Creates a stream that continues from the position in this region's log.
    #[must_use]
    pub fn new(region: Region, own: Region, is_home: bool, known: &LogState, epochs: &Epochs) -> Self {
        let origin = known.origins.get(region);
        // An interrupted first snapshot begins again: it includes rows that no record of that log has.
        let begun = origin.filter(|origin| origin.position.lsn > Lsn::NONE);
        let resume = begun.map(|origin| Resume { position: origin.position, chain: origin.chain });
        let subscriber = Subscriber::new(resume, epochs.clone(), Views::ForRegion(own));
        let subscriber =
            subscriber.with_lineages(RegionLineages::clone(&known.lineages)).with_rows_up_to(known.holds_past(region));
        let marked = resume.map_or(Lsn::NONE, |resume| resume.position.lsn);
        let (carried, goes_on, snapshot, asks_for_all) = (BTreeMap::new(), true, None, known.asks_for_all(region));
        Self { region, own, is_home, subscriber, carried, goes_on, asks_for_all, snapshot, marked, submitted: marked }
    }

    /// Sets the newest protocol version that this leader speaks.
    #[must_use]
    pub fn speaking(self, version: ProtocolVersion) -> Self {
        Self { subscriber: self.subscriber.speaking(version), ..self }
    }

    /// Returns the first message to send.
    #[must_use]
    pub fn hello(&self, name: &str) -> SubscriberHello {
        self.subscriber.hello(name)
    }

    /// Returns the position of the stream.
    #[must_use]
    pub fn position(&self) -> Position {
        self.subscriber.resume().map_or_else(Position::default, |resume| resume.position)
    }

    /// Processes a message. `ours` is the state that is applied here now, and `table` has the rows.
    ///
    /// # Errors
    /// [`Fault`]: the stream must be ended.
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
                epochs.note_followed(self.subscriber.lineage());
                self.greeted(&hello, ours)
            }
            Action::BeginSnapshot { as_of, chain, watermark, catalogue, .. } => {
                self.snapshot = Some((as_of, chain));
                let seen = Import { seen: self.seen(&watermark, ours), ..self.import(as_of, Vec::new(), None) };
                if !self.is_home {
                    catalogue::check_same(&ours.catalogue, &catalogue, self.region).map_err(Fault::Apart)?;
                    return Ok(Step::Submit { imports: vec![seen], modules: Vec::new(), done: Done::Piece });
                }
                let of = (self.region, as_of);
                let changes = match self.asks_for_all && !ours.catalogue.is_blank() {
                    true => catalogue::additions(&ours.catalogue, &catalogue, of)?,
                    false => catalogue::changes(&ours.catalogue, &catalogue, of, self.goes_on)?,
                };
                let modules = catalogue.modules().map(|module| module.digest).collect();
                Step::Submit { imports: vec![changes, seen], modules, done: Done::Piece }
            }
            Action::AddRows { bytes, .. } => {
                let Some((as_of, _)) = self.snapshot else { return Ok(Step::None) };
                let mut block = Vec::with_capacity(bytes.len() * 5 / 4);
                let merges: HashMap<_, _> = ours.catalogue.views().map(|view| (view.id, view.merge)).collect();
                for row in rows::iter(&bytes) {
                    let row = row?.ok_or_else(|| Violation::Damaged("a snapshot holds an empty row".to_owned()))?;
                    // Most rows are already stored, or outranked.
                    let merge = merges.get(&row.view).copied().unwrap_or_default();
                    let rank = Rank { event_time: row.event_time, version: row.version };
                    if !has(table, merge, (row.view, row.key), rank) {
                        records::push(&mut block, &catalogue::row_record(&row))?;
                    }
                }
                let import = Import { snapshot: true, ..self.import(as_of, block, None) };
                Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Piece }
            }
            Action::FinishSnapshot => {
                let Some((as_of, chain)) = self.snapshot.take() else { return Ok(Step::None) };
                let import = self.import(as_of, Vec::new(), Some((as_of.lsn, chain)));
                let import = Import { snapshot: true, ..import };
                self.submitted = as_of.lsn;
                Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Snapshot }
            }
            Action::Apply(block) => self.block(block, ours, table)?,
            Action::Heard { head, .. } => Step::Heard { head, applied: self.position() },
            Action::Compare(_) => Step::None,
            Action::End { code, message } => return Err(Fault::Ended { code, message }),
        })
    }

    /// Notes that a step is complete.
    pub fn done(&mut self, done: &Done, epochs: &mut Epochs) {
        if let Done::Block(block, epoch) = done {
            self.subscriber.applied(block, *epoch);
            epochs.note_seen(self.position().incarnation, self.subscriber.epoch());
        }
    }

    /// Processes the hello of the region's leader: news about its lineage must be durable before anything else.
    fn greeted(&mut self, hello: &PublisherHello, ours: &Published) -> Step {
        let theirs = self.subscriber.lineage();
        let known = ours.lineages.get(self.region);
        let had = ours.origins.get(self.region).is_some_and(|origin| origin.position.lsn > Lsn::NONE);
        self.goes_on = hello.forked.is_none() && had && known.is_some_and(|known| known.log() == theirs.log());
        if let Some(fork) = hello.forked {
            let kept = self.marked.min(fork.position.lsn);
            (self.marked, self.submitted) = (kept, kept);
        }
        if hello.forked.is_none() && known.map_or(theirs.starts().len() == 1, |known| known == theirs) {
            return Step::Heard { head: hello.head, applied: self.position() };
        }
        let history = History { lineage: theirs.clone(), forked: hello.forked, requests: true };
        let import = Import { history: Some(Box::new(history)), ..self.import(hello.head, Vec::new(), None) };
        Step::Submit { imports: vec![import], modules: Vec::new(), done: Done::Piece }
    }

    fn import(&self, at: Position, records: Vec<u8>, through: Option<(Lsn, ChainHash)>) -> Import {
        let (region, incarnation, seen) = (self.region, at.incarnation, Vec::new());
        let (records, snapshot, after) = (records.into(), false, Lsn::NONE);
        Import { region, incarnation, history: None, records, snapshot, seen, through, after }
    }

    /// Returns what the region had seen of this region and of others when it took its snapshot.
    fn seen(&self, theirs: &Watermark, ours: &Published) -> Vec<Seen> {
        let of = |(region, incarnation, lsn)| {
            let at = Position { incarnation, lsn };
            if region == self.own && ours.lineages.reaches(region, ours.position, at) {
                return Some(Seen { region, lsn, hlc: Hlc::default() });
            }
            // The entry of a third region needs a clock reading. It is known only if the sender had everything of that
            // region that this region has.
            let origin = ours.origins.get(region)?;
            let has_all = region != self.own && ours.lineages.reaches(region, at, origin.position);
            has_all.then_some(Seen { region, lsn, hlc: origin.hlc })
        };
        theirs.iter().filter_map(of).collect()
    }

    fn block(&mut self, block: Block, ours: &Published, table: &Table) -> Result<Step, Fault> {
        let mut check = BlockCheck::new(&block);
        let mut modules = Vec::new();
        let mut content = false;
        // Rows that the region received without an LSN of their origin are nearly always stored here already.
        let mut known = Vec::new();
        let awaits_request = ours.known().awaits_request(self.region);
        for record in records::iter(&block.bytes) {
            let record: Record<'_> = record?;
            check.record(&record)?;
            match &record.payload {
                _ if has_foreign(&record, ours, table) => known.push(record.lsn),
                // Its arrival must be durable, because it ends the wait for it.
                _ if awaits_request && is_request(&record, self.own) => content = true,
                Payload::Through { .. } if !content => {
                    let mut kept = Vec::new();
                    records::push(&mut kept, &record)?;
                    self.carried.insert(record.origin, kept);
                }
                Payload::Through { .. } => {}
                // Known since the leader's hello.
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
            // The carried records come first. They may include the block's own first records, whose repetition is
            // harmless.
            let mut bytes: Vec<u8> = std::mem::take(&mut self.carried).into_values().flatten().collect();
            if known.is_empty() {
                bytes.extend_from_slice(&block.bytes);
            } else {
                for record in records::iter(&block.bytes) {
                    let record = record?;
                    // Both are in log order.
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

/// Returns whether a row, or one that outranks it, is stored.
fn has(table: &Table, merge: MergePolicy, (view, key): (ViewId, &[u8]), rank: Rank) -> bool {
    table.held(view, key).is_some_and(|held| !merge.replaces(rank, held.rank()))
}

/// Returns whether a record is a row that its sender received without an LSN of its origin, and that is already stored.
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
