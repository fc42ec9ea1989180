//! Detached tails: lists, shows, merges and drops them.

use super::{json, one_write};
use crate::{
    answer::{self, Answer},
    failure::Failure,
    json::push_int,
    offload,
    state::State,
};
use littoral_api::{code, tails as api};
use littoral_http::query::parameter;
use littoral_model::{
    ports::Tails,
    position::Lsn,
    tail::{TailRecord, TailStatus},
    write::WriteError,
};
use std::sync::Arc;

/// The default number of records in one answer.
pub(crate) const PAGE: usize = 100;
/// The largest number of records in one answer.
pub(crate) const PAGE_MAX: usize = 1_000;

/// Answers `GET /v1/tails`: the oldest first.
pub(super) async fn list(state: &State) -> Result<Answer, Failure> {
    let tails = kept(state)?;
    let found = on_disk(move || tails.list()).await?;
    json(&api::Tails { tails: found.iter().map(api::Tail::from).collect() })
}

/// Answers `GET /v1/tails/{name}`: a page of its rows and deletions, in order.
pub(super) async fn show(state: &State, name: &str, query: Option<&str>) -> Result<Answer, Failure> {
    let limit = number(query, "limit", PAGE as u64)?;
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
        Failure::bad_request(code::INVALID_LIMIT, format!("'limit' is a number from 1 to {PAGE_MAX}"))
    })?;
    let from = Lsn(number(query, "from", 0)?);
    let (tails, wanted) = (kept(state)?, name.to_owned());
    let (tail, records) = on_disk(move || {
        let Some(tail) = find(&*tails, &wanted)? else { return Ok(None) };
        Ok(Some((tail, tails.show(&wanted, from, limit)?)))
    })
    .await?
    .ok_or_else(|| unknown(name))?;
    // A full page: more records may follow.
    let next = records.last().filter(|last| records.len() == limit && last.lsn < tail.last).map(|last| last.lsn.next());
    let mut out = Vec::with_capacity(256 + records.len() * 512);
    out.extend_from_slice(b"{\"tail\":");
    out.extend_from_slice(&serde_json::to_vec(&api::Tail::from(&tail)).map_err(|_| Failure::internal())?);
    out.extend_from_slice(b",\"records\":[");
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(&mut out, record);
        if out.len() > state.config().answer_bytes_max {
            return Err(Failure::answer_too_large(state.config().answer_bytes_max, "use a smaller 'limit'"));
        }
    }
    out.extend_from_slice(b"],\"next\":");
    match next {
        Some(next) => push_int(&mut out, i64::try_from(next.0).unwrap_or(i64::MAX)),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(answer::json(out))
}

/// Answers `POST /v1/tails/{name}/merge`: appends its writes to the region's log under their old versions.
pub(super) async fn merge(state: &State, name: &str) -> Result<Answer, Failure> {
    let tails = kept(state)?;
    known(&tails, name).await?;
    json(&tails.merge(name.to_owned()).await?)
}

/// Answers `DELETE /v1/tails/{name}`.
pub(super) async fn drop(state: &State, name: &str) -> Result<Answer, Failure> {
    let tails = kept(state)?;
    let tail = known(&tails, name).await?;
    let dropped = tail.name.clone();
    on_disk(move || tails.drop_tail(&dropped)).await?;
    json(&api::Tail::from(&tail))
}

fn kept(state: &State) -> Result<Arc<dyn Tails>, Failure> {
    state.node.tails().ok_or_else(|| {
        let message = "this node keeps no detached tails; the members of a region's log do, and edges with a data directory: send this to \
                       the door of each node in [[members]] of the leader's configuration, and of each edge";
        Failure::not_found(code::NO_TAILS, message)
    })
}

async fn known(tails: &Arc<dyn Tails>, name: &str) -> Result<TailStatus, Failure> {
    let (tails, wanted) = (tails.clone(), name.to_owned());
    on_disk(move || find(&*tails, &wanted)).await?.ok_or_else(|| unknown(name))
}

fn find(tails: &dyn Tails, name: &str) -> Result<Option<TailStatus>, WriteError> {
    Ok(tails.list()?.into_iter().find(|tail| tail.name == name))
}

fn unknown(name: &str) -> Failure {
    let shown: String = name.chars().take(160).collect();
    let message = format!(
        "this node keeps no detached tail '{shown}': another node may keep it, or it was merged or dropped; list the tails of \
         this node with GET /v1/tails"
    );
    Failure::not_found(code::UNKNOWN_TAIL, message)
}

/// Runs work on the files of tails, on a blocking thread.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WriteError> + Send + 'static,
) -> Result<T, Failure> {
    offload::run(usize::MAX, move || work().map_err(Failure::from)).await
}

fn number(query: Option<&str>, name: &str, otherwise: u64) -> Result<u64, Failure> {
    let Some(text) = parameter(query, name) else { return Ok(otherwise) };
    text.parse().map_err(|_| {
        let code = if name == "limit" { code::INVALID_LIMIT } else { code::INVALID_FROM };
        Failure::bad_request(code, format!("'{name}' must be a whole number, not '{}'", text.escape_debug()))
    })
}

fn push(out: &mut Vec<u8>, record: &TailRecord) {
    let view = record.view.as_deref();
    out.extend_from_slice(b"{\"lsn\":");
    push_int(out, i64::try_from(record.lsn.0).unwrap_or(i64::MAX));
    out.push(b',');
    one_write::push_row(out, view, &record.key);
    out.extend_from_slice(b",\"deleted\":");
    out.extend_from_slice(if record.body.is_none() { b"true" } else { b"false" });
    out.push(b',');
    one_write::push(out, record.version, record.event_time, record.body.as_deref(), view);
    out.push(b'}');
}
