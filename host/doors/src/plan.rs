//! What a read needs, worked out once for all requests of one shape: which rows, which of their values, which modules,
//! and the names of the answer's columns.

mod cache;
mod resolve;

pub(crate) use cache::Cache;

use crate::json;
use littoral_model::{
    module::{ModuleDigest, ModuleManifest},
    value::ValueType,
    view::ViewId,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Requests that differ only in values have one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    /// What is asked for.
    pub(crate) wanted: Wanted<'a>,
    /// Whether columns are named `view__feature`.
    pub(crate) full_names: bool,
    /// The names of the request's columns, in order.
    pub(crate) columns: &'a [&'a str],
}

/// What is asked for. References are still JSON: they are only parsed when no plan of the shape is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// A JSON list of `view:feature`.
    Features(&'a str),
    /// The name of a feature service.
    Service(&'a str),
}

/// What a read needs.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Rows to read; each view and choice of key columns once.
    pub(crate) lookups: Vec<Lookup>,
    /// Modules to call.
    pub(crate) calls: Vec<Call>,
    /// The answer's columns, in order.
    pub(crate) outputs: Vec<Output>,
    /// The outputs' names.
    pub(crate) names: Vec<String>,
    /// The names as a JSON list.
    pub(crate) names_json: Vec<u8>,
    /// Views and modules of the answer, as a JSON list of Feast's view metadata.
    pub(crate) views_json: Vec<u8>,
    /// `name=digest` of each module that runs; empty when none does.
    pub(crate) digests: String,
    /// How long such answers become: room to begin with.
    answer_len: AtomicUsize,
}

/// Rows of one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The view.
    pub(crate) view: ViewId,
    /// Its TTL.
    pub(crate) ttl_ms: Option<u64>,
    /// Whether its rows are put together of regions' parts.
    pub(crate) combines: bool,
    /// The request's columns that make the key, in key order; `None` when one is not there, and so no row is found.
    pub(crate) keys: Option<Vec<KeyColumn>>,
}

/// A column of the request that is part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    /// Where it stands in the request.
    pub(crate) column: usize,
    /// Its type.
    pub(crate) value_type: ValueType,
}

/// A value of a lookup's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Which lookup.
    pub(crate) lookup: usize,
    /// Which feature of its view.
    pub(crate) feature: usize,
    /// Its type.
    pub(crate) value_type: ValueType,
}

/// A module to call.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The release.
    pub(crate) digest: ModuleDigest,
    /// What it declares.
    pub(crate) manifest: Arc<ModuleManifest>,
    /// Per declared input.
    pub(crate) inputs: Vec<Cell>,
    /// Per declared parameter, where it stands in the request.
    pub(crate) params: Vec<usize>,
}

/// A column of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A join key, as the request gave it.
    Key(KeyColumn),
    /// A join key that nothing here needs, as the request gave it: it may be missing.
    Unneeded(KeyColumn),
    /// A feature.
    Feature(Cell),
    /// What a module made.
    Made {
        /// Which call.
        call: usize,
        /// Which of its outputs.
        output: usize,
    },
}

impl Plan {
    /// BodyBudget for an answer.
    pub(crate) fn answer_buffer(&self) -> Vec<u8> {
        Vec::with_capacity(self.answer_len.load(Relaxed).clamp(256, 1 << 20))
    }

    /// Remembers how long an answer became.
    pub(crate) fn answered(&self, len: usize) {
        if len > self.answer_len.load(Relaxed) {
            self.answer_len.store(len + len / 8, Relaxed);
        }
    }
}

fn json_list<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::push_text(&mut out, text);
    }
    out.push(b']');
    out
}
