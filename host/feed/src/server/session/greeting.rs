//! The greeting of a session: checks the subscriber's hello, and decides how the subscriber is brought up to date.

use super::{End, log_error, next, push_or_cut};
use crate::{
    inbox::Inbox,
    outbox::Outbox,
    server::{Config, Shared, policy::Peer},
    source::{FeedSource, SourceRole},
};
use littoral_model::{
    catalogue::Catalogue,
    ports::FeedReadError,
    position::{Lsn, Position},
    project::Receiver,
    record::ChainHash,
};
use littoral_protocol::{
    frame::{Downstream, ErrorCode, Mode, Resume, SubscriberHello, Upstream, Views},
    publisher::{self, Publisher, Rejection},
};
use littoral_wire::{Outgoing, feed, records::ViewFilter};

/// The longest name of a subscriber, in bytes.
const NAME_LEN_MAX: usize = 128;

/// The state in which a greeted subscriber's session begins.
pub(super) struct Greeted {
    /// How the subscriber is brought up to date.
    pub(super) mode: Mode,
    /// The state of the protocol.
    pub(super) state: publisher::Session,
    /// The records that the subscriber receives.
    pub(super) filter: ViewFilter,
}

/// Receives the subscriber's first message, and checks that it is a hello which the subscriber may send.
pub(super) async fn hello(inbox: &mut Inbox, shared: &Shared, from: &Peer) -> Result<SubscriberHello, End> {
    let hello = match next(inbox, shared.config.hello_timeout()).await? {
        Upstream::Hello(hello) => hello,
        other => {
            let message = format!("the first message must be a hello, but is {other:?}");
            return Err(End::Rejected(ErrorCode::Protocol, message));
        }
    };
    if hello.subscriber.len() > NAME_LEN_MAX {
        return Err(End::Rejected(
            ErrorCode::Protocol,
            format!("the subscriber's name is too long; at most {NAME_LEN_MAX} bytes are allowed"),
        ));
    }
    if hello.subscriber.chars().any(char::is_control) {
        let shown = hello.subscriber.escape_default();
        return Err(End::Rejected(
            ErrorCode::Protocol,
            format!("the subscriber's name '{shown}' has control characters, which are not allowed"),
        ));
    }
    if let Err(reason) = from.rights.may_follow(&hello.views) {
        return Err(End::Rejected(ErrorCode::Protocol, reason));
    }
    Ok(hello)
}

/// Answers the hello: decides how the subscriber is brought up to date.
pub(super) async fn greet(
    hello: &SubscriberHello,
    receiver: Receiver,
    outbox: &Outbox,
    shared: &Shared,
) -> Result<Greeted, End> {
    let source = &*shared.source;
    if source.source_role() == SourceRole::Follower {
        return Err(rejected_by_follower());
    }
    // Read the generation first: a replacement from now on ends the stream.
    let generation = source.generation();
    let catalogue = source.applied_catalogue().ok_or_else(no_data)?;
    let mut filter = ViewFilter::new(&hello.views, &catalogue, source.region()).receiver(receiver);
    filter.update(&catalogue);
    check_holds(source, &catalogue, &filter)?;
    let publisher = publisher(source, generation, &shared.config)?;
    let chains = chains(source, &publisher, hello).await?;
    let chain_at = |lsn| chains.iter().find(|(of, _)| *of == lsn).and_then(|(_, chain)| *chain);
    let rehomed = match hello.resume {
        // Rows that the log of the subscriber may not hold are in no record after its position here.
        Some(_) if filter.lacks_rows(hello, &catalogue) => None,
        Some(_) if !publisher.is_same_log(hello) => rehomed(source, hello, publisher.head).await?,
        _ => None,
    };
    let greeted = publisher.greet(hello, chain_at, rehomed);
    if matches!(greeted, Err(Rejection::RolledBack { .. })) {
        source.shown_ahead();
    }
    let (mut answer, state) = greeted.map_err(rejected)?;
    answer.configured = source.configured();
    if let (Views::ForRegion(region), Some(_)) = (&hello.views, answer.forked) {
        // Wait for this before answering: the subscriber's request for lost records must be durable here first.
        source.lost_to(*region).await.map_err(|error| End::Rejected(ErrorCode::Behind, error.to_string()))?;
    }
    let (mode, filter) = (answer.mode, filter.speaking(state.version()));
    let push = |out: &mut Outgoing| feed::push_downstream(out, &Downstream::Hello(answer));
    push_or_cut(outbox, shared.config.slow_timeout(), push).await?;
    Ok(Greeted { mode, state, filter })
}

