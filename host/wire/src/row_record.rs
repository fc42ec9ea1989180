//! Postcard encoding of a row's record, written by hand. Nearly all records are of rows, and a
//! leader encodes each of them on its one commit thread. The bytes equal those of the derived
//! encoding, as a test verifies.

use crate::error::Error;
use littoral_model::record::{Payload, Record};

/// The maximum length of a row's record without its key, its body and its region's name.
const FIXED_LEN_MAX: usize = 4 + 8 * 10 + 19;

/// Appends `u32 LE length | postcard bytes` of a row's or tombstone's record; appends nothing for
/// other records.
pub(crate) fn push(block: &mut Vec<u8>, record: &Record<'_>) -> Result<(), Error> {
    let (kind, view, event_time, key, body) = match &record.payload {
        Payload::Row { view, event_time, key, body } => (0, view, event_time, *key, Some(*body)),
        Payload::Tombstone { view, event_time, key } => (1, view, event_time, *key, None),
        _ => return Ok(()),
    };
    let origin = record.origin.name_bytes();
    let len_max = FIXED_LEN_MAX + origin.len() + key.len() + body.map_or(0, <[u8]>::len);
    if u32::try_from(len_max).is_err() {
        return Err(Error::TooLong { len: len_max, len_max: u32::MAX as usize });
    }
    block.reserve(len_max);
    let start = block.len();
    let mut head = Head { bytes: [0; HEAD_LEN], len: 4 };
    head.varint(record.lsn.0);
    head.varint(record.epoch.0);
    head.varint(origin.len() as u64);
    head.bytes(origin);
    head.varint(record.origin_lsn.0);
    head.varint(record.hlc.0);
    head.varint_wide(record.chain.0);
    head.varint(kind);
    head.varint(u64::from(view.0));
    let time = event_time.0;
    head.varint(((time << 1) ^ (time >> 63)) as u64);
    head.varint(key.len() as u64);
    block.extend_from_slice(&head.bytes[..head.len]);
    block.extend_from_slice(key);
    if let Some(body) = body {
        let mut len = Head { bytes: [0; HEAD_LEN], len: 0 };
        len.varint(body.len() as u64);
        block.extend_from_slice(&len.bytes[..len.len]);
        block.extend_from_slice(body);
    }
    let len = (block.len() - start - 4) as u32;
    block[start..start + 4].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// The buffer for everything before the key: [`FIXED_LEN_MAX`] and a region's name.
const HEAD_LEN: usize = 128;

struct Head {
    bytes: [u8; HEAD_LEN],
    len: usize,
}

impl Head {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes[self.len] = value as u8 | 0x80;
            self.len += 1;
            value >>= 7;
        }
        self.bytes[self.len] = value as u8;
        self.len += 1;
    }

    #[inline]
    fn varint_wide(&mut self, mut value: u128) {
        while value >= 1 << 63 {
            // Nine groups at once, because shifting 64 bits is faster than shifting 128.
            let mut part = value as u64;
            for _ in 0..9 {
                self.bytes[self.len] = part as u8 | 0x80;
                self.len += 1;
                part >>= 7;
            }
            value >>= 63;
        }
        self.varint(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        event_time::EventTime,
        hlc::Hlc,
        position::{Epoch, Lsn},
        record::ChainHash,
        view::ViewId,
    };
    use proptest::prelude::*;

    fn wide() -> impl Strategy<Value = u128> {
        (any::<u128>(), 0..128_u32).prop_map(|(value, shift)| value >> shift)
    }

    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #[test]
        fn the_bytes_equal_those_of_the_derived_encoding(
            (lsn, epoch, origin_lsn, hlc) in (number(), number(), number(), number()),
            chain in wide(),
            view in any::<u32>(),
            (time, shift) in (any::<i64>(), 0..64_u32),
            region in "[a-z0-9-]{1,16}",
            key in prop::collection::vec(any::<u8>(), 0..300),
            body in prop::option::of(prop::collection::vec(any::<u8>(), 0..20_000)),
        ) {
            let (view, event_time, key) = (ViewId(view), EventTime(time >> shift), &key[..]);
            let payload = match &body {
                Some(body) => Payload::Row { view, event_time, key, body },
                None => Payload::Tombstone { view, event_time, key },
            };
            let record = Record {
                lsn: Lsn(lsn),
                epoch: Epoch(epoch),
                origin: region.parse().unwrap(),
                origin_lsn: Lsn(origin_lsn),
                hlc: Hlc(hlc),
                chain: ChainHash(chain),
                payload,
            };
            let derived = postcard::to_allocvec(&record).unwrap();
            let mut block = vec![9];
            push(&mut block, &record).unwrap();
            prop_assert_eq!(&block[1..5], (derived.len() as u32).to_le_bytes());
            prop_assert_eq!(&block[5..], &derived);
        }
    }
}
