//! Reads over HTTP: from a body to an answer. Both doors read in the same way and differ in the form of the answer.

mod blocks;
mod body;
mod demand;
mod freshness;
mod json;
mod meter;
mod rendered;

use crate::{
    answer::{self, Answer},
    failure::Failure,
    slot::{ReadSize, RequestSlot},
    state::State,
};
use bytes::Bytes;
use http::HeaderMap;
use littoral_api::headers::MODULE_DIGEST;
use littoral_read::{Input, Read, python};
use littoral_runtime::trace::{self, Kind, Span};
use std::{borrow::Cow, time::Instant};

pub(crate) use freshness::insert_position;
pub(crate) use rendered::Rendered;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/get-online-features`.
    Feast,
    /// `/v1/read`.
    Native,
}

/// Answers a read. Returns `None` if it has more than `values_max` values.
pub(crate) async fn read(
    state: &State,
    slot: &mut RequestSlot<'_>,
    headers: &HeaderMap,
    body: Bytes,
    dialect: Dialect,
    values_max: usize,
    started: Instant,
) -> Result<Option<Answer>, Failure> {
    let as_python;
    let parsed = match body::parse(&body, dialect) {
        // Parsed again as Python writes it: hardly any client sends the bare words that JSON does not have.
        Err(failure) => match python::json(&body) {
            Cow::Borrowed(_) => return Err(failure),
            Cow::Owned(python) => {
                as_python = python;
                body::parse(&as_python, dialect)?
            }
        },
        Ok(parsed) => parsed,
    };
    let demand = demand::of(headers, parsed.demand, state.config().wait_max())?;
    let names: Vec<&str> = parsed.columns().map(|(name, _)| name).collect();
    let columns: Vec<&[_]> = parsed.columns().map(|(_, cells)| cells).collect();
    let input = Input { names: &names, columns: &columns };
    let read = Read { shape: parsed.shape(&names), input, demand: &demand, values_max };
    // A read without columns has one row.
    let rows = columns.first().map_or(1, |column| column.len());
    slot.set_read_size(ReadSize { rows, values_max });
    let mut span = Span::child("read", Kind::Internal);
    span.set("littoral.rows", rows);
    let reading = trace::within(span.context(), state.reader.read(&read, slot));
    let answer = match reading.await.inspect_err(|failure| span.failed(failure.code))? {
        Some(answer) => answer,
        None => return Ok(None),
    };
    if span.is_recorded() {
        let found = answer.freshness();
        span.set("littoral.source", freshness::source(found.source));
        if let Some(degraded) = found.degraded {
            span.set("littoral.degraded", degraded.as_str());
        }
    }
    drop(span);

    let body = match dialect {
        Dialect::Feast => {
            answer.reject_unknown()?;
            json::feast(&answer, &input, parsed.view_metadata, &state.config())?
        }
        Dialect::Native => json::native(&answer, &input, &state.config())?,
    };
    let rendered = &answer.prepared().extra;
    rendered.answered(body.len());
    let mut response = answer::json(body);
    let headers = response.headers_mut();
    freshness::insert(headers, answer.freshness());
    if let Some(digests) = &rendered.digests {
        headers.insert(MODULE_DIGEST, digests.clone());
    }
    rendered.meter.took(started.elapsed(), state.config().feast_metrics && dialect == Dialect::Feast);
    answer.recycle();
    Ok(Some(response))
}
