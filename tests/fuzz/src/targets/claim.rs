//! Claims to a lease, as in a store to which others write too.

use super::check_words;
use crate::Target;
use littoral_lease::{Claim, Committed, Holder, StoreId, claim};
use littoral_model::position::{Epoch, Incarnation, Lsn};

pub(super) const TARGET: Target = Target { name: "claim", run: read, seeds, memory: (64 << 10, 64) };

/// A claim that decodes is within its bounds, and encodes to the same claim.
fn read(input: &[u8]) {
    match Claim::decode(input) {
        Err(error) => check_words(&error.to_string()),
        Ok(read) => {
            assert!(read.epoch >= Epoch::FIRST && !read.term().is_zero() && read.term() <= claim::TERM_MAX);
            assert!(read.holder.name.len() <= claim::NAME_MAX && read.contact.len() <= claim::CONTACT_MAX);
            assert_eq!(Claim::decode(&read.encode()).expect("a claim is read again"), read);
        }
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let claim = |epoch, released, contact: &str| Claim {
        epoch: Epoch(epoch),
        holder: Holder { name: "leader-1".into(), process: u64::MAX },
        attempt: 7,
        term_ms: 2_000,
        released,
        contact: contact.into(),
        committed: Committed { epoch: Epoch(3), incarnation: Incarnation(u64::MAX), lsn: Lsn(41) },
        store: Some(StoreId(7)),
    };
    let whole = [claim(1, false, "127.0.0.1:7701"), claim(u64::MAX - 1, true, "")];
    let mut seeds: Vec<Vec<u8>> = whole.iter().map(Claim::encode).collect();
    seeds.extend([b"{}".to_vec(), b"null".to_vec(), br#"{"epoch":-1,"holder":{"name":"\u0000","life":1e3}}"#.to_vec()]);
    seeds.into_iter().enumerate().map(|(index, bytes)| (index.to_string(), bytes)).collect()
}
