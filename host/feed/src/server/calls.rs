//! Serves the calls of one connection: runs them concurrently, and sends each reply when it is ready.

use super::{Shared, activity::OpenStream, counted::Counted, gate, policy::Peer, residency};
use crate::source::FeedSource;
use crate::{
    inbox::{Inbox, InboxError},
    outbox::{Outbox, PushError},
};
use bytes::Bytes;
use littoral_model::{
    caller::Caller,
    digest::BucketRows,
    format::ProtocolVersion,
    freshness::{Consistency, OnUnmet, ReadDemand},
    read::{ReadAnswer, ReadError, ReadRequest, ViewRead},
    region::Region,
};
use littoral_protocol::call::{Answer, BucketRead, Call, QuorumRead, Reply, RowsRead};
use littoral_runtime::trace::{self, Kind, Span};
use littoral_wire::{REPLY_LEN_MAX, call, rows};
use std::{sync::Arc, time::Duration};

/// Serves calls until the stream ends.
pub(crate) async fn run(mut inbox: Inbox, outbox: Outbox, shared: Shared, from: Peer, stream: OpenStream) {
    let peer = &*from.address;
    let _counted = Counted::new(from.version);
    let answers = Arc::new(Answers { outbox: outbox.clone(), shared: shared.clone(), stream });
    tokio::select! {
        biased;
        () = outbox.closed() => {}
        () = shared.shutdown.cancelled() => {}
        reason = serve(&mut inbox, &answers, &shared, &from) => match reason {
            Ok(()) => {}
            Err(reason) => tracing::warn!(%peer, %reason, "closing a stream of calls"),
        },
    }
    // Running calls hold clones of `answers`. Their replies are still sent, then the stream ends.
    tracing::debug!(%peer, "no longer accepting calls");
}

/// Ends the stream of replies when the last call has been answered.
struct Answers {
    outbox: Outbox,
    shared: Shared,
    stream: OpenStream,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.outbox.finish();
    }
}

async fn serve(inbox: &mut Inbox, answers: &Arc<Answers>, shared: &Shared, from: &Peer) -> Result<(), String> {
    let Peer { rights, node, .. } = from;
    let region = from.region;
    let calls = metrics::counter!("littoral_peer_calls_total");
    // Allocated once: most calls are reads that are answered without a task.
    let mut scratch = ReadAnswer::default();
    loop {
        let payload = match inbox.next().await {
            Ok(Some(payload)) => payload,
            Ok(None) | Err(InboxError::Broken(_)) => return Ok(()),
            Err(InboxError::Wire(error)) => return Err(error.to_string()),
        };
        // A busy stream always has a next call, but other tasks must run too.
        tokio::task::coop::consume_budget().await;
        let len = payload.len();
        let request = call::request(&payload).map_err(|error| error.to_string())?;
        drop(payload);
        calls.increment(1);
        let (id, call, caller) = (request.id, request.call, request.caller);
        // A peer decides whether its trace is recorded. It is a node, and queues and batches bound what that costs.
        let span = Span::child_of(request.context.as_ref(), call.name(), Kind::Server);
        if let Err(reason) = rights.may_call(&call).and_then(|()| rights.may_read(&call, || shared.source.catalogue()))
        {
            metrics::counter!("littoral_peer_calls_rejected_total").increment(1);
            tracing::warn!(reason, "rejected a peer's call");
            answers.send(id, Answer::Rejected(reason)).await?;
            continue;
        }
        let call = match call {
            Call::Read { reads, consistency } => {
                if let Err(error) = residency::check_reads(&*shared.source, region, &reads) {
                    answers.send(id, Answer::Read(Err(error))).await?;
                    continue;
                }
                match read_local(&*shared.source, request_of(reads, consistency), &mut scratch) {
                    Ok(answer) => {
                        ended(span, &answer);
                        answers.send(id, answer).await?;
                        continue;
                    }
                    Err(reads) => Call::Read { reads, consistency },
                }
            }
            other => other,
        };
        let Some(running) = node.begin_call(len).await else { return Ok(()) };
        let (answers, version) = (answers.clone(), from.version);
        shared.tasks.spawn(async move {
            let work = on_behalf(&answers.shared, (region, version), call, caller);
            let answer = trace::within(span.context(), work).await;
            ended(span, &answer);
            if let Err(reason) = answers.send(id, answer).await {
                tracing::debug!(%reason, "could not send the reply to a call");
            }
            drop(running);
        });
    }
}

