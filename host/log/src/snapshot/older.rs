//! The format of snapshots before logs had lives.

use littoral_model::{
    hlc::Hlc,
    origin::{Origin, Origins, Seen},
    position::Position,
    record::ChainHash,
    region::Region,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// How far other regions' records are applied in the snapshot.
#[derive(Deserialize)]
pub(super) struct OriginsV1(BTreeMap<Region, OriginV1>);

#[derive(Deserialize)]
struct OriginV1 {
    position: Position,
    chain: ChainHash,
    hlc: Hlc,
    begun_anew: bool,
    foreign: Hlc,
    newest: Hlc,
    seen: BTreeMap<Region, Seen>,
}

impl From<OriginsV1> for Origins {
    fn from(OriginsV1(all): OriginsV1) -> Self {
        let origin = |old: OriginV1| {
            let OriginV1 { position, chain, hlc, begun_anew, foreign, newest, seen } = old;
            Origin { position, chain, hlc, recreated: begun_anew, foreign, newest, newest_lsn: position.lsn, seen }
        };
        all.into_iter().map(|(region, old)| (region, origin(old))).collect()
    }
}
