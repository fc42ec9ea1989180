//! Conflicts between regions: lists them, and writes a lost value again.

use super::{one_write, rows::commit};
use crate::{
    answer::{self, Answer},
    failure::Failure,
    json::{push_int, push_text},
    receipt,
    state::State,
};
use http::HeaderMap;
use littoral_api::code;
use littoral_http::query::parameter;
use littoral_model::{
    conflict::{Conflict, ConflictSide},
    event_time::EventTime,
    parts,
    project::{self, ProjectName},
    view::FeatureView,
    write::{RowBatch, RowWrite},
};

/// The default number of conflicts in one answer.
pub(crate) const PAGE: usize = 100;
/// The largest number of conflicts in one answer.
pub(crate) const PAGE_MAX: usize = 1_000;

/// Answers `GET /v1/conflicts`: the newest first.
pub(super) fn list(state: &State, query: Option<&str>) -> Result<Answer, Failure> {
    let limit = parameter(query, "limit").map_or(Ok(PAGE), |limit| limit.parse::<usize>());
    let limit = limit.ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
        Failure::bad_request(code::INVALID_LIMIT, format!("'limit' is a number from 1 to {PAGE_MAX}"))
    })?;
    let conflicts = held(state)?;
    let catalogue = state.node.catalogue();
    let mut out = Vec::with_capacity(256 + conflicts.len().min(limit) * 512);
    out.extend_from_slice(b"{\"conflicts\":[");
    let shown = conflicts.iter().rev().take(limit);
    for (at, conflict) in shown.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(&mut out, conflict, catalogue.view_by_id(conflict.view));
        if out.len() > state.config().answer_bytes_max {
            return Err(Failure::answer_too_large(state.config().answer_bytes_max, "use a smaller 'limit'"));
        }
    }
    out.extend_from_slice(b"],\"known\":");
    push_int(&mut out, i64::try_from(conflicts.len()).unwrap_or(i64::MAX));
    out.push(b'}');
    Ok(answer::json(out))
}

/// Returns the project of a conflict's view; `default` if there is no such conflict or view.
pub(crate) fn project_of(state: &State, id: &str) -> ProjectName {
    let conflicts = state.node.conflicts().unwrap_or_default();
    let conflict = conflicts.iter().find(|conflict| self::id(conflict) == id);
    let catalogue = state.node.catalogue();
    let view = conflict.and_then(|conflict| catalogue.view_by_id(conflict.view));
    view.and_then(|view| project::split(&view.name).0.parse().ok()).unwrap_or_default()
}

/// Answers `POST /v1/conflicts/{id}/replay`: writes the lost value again as of now, so that it wins.
pub(super) async fn replay(state: &State, id: &str, headers: &HeaderMap) -> Result<Answer, Failure> {
    let conflicts = held(state)?;
    let Some(conflict) = conflicts.iter().find(|conflict| self::id(conflict) == id) else {
        let shown: String = id.chars().take(160).collect();
        let message = format!("the ledger has no conflict '{shown}'; list its conflicts with GET /v1/conflicts");
        return Err(Failure::not_found(code::UNKNOWN_CONFLICT, message));
    };
    let catalogue = state.node.catalogue();
    let key = catalogue.view_by_id(conflict.view).map_or(&*conflict.key, |view| parts::entity_key(view, &conflict.key));
    let now = littoral_runtime::clock::wall();
    let mut rows = RowBatch::default();
    // A leader sets its own time in a stamped row, and a winner with a later event time would outrank that.
    let event_time = if conflict.kept.event_time < now {
        rows.stamp(now);
        now
    } else {
        EventTime(conflict.kept.event_time.0.saturating_add(1))
    };
    rows.push(RowWrite { view: conflict.view, event_time, key, body: conflict.lost.body.as_deref() });
    commit(state, headers, (rows, receipt::Layout::rows(1))).await
}

fn held(state: &State) -> Result<Vec<Conflict>, Failure> {
    state.node.conflicts().ok_or_else(|| {
        Failure::not_found(code::NO_LEDGER, "this node keeps no conflict ledger; send this to the door of a leader")
    })
}

/// Returns the identifier: the versions of both writes, so that it is equal in every region.
fn id(conflict: &Conflict) -> String {
    let (kept, lost) = conflict.writes();
    format!("{:x}-{}_{:x}-{}", kept.hlc.0, kept.region, lost.hlc.0, lost.region)
}

fn push(out: &mut Vec<u8>, conflict: &Conflict, view: Option<&FeatureView>) {
    out.extend_from_slice(b"{\"id\":");
    push_text(out, &id(conflict));
    out.push(b',');
    one_write::push_row(out, view, &conflict.key);
    out.extend_from_slice(b",\"kept\":");
    push_side(out, &conflict.kept, view);
    out.extend_from_slice(b",\"lost\":");
    push_side(out, &conflict.lost, view);
    out.extend_from_slice(b",\"lsn\":");
    push_int(out, i64::try_from(conflict.lsn.0).unwrap_or(i64::MAX));
    out.push(b'}');
}

fn push_side(out: &mut Vec<u8>, side: &ConflictSide, view: Option<&FeatureView>) {
    out.push(b'{');
    one_write::push(out, side.version, side.event_time, side.body.as_deref(), view);
    out.push(b'}');
}