/// Ends the span of a call that is answered.
fn ended(mut span: Span, answer: &Answer) {
    let is_error = match answer {
        Answer::Read(result) => result.is_err(),
        Answer::Receipt(result) => result.is_err(),
        Answer::Module(result) => result.is_err(),
        Answer::Checkpoint(result) => result.is_err(),
        Answer::Bucket(result) => result.is_err(),
        Answer::Member(result) => result.is_err(),
        Answer::Quorum(result) => result.is_err(),
        Answer::Certified(result) => result.is_err(),
        Answer::Rejected(_) => true,
        Answer::Component(_) | Answer::Status(_) => false,
    };
    if is_error {
        span.failed("rejected");
    }
}

impl Answers {
    async fn send(&self, id: u64, answer: Answer) -> Result<(), String> {
        let slow = self.shared.config.slow_timeout();
        let reply = Reply { id, answer };
        match self.outbox.push(slow, |out| call::push_reply(out, &reply)).await {
            Ok(_) => Ok(()),
            Err(PushError::Wire(error)) => {
                let reply = Reply { id, answer: Answer::Rejected(format!("the reply cannot be encoded: {error}")) };
                let pushed = self.outbox.push(slow, |out| call::push_reply(out, &reply)).await;
                pushed.map(drop).map_err(|error| error.to_string())
            }
            Err(error) => {
                // A peer that does not read replies receives no more of them.
                self.stream.cut_connection();
                Err(error.to_string())
            }
        }
    }
}

/// Answers a read without a task of its own if the source can; otherwise returns the reads.
fn read_local(source: &dyn FeedSource, request: ReadRequest, answer: &mut ReadAnswer) -> Result<Answer, Vec<ViewRead>> {
    if source.read_local(&request, answer) { Ok(Answer::Read(rows_read(&request, answer))) } else { Err(request.reads) }
}

/// Carries out a call on behalf of its client, if it has one. A node without a gate leaves the check to the node that
/// it forwards the call to.
async fn on_behalf(shared: &Shared, from: From, call: Call, caller: Option<Caller>) -> Answer {
    let caller = match &shared.gate {
        Some(gate) if gate::is_guarded(&call) => match gate.check(caller, &call).await {
            Ok(caller) => Some(caller),
            Err(error) => return gate::rejected(&call, error),
        },
        _ => caller,
    };
    match caller {
        Some(caller) => littoral_runtime::caller::scope(caller, carry_out(shared, from, call)).await,
        None => carry_out(shared, from, call).await,
    }
}

/// The region of a caller, if it is known, and the newest protocol version that both sides speak.
type From = (Option<Region>, ProtocolVersion);

