//! The model: the content of a log in plain maps, written without the product's merging code.

use littoral_model::{
    position::Lsn,
    record::{ChainHash, Payload, Record},
    view::ViewId,
};
use littoral_protocol::frame::Resume;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A row or, without a body, a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The view.
    pub view: ViewId,
    /// The key.
    pub key: Vec<u8>,
    /// The values.
    pub body: Option<Vec<u8>>,
    /// The event time.
    pub event_time: i64,
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A row or a deletion.
    Write(Write),
    /// Tombstones with older clock readings are collected.
    Collect(u64),
    /// The receipt of a write with this key.
    Receipt(String),
    /// Another record.
    Other,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub lsn: Lsn,
    /// The leader's clock reading.
    pub hlc: u64,
    /// Its hash.
    pub chain: ChainHash,
    /// The content.
    pub content: Content,
    /// When it was acknowledged, in the world's time.
    pub at: Duration,
}

impl Entry {
    /// Returns the entry of a record that was acknowledged at `at`.
    #[must_use]
    pub fn of(record: &Record<'_>, at: Duration) -> Self {
        let write = |view, event_time: i64, key: &[u8], body: Option<&[u8]>| {
            Content::Write(Write { view, key: key.to_vec(), body: body.map(<[u8]>::to_vec), event_time })
        };
        let content = match &record.payload {
            Payload::Row { view, event_time, key, body } => write(*view, event_time.0, key, Some(body)),
            Payload::Tombstone { view, event_time, key } => write(*view, event_time.0, key, None),
            Payload::Collect { before } => Content::Collect(before.0),
            Payload::Receipt { idempotency_key, .. } => Content::Receipt((*idempotency_key).to_owned()),
            Payload::Catalogue(_)
            | Payload::Belongs(_)
            | Payload::BeginUnnamed
            | Payload::Begin { .. }
            | Payload::Through { .. }
            | Payload::Withheld => Content::Other,
        };
        Self { lsn: record.lsn, hlc: record.hlc.0, chain: record.chain, content, at }
    }
}

/// The entry that determines a key's state from each record on; `None` if there is none, not even a deletion.
type States = Vec<(Lsn, Option<usize>)>;

/// The content of one log.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The entries by number, dense from the first.
    pub entries: Vec<Entry>,
    states: BTreeMap<(u32, Vec<u8>), States>,
    keys: BTreeSet<String>,
}

impl History {
    /// Appends an entry.
    ///
    /// # Errors
    /// Content that no log may have.
    pub fn push(&mut self, entry: Entry) -> Result<(), String> {
        let index = self.entries.len();
        if self.entries.last().is_some_and(|last| last.hlc >= entry.hlc) {
            return Err(format!("the clock reading of record {} is not greater than the one before", entry.lsn));
        }
        match &entry.content {
            Content::Write(write) => {
                let states = self.states.entry((write.view.0, write.key.clone())).or_default();
                let last = states.last().and_then(|(_, state)| *state).map(|last| &self.entries[last]);
                let wins = last.is_none_or(|last| match &last.content {
                    Content::Write(held) => (write.event_time, entry.hlc) > (held.event_time, last.hlc),
                    _ => true,
                });
                if wins {
                    states.push((entry.lsn, Some(index)));
                }
            }
            Content::Collect(before) => {
                for states in self.states.values_mut() {
                    let last = states.last().and_then(|(_, state)| *state).map(|last| &self.entries[last]);
                    let deleted = last.is_some_and(
                        |last| matches!(&last.content, Content::Write(write) if write.body.is_none() && last.hlc < *before),
                    );
                    if deleted {
                        states.push((entry.lsn, None));
                    }
                }
            }
            Content::Receipt(key) => {
                if !self.keys.insert(key.clone()) {
                    return Err(format!("the write with key {key} was applied twice"));
                }
            }
            Content::Other => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Returns the record with this number.
    #[must_use]
    pub fn entry(&self, lsn: Lsn) -> Option<&Entry> {
        self.entries.get(usize::try_from(lsn.0).ok()?.checked_sub(1)?)
    }

    /// Returns whether a record's write was newer than the state of its key.
    #[must_use]
    pub fn kept(&self, lsn: Lsn) -> bool {
        let Some(Content::Write(write)) = self.entry(lsn).map(|entry| &entry.content) else { return false };
        let states = self.states.get(&(write.view.0, write.key.clone()));
        states.is_some_and(|states| states.iter().any(|(from, state)| *from == lsn && state.is_some()))
    }

    /// Returns whether a subscriber at this position shares this history.
    #[must_use]
    pub fn holds(&self, resume: &Resume) -> bool {
        let lsn = resume.position.lsn;
        if lsn == Lsn::NONE { true } else { self.entry(lsn).is_some_and(|entry| entry.chain == resume.chain) }
    }

    /// Returns the values of a key as of a record.
    #[must_use]
    pub fn at(&self, view: ViewId, key: &[u8], lsn: Lsn) -> Option<&[u8]> {
        let states = self.states.get(&(view.0, key.to_vec()))?;
        states.iter().rev().find(|(from, _)| *from <= lsn).and_then(|(_, state)| self.body(*state))
    }

    /// Returns the values that a key has had since `lsn`, oldest first.
    #[must_use]
    pub fn since(&self, view: ViewId, key: &[u8], lsn: Lsn) -> Vec<Option<&[u8]>> {
        let mut bodies = vec![self.at(view, key, lsn)];
        if let Some(states) = self.states.get(&(view.0, key.to_vec())) {
            bodies.extend(states.iter().filter(|(from, _)| *from > lsn).map(|(_, state)| self.body(*state)));
        }
        bodies
    }

    fn body(&self, state: Option<usize>) -> Option<&[u8]> {
        match &self.entries[state?].content {
            Content::Write(write) => write.body.as_deref(),
            _ => None,
        }
    }

    /// Returns the last record that was acknowledged before `time`.
    #[must_use]
    pub fn acknowledged_before(&self, time: Duration) -> Lsn {
        let count = self.entries.partition_point(|entry| entry.at < time);
        count.checked_sub(1).map_or(Lsn::NONE, |index| self.entries[index].lsn)
    }
}
