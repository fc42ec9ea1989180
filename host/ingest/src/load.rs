//! A load from start to end.

use crate::{
    Error, Options, Progress, Report,
    files::{self, Found, Input},
    latest::{Kept, Latest},
    report::RejectedRow,
    sender::{Sender, Sent},
    split::{Chunk, Split},
    state::State,
};
use littoral_client::Client;
use littoral_columnar::{Columns, Created, EVENT_TIMESTAMP, Extra, Missing};
use littoral_model::{
    details::{RowSource, ViewDefinition},
    merge::MergePolicy,
    position::Position,
    status::NodeStatus,
    token::Watermark,
    view::FeatureView,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet};
use xxhash_rust::xxh3::xxh3_128;

/// The name of the column with creation times, unless the view's source or the caller names another one.
const CREATED: &str = "created";
/// How often the state is written during a load.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// How many rejected rows a report names.
const REJECTED_NAMED_MAX: usize = 100;
/// How many announcements of chunks may wait. They are small.
const CHUNKS_WAITING_MAX: usize = 1_024;
/// How many slices may wait for each partition: enough to keep it busy, few enough to bound memory.
const SLICES_WAITING_MAX: usize = 2;

/// Loads a file, or a directory's files, into a view. Returns when every row is acknowledged, or left out as the
/// options request.
///
/// # Errors
/// [`Error`]. Acknowledged rows stay loaded, and the same call continues after them.
pub async fn ingest(
    path: &Path,
    client: &Client,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Report, Error> {
    let began = Instant::now();
    check(options)?;
    let definition = client.view_definition(&options.view).await.map_err(|error| match error.is_not_found() {
        true => Error::NoView(options.view.clone()),
        false => Error::Client(error),
    })?;
    let (found, inputs) = open_all(path, &definition, options).await?;
    let inputs = Arc::new(inputs);
    let view = definition.view;
    let kept = match inputs.iter().any(|input| input.plan.created().is_some()) {
        _ if options.latest_only => Some(Kept::Last),
        // With `LatestWrite`, the row written last wins whatever its event timestamp, so the files' order must be kept.
        true if view.merge != MergePolicy::LatestWrite => Some(Kept::TheLaterMade),
        _ => None,
    };
    let rows = inputs.iter().map(|input| input.rows).sum();
    progress.planned(inputs.len(), rows);
    let ignored: BTreeSet<&String> = inputs.iter().flat_map(|input| input.plan.ignored()).collect();
    let mut report = Report {
        files: inputs.len(),
        rows,
        columns_ignored: ignored.into_iter().cloned().collect(),
        files_hidden: found.hidden,
        files_other: found.others,
        ..Report::default()
    };

    let state_path = options.state.clone().unwrap_or_else(|| State::default_path(path));
    let status = client.status().await?;
    let fingerprint = fingerprint(&status, (&view, definition.details.source.as_ref()), &inputs, options);
    let mut state = match options.restart {
        true => State::anew(fingerprint, fastrand::u128(..)),
        false => State::load(&state_path, fingerprint)?,
    };
    if state.token.as_deref().is_some_and(|token| is_lost(&status, token)) {
        // The log was rolled back. Which rows it lost is unknown, so all rows are sent again.
        state.rows_done.clear();
        state.rows_refused.clear();
        state.token = None;
        report.lost_since = true;
    }
    // Written before the first row is sent: a load that cannot keep its state must not start.
    state.save(&state_path)?;
    if inputs.iter().all(|input| state.rows_done.get(&input.state_key()).is_some_and(|done| *done >= input.rows)) {
        progress.done(rows);
        report.was_finished = true;
        report.rows_refused_before = inputs.iter().map(|input| state.rejected(input)).sum();
        report.rows_resumed = rows - report.rows_refused_before;
        report.finish(began.elapsed());
        return Ok(report);
    }

    let latest = match kept {
        None => None,
        Some(kept) => Some(Arc::new(find_latest(&inputs, options.batch_rows, kept, progress).await?)),
    };
    let identity = identity(&state, &inputs, kept);
    let mut load = Load { client, options, state, identity, state_path, saved: Instant::now(), progress, report };
    for at in 0..inputs.len() {
        load.file(&inputs, at, latest.clone()).await?;
    }
    load.report.finish(began.elapsed());
    Ok(load.report)
}

fn check(options: &Options) -> Result<(), Error> {
    if options.batch_rows == 0 || options.batch_rows > 1_000_000 {
        return Err(Error::Options(format!("batch rows: 1 to 1000000, not {}", options.batch_rows)));
    }
    if options.in_flight == 0 || options.in_flight > 64 {
        return Err(Error::Options(format!("batches in flight: 1 to 64, not {}", options.in_flight)));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal(what))?
}

/// Opens and checks every file, before the first row is sent.
async fn open_all(path: &Path, definition: &ViewDefinition, options: &Options) -> Result<(Found, Vec<Input>), Error> {
    let source = definition.details.source.clone().unwrap_or_default();
    let created = match (&options.created, source.created) {
        _ if options.ignore_created => Created::Unused,
        (Some(wanted), _) => Created::Required(wanted.clone()),
        (None, Some(named)) => Created::Named(named),
        (None, None) => Created::IfThere(CREATED.to_owned()),
    };
    let timestamp = options.timestamp.clone().or(source.event_timestamp);
    let columns = Columns {
        timestamp: Some(timestamp.unwrap_or_else(|| EVENT_TIMESTAMP.to_owned())),
        renamed: options.renamed.clone(),
        field_mapping: source.field_mapping,
        created,
        extra: Extra::Ignore,
        missing: if options.missing_as_null { Missing::Null } else { Missing::Reject },
    };
    let (path, view) = (path.to_owned(), definition.view.clone());
    blocking("file check", move || {
        let found = files::find(&path)?;
        let inputs = found.files.iter().map(|file| files::open(&found.root, file, &view, &columns));
        let inputs = inputs.collect::<Result<_, _>>()?;
        Ok((found, inputs))
    })
    .await
}

/// Returns the fingerprint of the destination and the options. The log's name is part of it: a leader that starts over
/// at the same address has none of the rows.
fn fingerprint(
    status: &NodeStatus,
    (view, source): (&FeatureView, Option<&RowSource>),
    inputs: &[Input],
    options: &Options,
) -> String {
    let log = status.log();
    let mut text = format!("{log} {} {:?} {:?}", view.id, options.timestamp, options.renamed);
    if options.created.is_some() || options.ignore_created {
        text.push_str(&format!(" {:?} {}", options.created, options.ignore_created));
    }
    let schema: Vec<&str> = view.features.iter().map(|feature| feature.name.as_str()).collect();
    text.push_str(&format!(" {schema:?} {}", options.latest_only));
    if let Some(source) = source {
        // Another definition of the view reads other values from the same file.
        let RowSource { event_timestamp, created, field_mapping, .. } = source;
        text.push_str(&format!(" {event_timestamp:?} {created:?} {field_mapping:?}"));
    }
    if options.latest_only {
        // All files together determine which rows are sent.
        inputs.iter().for_each(|input| text.push_str(&input.digest));
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

/// Returns whether the log has lost the record that this token names. A replica that has not received the record yet
/// has lost nothing.
fn is_lost(status: &NodeStatus, token: &str) -> bool {
    // A later build may have written the token. A token that cannot be parsed proves no loss.
    let Ok(token) = token.parse::<Watermark>() else { return false };
    let lost = |(region, incarnation, lsn)| {
        let lineage = status.lineages.get(region);
        lineage.is_some_and(|lineage| !lineage.lists(incarnation) || lineage.has_lost(Position { incarnation, lsn }))
    };
    token.iter().any(lost)
}

/// Returns a hash that is part of all idempotency keys of the load. It depends on the files and on the rule by which
/// rows are left out, so that a request with other rows never has the key of an earlier run.
fn identity(state: &State, inputs: &[Input], kept: Option<Kept>) -> String {
    let (fingerprint, again) = (&state.fingerprint, &state.again);
    if kept != Some(Kept::TheLaterMade) && again.is_empty() {
        return fingerprint.clone();
    }
    let mut text = format!("{fingerprint} {again}{kept:?}");
    if kept == Some(Kept::TheLaterMade) {
        inputs.iter().for_each(|input| text.push_str(&format!(" {} {:?}", input.digest, input.plan.created())));
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

async fn find_latest(
    inputs: &Arc<Vec<Input>>,
    batch_rows: usize,
    kept: Kept,
    progress: &mut dyn Progress,
) -> Result<Latest, Error> {
    let (heard, mut rows) = mpsc::channel(CHUNKS_WAITING_MAX);
    let inputs = Arc::clone(inputs);
    let found = tokio::task::spawn_blocking(move || {
        Latest::find(&inputs, batch_rows, kept, |rows| {
            // An error means that the load was dropped. There is nobody to report to.
            let _ = heard.blocking_send(rows);
        })
    });
    let mut scanned = 0;
    while let Some(rows) = rows.recv().await {
        scanned += rows;
        progress.scanned(scanned);
    }
    found.await.map_err(|_| Error::Internal("key scan"))?
}

struct Load<'a> {
    client: &'a Client,
    options: &'a Options,
    state: State,
    identity: String,
    state_path: PathBuf,
    saved: Instant,
    progress: &'a mut dyn Progress,
    report: Report,
}

impl Load<'_> {
    async fn file(&mut self, inputs: &Arc<Vec<Input>>, at: usize, latest: Option<Arc<Latest>>) -> Result<(), Error> {
        let input = &inputs[at];
        let from = self.state.rows_done.get(&input.state_key()).copied().unwrap_or(0).min(input.rows);
        let refused = self.state.rejected(input).min(from);
        self.progress.file(&input.path, input.rows, from);
        self.progress.done(from);
        self.report.rows_resumed += from - refused;
        self.report.rows_refused_before += refused;
        let partitions = self.options.in_flight;

        let (sent_tx, mut sent) = mpsc::channel(2 * partitions);
        let sender = Sender {
            client: self.client.clone(),
            view: self.options.view.clone(),
            body_bytes_max: self.options.body_bytes_max,
            stopped: Arc::default(),
            sent: sent_tx,
        };
        let mut senders = JoinSet::new();
        let mut slices = Vec::with_capacity(partitions);
        for _ in 0..partitions {
            let (slice, waiting) = mpsc::channel(SLICES_WAITING_MAX);
            slices.push(slice);
            senders.spawn(sender.clone().run(waiting));
        }
        drop(sender);
        let (chunks_tx, mut chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
        let split = Split {
            inputs: Arc::clone(inputs),
            at,
            from,
            latest,
            batch_rows: self.options.batch_rows,
            body_bytes_max: self.options.body_bytes_max,
            skip_refused: self.options.skip_refused,
            fingerprint: self.identity.clone(),
        };
        let reading = tokio::task::spawn_blocking(move || split.run(&slices, &chunks_tx));

        let mut progress = FileProgress { done: from, refused, ..FileProgress::default() };
        let mut failed = None;
        loop {
            tokio::select! {
                biased;
                Some(chunk) = chunks.recv() => progress.announced(chunk),
                report = sent.recv() => match report {
                    None => break,
                    // The other partitions finish their requests, so that the acknowledged rows are known.
                    Some(Sent::Failed { error, row }) => drop(failed.get_or_insert((error, row))),
                    Some(Sent::Rejected { row, reason }) => {
                        progress.rejected_after.insert(row);
                        self.rejected(input, row, reason);
                    }
                    Some(Sent::Body { rows, bytes, receipt }) => self.acknowledged(rows, bytes, &receipt),
                    Some(Sent::Slice { chunk }) => progress.acknowledged(chunk),
                },
            }
            self.settle(&mut progress);
            self.save(input, &progress, false)?;
        }
        // The last chunk may have no slices; then only its announcement accounts for it.
        while let Ok(chunk) = chunks.try_recv() {
            progress.announced(chunk);
        }
        self.settle(&mut progress);
        self.save(input, &progress, true)?;
        // Closed channels stop a reader that still has rows.
        senders.abort_all();
        drop((sent, chunks));
        let read = reading.await.map_err(|_| Error::Internal("reader"))?;
        if let Some((source, row)) = failed {
            let rows_done = self.report.rows_resumed + self.report.rows_sent + self.report.rows_superseded;
            let rows = self.report.rows;
            let source = Box::new(source);
            return Err(match row {
                None => Error::Send { source, rows_done, rows },
                Some(row) => Error::Row { path: input.path.clone(), row, source, rows_done, rows },
            });
        }
        read?;
        if progress.done < input.rows { Err(Error::Internal("sender")) } else { Ok(()) }
    }

    fn acknowledged(&mut self, rows: u64, bytes: u64, receipt: &littoral_client::RowsReceipt) {
        self.report.rows_sent += rows;
        self.report.bytes_sent += bytes;
        self.report.batches += 1;
        if receipt.duplicate {
            self.report.batches_known += 1;
            self.report.rows_known += rows;
        } else {
            self.report.rows_outranked += receipt.outranked.count;
        }
        // Partitions are acknowledged in any order; the token of the latest position covers all of them.
        if self.report.token.is_none() || receipt.position.lsn > self.report.last {
            self.report.token = Some(receipt.token.clone());
            self.report.last = receipt.position.lsn;
            self.state.token = Some(receipt.token.clone());
        }
    }

    fn rejected(&mut self, input: &Input, row: u64, reason: String) {
        self.report.rows_refused += 1;
        if self.report.refused.len() < REJECTED_NAMED_MAX {
            self.report.refused.push(RejectedRow { file: input.path.clone(), row, reason });
        }
    }

    fn settle(&mut self, file: &mut FileProgress) {
        while let Some(chunk) = file.next_done() {
            self.report.rows_superseded += chunk.superseded;
            self.progress.done(chunk.rows);
        }
    }

    fn save(&mut self, input: &Input, file: &FileProgress, now: bool) -> Result<(), Error> {
        if !now && self.saved.elapsed() < SAVE_EVERY {
            return Ok(());
        }
        self.saved = Instant::now();
        self.state.rows_done.insert(input.state_key(), file.done);
        if file.refused > 0 {
            self.state.rows_refused.insert(input.state_key(), file.refused);
        }
        self.state.save(&self.state_path)
    }
}

/// The progress of one file. A chunk is done when all its slices are acknowledged. Its rows count only once all earlier
/// chunks are done too, because a resumed load continues at a row number.
#[derive(Default)]
struct FileProgress {
    done: u64,
    /// How many of the done rows the node rejected.
    refused: u64,
    /// The rejected rows after the done ones. A resumed load sends them again.
    rejected_after: BTreeSet<u64>,
    open: VecDeque<Chunk>,
    /// Parts that were acknowledged before their chunk's announcement arrived.
    early: BTreeMap<u64, usize>,
}

impl FileProgress {
    fn announced(&mut self, mut chunk: Chunk) {
        chunk.slices_left -= self.early.remove(&chunk.number).unwrap_or(0);
        self.open.push_back(chunk);
    }

    fn acknowledged(&mut self, chunk: u64) {
        match self.open.iter_mut().find(|open| open.number == chunk) {
            Some(open) => open.slices_left -= 1,
            None => *self.early.entry(chunk).or_default() += 1,
        }
    }

    fn next_done(&mut self) -> Option<Chunk> {
        let chunk = self.open.pop_front_if(|chunk| chunk.slices_left == 0)?;
        self.done += chunk.rows;
        let after = self.rejected_after.split_off(&self.done);
        self.refused += std::mem::replace(&mut self.rejected_after, after).len() as u64;
        Some(chunk)
    }
}