async fn carry_out(shared: &Shared, (region, version): From, call: Call) -> Answer {
    let source = &*shared.source;
    match call {
        Call::Read { reads, consistency } => {
            let request = request_of(reads, consistency);
            Answer::Read(match source.read(&request).await {
                Ok(answer) => rows_read(&request, &answer),
                Err(error) => Err(error),
            })
        }
        Call::Quorum { reads, wait_ms } => {
            if let Err(error) = residency::check_reads(source, region, &reads) {
                return Answer::Quorum(Err(error));
            }
            let wait_max = Duration::from_millis(u64::from(wait_ms));
            let demand = ReadDemand {
                consistency: Consistency::Quorum,
                on_unmet: OnUnmet::Fail,
                wait_max,
                ..ReadDemand::default()
            };
            let request = ReadRequest { reads, demand };
            Answer::Quorum(match source.read(&request).await {
                Ok(answer) => {
                    rows_read(&request, &answer).map(|rows| QuorumRead { rows, regions: answer.freshness.regions })
                }
                Err(error) => Err(error),
            })
        }
        Call::Held { reads } => {
            if let Err(error) = residency::check_reads(source, region, &reads) {
                return Answer::Read(Err(error));
            }
            let request = request_of(reads, Consistency::Leader);
            Answer::Read(source.held(&request.reads).and_then(|answer| rows_read(&request, &answer)))
        }
        Call::Write(request) => Answer::Receipt(source.write(request).await),
        Call::Change(change) => Answer::Receipt(source.change(change).await),
        Call::PutModule { name, version, component } => {
            Answer::Module(source.put_module(name, version, component).await)
        }
        Call::FetchModule { digest } => Answer::Component(source.component(digest).await),
        Call::Status => Answer::Status(source.status()),
        Call::Checkpoint => Answer::Checkpoint(source.checkpoint().await),
        Call::Bucket { view, bucket, after } => {
            if let Err(error) = residency::check(source, region, std::iter::once(view)) {
                return Answer::Bucket(Err(error));
            }
            Answer::Bucket(source.bucket(view, bucket, after).await.and_then(|rows| bucket_read(&rows)))
        }
        Call::Merge(piece) => Answer::Receipt(source.merge(piece).await),
        Call::Certify(request) => match &shared.certifier {
            Some(certifier) => Answer::Certified(certifier.certify(request).await),
            None => Answer::Rejected("this node has no TLS, so it renews no certificates; configure [tls]".to_owned()),
        },
        Call::Member(_) if !residency::may_be_member(source, region) => {
            let own = source.region();
            let theirs = region.map_or_else(|| "states no region".to_owned(), |region| format!("is in '{region}'"));
            Answer::Rejected(format!(
                "only a node of region '{own}' can be a member of its log, and the calling node {theirs}; set its [leader] \
                 region to '{own}', or remove it from [[members]]"
            ))
        }
        Call::Member(request) => match &shared.members {
            Some(members) => Answer::Member(members.call(request, version).await),
            None => Answer::Rejected("this node is the only member of its region: it has no [[members]]".to_owned()),
        },
    }
}

fn bucket_read(read: &BucketRows) -> Result<BucketRead, ReadError> {
    let mut bytes = Vec::new();
    for row in &read.rows {
        rows::push(&mut bytes, Some(row)).map_err(|error| ReadError::Overloaded(error.to_string()))?;
    }
    Ok(BucketRead { as_of: read.as_of, more: read.more, bytes: Bytes::from(bytes) })
}

fn request_of(reads: Vec<ViewRead>, consistency: Consistency) -> ReadRequest {
    let demand = ReadDemand { consistency, ..ReadDemand::default() };
    ReadRequest { reads, demand }
}

/// Reads the position before the rows: the rows may be newer than the position, never older.
fn rows_read(request: &ReadRequest, answer: &ReadAnswer) -> Result<RowsRead, ReadError> {
    let counts: Vec<u32> = request.reads.iter().map(|read| read.keys.len() as u32).collect();
    let mut bytes = Vec::new();
    if !answer.unknown.is_empty() {
        // A relay that cannot query its leader must not report rows as absent.
        return Err(ReadError::LeaderUnavailable(
            "this relay does not hold the rows and cannot request them".to_owned(),
        ));
    }
    for row in answer.rows.iter().flatten() {
        rows::push(&mut bytes, row.as_ref()).map_err(|error| ReadError::Overloaded(error.to_string()))?;
        if bytes.len() > REPLY_LEN_MAX {
            let message = format!("the rows have more than {REPLY_LEN_MAX} bytes; request fewer keys at once");
            return Err(ReadError::TooLarge(message));
        }
    }
    let freshness = &answer.freshness;
    Ok(RowsRead {
        as_of: freshness.position,
        watermark: freshness.watermark.clone(),
        counts,
        bytes: Bytes::from(bytes),
    })
}