/// Returns what this node publishes now.
fn publisher(source: &dyn FeedSource, generation: u64, config: &Config) -> Result<Publisher, End> {
    let publisher = Publisher {
        version: config.version,
        generation,
        region: source.region(),
        epoch: source.epoch(),
        head: *source.head().borrow(),
        watermark: source.watermark(),
        lineages: source.lineages(),
        belongs: source.belongs(),
        heartbeat_ms: config.heartbeat_ms,
        relay: source.source_role() != SourceRole::Leader,
    };
    if publisher.head == Position::default() { Err(no_data()) } else { Ok(publisher) }
}

/// Returns the hashes of the records after which the tail may continue: the subscriber's position, and the record at
/// which its copy of this log forked from this one. A hash is `None` if the next record was trimmed.
async fn chains(
    source: &dyn FeedSource,
    publisher: &Publisher,
    hello: &SubscriberHello,
) -> Result<Vec<(Lsn, Option<ChainHash>)>, End> {
    if !publisher.is_same_log(hello) {
        return Ok(Vec::new());
    }
    let (stands, fork) = (hello.resume.map(|resume| resume.position.lsn), publisher.fork(hello));
    let mut chains = Vec::new();
    for lsn in stands.into_iter().chain(fork.map(|fork| fork.lsn)).filter(|lsn| *lsn <= publisher.head.lsn) {
        chains.push((lsn, chain_before_tail(source, lsn, publisher.head.lsn).await?));
    }
    Ok(chains)
}

/// Returns the record after which a replica of another region's log can continue here.
async fn rehomed(source: &dyn FeedSource, hello: &SubscriberHello, head: Position) -> Result<Option<Resume>, End> {
    let point = source.resume_point(&hello.watermark, &hello.lineages);
    let Some(lsn) = point.filter(|lsn| *lsn <= head.lsn) else { return Ok(None) };
    let chain = chain_before_tail(source, lsn, head.lsn).await?;
    let position =
        source.lineages().get(source.region()).map_or(Position { lsn, ..head }, |lineage| lineage.position(lsn));
    Ok(chain.map(|chain| Resume { position, chain }))
}

/// Returns the hash of the record at `lsn` if the log can continue after it; `None` if the next record was trimmed.
async fn chain_before_tail(source: &dyn FeedSource, lsn: Lsn, head: Lsn) -> Result<Option<ChainHash>, End> {
    let chain = if lsn == Lsn::NONE { Some(ChainHash::GENESIS) } else { source.chain_at(lsn) };
    if lsn >= head || chain.is_none() {
        return Ok(chain);
    }
    match source.records(lsn.next(), 1).await {
        Ok(_) => Ok(chain),
        Err(FeedReadError::Trimmed { .. }) => Ok(None),
        Err(error @ (FeedReadError::Io(_) | FeedReadError::NotHeld(_))) => Err(log_error(error)),
    }
}

/// Checks that this node may hold all rows that the subscriber requests and may hold.
pub(super) fn check_holds(source: &dyn FeedSource, catalogue: &Catalogue, filter: &ViewFilter) -> Result<(), End> {
    if source.source_role() == SourceRole::Leader {
        return Ok(());
    }
    let Some(view) = filter.missing_at(source.held_in(), catalogue) else { return Ok(()) };
    let message = format!(
        "this relay may not hold rows of view '{}', which the subscriber may hold; subscribe to the leader, or to a \
         relay whose [edge] region the view's project allows",
        view.name
    );
    Err(End::Rejected(ErrorCode::Behind, message))
}

/// Rejects a subscriber, because this relay has no replica.
pub(super) fn no_data() -> End {
    let message = "this relay has no data yet; retry shortly, or use another publisher";
    End::Rejected(ErrorCode::Behind, message.to_owned())
}

/// Rejects a subscriber, because this member is a follower: edges and other regions follow only the leader.
pub(super) fn rejected_by_follower() -> End {
    End::Rejected(
        ErrorCode::Behind,
        "this node is a follower in its region; subscribe to the region's leader".to_owned(),
    )
}

/// Returns the end of a session that the protocol rejects.
pub(super) fn rejected(rejection: Rejection) -> End {
    let code = match rejection {
        Rejection::Version { .. } => ErrorCode::Version,
        Rejection::Behind { .. } | Rejection::RolledBack { .. } => ErrorCode::Behind,
        Rejection::SecondHello | Rejection::PingOrder { .. } | Rejection::Applied { .. } => ErrorCode::Protocol,
    };
    End::Rejected(code, rejection.to_string())
}
