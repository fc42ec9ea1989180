//! Version 3 of the feed, which has no lives of logs. Messages from publishers of an older release
//! are decoded, and a subscriber sends them a hello in their encoding. All other messages are
//! equal in both versions.

use crate::{
    Outgoing, UPSTREAM_LEN_MAX,
    encode::decode,
    error::{Error, malformed},
    feed::{self, DOWNSTREAM, UPSTREAM},
};
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    lineage::RegionLineages,
    position::{Epoch, Position},
    record::ChainHash,
    region::Region,
    token::Watermark,
};
use littoral_protocol::frame::{Downstream, Mode, PublisherHello, Resume, SubscriberHello, Upstream, Views};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The number of this version.
pub const VERSION: u16 = 3;

#[derive(Serialize)]
struct Subscriber<'a> {
    version_min: u16,
    version_max: u16,
    subscriber: &'a str,
    views: &'a Views,
    resume: Option<Resume>,
    watermark: &'a Watermark,
}

#[derive(Deserialize)]
struct Publisher {
    version: u16,
    region: Region,
    epoch: Epoch,
    head: Position,
    mode: Mode,
    rehomed: Option<Resume>,
    watermark: Watermark,
    heartbeat_ms: u32,
}

#[derive(Deserialize)]
struct Begin {
    as_of: Position,
    chain: ChainHash,
    watermark: Watermark,
    mixed: bool,
    catalogue: Arc<Catalogue>,
    rows_estimate: u64,
}

/// The variant numbers of the messages that differ.
const HELLO: u32 = 0;
const SNAPSHOT_BEGIN: u32 = 1;

/// Appends a subscriber's message.
///
/// # Errors
/// [`Error::TooLong`] if it names too many views.
pub fn push_upstream(out: &mut Outgoing, message: &Upstream) -> Result<(), Error> {
    let Upstream::Hello(hello) = message else { return feed::push_upstream(out, message) };
    let SubscriberHello { version_min, version_max: _, subscriber, views, resume, watermark, .. } = hello;
    let (version_min, version_max, resume) = (*version_min, VERSION, *resume);
    let hello = Subscriber { version_min, version_max, subscriber, views, resume, watermark };
    out.push(UPSTREAM, &(HELLO, hello), UPSTREAM_LEN_MAX)
}

/// Decodes a publisher's message. Blocks of rows and records share the payload's memory.
pub fn downstream(payload: &Bytes) -> Result<Downstream, Error> {
    let (kind, rest) = postcard::take_from_bytes::<u32>(payload).map_err(|error| malformed(DOWNSTREAM, error))?;
    Ok(match kind {
        HELLO => {
            let Publisher { version, region, epoch, head, mode, rehomed, watermark, heartbeat_ms } =
                decode(rest, DOWNSTREAM)?;
            let (lineages, forked, cluster, succeeds) = (RegionLineages::default(), None, None, None);
            Downstream::Hello(PublisherHello {
                version,
                region,
                epoch,
                head,
                mode,
                rehomed,
                watermark,
                heartbeat_ms,
                lineages,
                forked,
                cluster,
                succeeds,
                configured: Vec::new(),
            })
        }
        SNAPSHOT_BEGIN => {
            let Begin { as_of, chain, watermark, mixed, catalogue, rows_estimate } = decode(rest, DOWNSTREAM)?;
            let lineages = RegionLineages::default();
            Downstream::SnapshotBegin { as_of, chain, watermark, lineages, mixed, catalogue, rows_estimate }
        }
        _ => return feed::downstream(payload),
    })
}
