//! Writes the log that `tests/format.rs` reads into an empty directory. Run it once for every new format, with that
//! format's number: `cargo run -p littoral-log --example write_fixture -- tests/fixtures/log/1`.

#[path = "../tests/support/mod.rs"]
mod support;

use littoral_log::{
    Log,
    embedded::{Embedded, Options},
    snapshot::{self, Head, Receipt, Remembered},
    storage::{Disk, Storage},
};
use littoral_model::{
    event_time::EventTime,
    outranked::Outranked,
    position::Lsn,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use std::sync::Arc;

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| panic!("usage: write_fixture DIRECTORY"));
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(&directory).unwrap());
    let log = Embedded::open(storage.clone(), Options { segment_bytes: 8 << 10, ..support::options() }).unwrap();
    for _ in 0..6 {
        support::append(&log, 3, 400).unwrap();
    }
    let bounds = log.bounds();
    let head = Head {
        region: log.identity().region,
        incarnation: log.identity().incarnation,
        epoch: bounds.epoch,
        as_of: bounds.tail,
        chain: bounds.chain,
        hlc: bounds.hlc,
        catalogue: Arc::default(),
        rows_estimate: 2,
    };
    let row = |number: u64, body: Option<&[u8]>| {
        let version = Version { hlc: bounds.hlc, region: head.region };
        let meta = RowMeta { view: ViewId(1), event_time: EventTime(5), version, lsn: Lsn(number) };
        Row::new(meta, &number.to_le_bytes(), body)
    };
    let rows = vec![row(1, Some(b"body")), row(2, None)];
    let receipt = Receipt {
        idempotency_key: "once".to_owned(),
        content: 7,
        first: Lsn(1),
        last: Lsn(3),
        hlc: bounds.hlc,
        outranked: Outranked::default(),
    };
    snapshot::write(
        &*storage,
        &head,
        std::iter::once(rows),
        &Remembered { receipts: vec![receipt], ..Remembered::default() },
    )
    .unwrap();
}
