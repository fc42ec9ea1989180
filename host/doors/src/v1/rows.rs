//! Rows: writes from JSON or an Arrow stream, and pages.

use super::{invalid_body, json, unknown};
use crate::{
    Config,
    answer::{self, Answer},
    failure::Failure,
    json::{push_int, push_text, push_value},
    offload,
    project::Rate,
    receipt::{self, Layout},
    rows::{Rows, Writer},
    state::State,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use littoral_api::code;
use littoral_columnar::{ARROW_STREAM, Limits};
use littoral_http::query::parameter;
use littoral_model::{
    catalogue::Catalogue, entity_key, event_time::EventTime, parts, ports::Node, row::Row, view::FeatureView,
    write::RowBatch,
};
use littoral_read::{
    cell::{Cell, Members, Text},
    coerce, python,
};
use serde::Deserialize;
use std::{sync::Arc, time::Instant};

/// The default number of rows of a page.
pub(crate) const PAGE_ROWS: usize = 1_000;

/// The largest number of rows of a page.
pub(crate) const PAGE_ROWS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow, default)]
    key: Members<'a, Cell<'a>>,
    #[serde(borrow, default)]
    values: Members<'a, Cell<'a>>,
    #[serde(borrow, default)]
    event_timestamp: Option<Cell<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write<'a> {
    /// Only in a request that writes several views.
    #[serde(borrow, default)]
    view: Option<Text<'a>>,
    #[serde(borrow, default)]
    rows: Vec<Document<'a>>,
    #[serde(borrow, default)]
    deletes: Vec<Document<'a>>,
}

/// Returns whether a body is an Arrow stream, by its media type.
pub(crate) fn is_arrow(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(ARROW_STREAM))
}

/// Answers `POST /v1/views/{name}/rows`.
pub(super) async fn write_view(state: &State, name: &str, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
    let (catalogue, config, name) = (state.catalogue(), Arc::clone(&state.config()), name.to_owned());
    let is_arrow = is_arrow(headers);
    let rows = offload::run(body.len(), move || {
        let view = catalogue.view(&name).ok_or_else(|| unknown("feature view", code::UNKNOWN_VIEW, &name))?;
        if is_arrow {
            let rows = arrow_rows(view, &config, body)?;
            let layout = Layout::rows(rows.len());
            return Ok((rows, layout));
        }
        let mut python = Vec::new();
        let write: Write<'_> = python::parse(&body, &mut python).map_err(|error| invalid_body(&error))?;
        let (mut rows, mut layout) = (Rows::new(&config), Layout::default());
        append(&mut rows, &mut layout, view, &write)?;
        Ok((rows.finish(), layout))
    });
    commit(state, headers, rows.await?).await
}

fn arrow_rows(view: &FeatureView, config: &Config, body: Bytes) -> Result<RowBatch, Failure> {
    let limits = Limits { rows_max: config.write_rows_max, bytes_max: config.write_packed_bytes_max };
    let now = littoral_runtime::clock::wall();
    littoral_columnar::decode_ipc(body, view, now, limits).map_err(|error| {
        use littoral_columnar::Error;
        match error {
            Error::TooManyRows(_) | Error::TooLarge(_) => {
                Failure::new(StatusCode::PAYLOAD_TOO_LARGE, code::WRITE_TOO_LARGE, error.to_string())
            }
            error => Failure::invalid(code::INVALID_ROWS, error.to_string()),
        }
    })
}

/// Answers `POST /v1/rows`: rows of several views, written all or none.
pub(super) async fn write_views(state: &State, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
    let (catalogue, config) = (state.catalogue(), Arc::clone(&state.config()));
    let rows = offload::run(body.len(), move || views_rows(&catalogue, &config, &body)).await?;
    commit(state, headers, rows).await
}

fn views_rows(catalogue: &Catalogue, config: &Config, body: &[u8]) -> Result<(RowBatch, Layout), Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Writes<'a> {
        #[serde(borrow)]
        writes: Vec<Write<'a>>,
    }
    let mut python = Vec::new();
    let writes: Writes<'_> = python::parse(body, &mut python).map_err(|error| invalid_body(&error))?;
    let (mut rows, mut layout) = (Rows::new(config), Layout::default());
    for (at, write) in writes.writes.iter().enumerate() {
        let name = write
            .view
            .as_ref()
            .map(|view| view.0.as_ref())
            .ok_or_else(|| Failure::bad_request(code::INVALID_BODY, format!("writes[{at}] has no 'view'")))?;
        let view = catalogue.view(name).ok_or_else(|| unknown("feature view", code::UNKNOWN_VIEW, name))?;
        append(&mut rows, &mut layout, view, write)?;
    }
    Ok((rows.finish(), layout))
}

fn append(rows: &mut Rows, layout: &mut Layout, view: &FeatureView, write: &Write<'_>) -> Result<(), Failure> {
    layout.add(write.rows.len(), write.deletes.len());
    let now = rows.now();
    let mut writer = rows.view(view);
    for (at, document) in write.rows.iter().enumerate() {
        let time = begin(&mut writer, view, document, at, "row", now)?;
        if let Some((name, _)) = document.values.0.iter().find(|(name, _)| view.feature(name).is_none()) {
            return Err(wrong(view, "row", at, name, "the view has no such feature"));
        }
        for feature in &view.features {
            writer.value(document.values.get(&feature.name).unwrap_or(&Cell::Null))?;
        }
        writer.end(time)?;
    }
    for (at, document) in write.deletes.iter().enumerate() {
        let time = begin(&mut writer, view, document, at, "delete", now)?;
        if let Some((name, _)) = document.values.0.first() {
            return Err(wrong(view, "delete", at, name, "a deletion has no values"));
        }
        writer.delete(time)?;
    }
    Ok(())
}

/// Begins a row and writes its key. Returns the time of its event.
fn begin(
    writer: &mut Writer<'_>,
    view: &FeatureView,
    document: &Document<'_>,
    at: usize,
    kind: &'static str,
    now: EventTime,
) -> Result<EventTime, Failure> {
    writer.begin(kind, at);
    if let Some((name, _)) =
        document.key.0.iter().find(|(name, _)| !view.join_keys.iter().any(|key| key.name == **name))
    {
        return Err(wrong(view, kind, at, name, "the view has no such join key"));
    }
    for key in &view.join_keys {
        let cell = document.key.get(&key.name);
        writer.key(cell.ok_or_else(|| wrong(view, kind, at, &key.name, "the join key is missing"))?)?;
    }
    let cell = match &document.event_timestamp {
        None | Some(Cell::Null) => return Ok(now),
        Some(cell) => cell,
    };
    let time = coerce::event_time(cell).map_err(|reason| wrong(view, kind, at, "event_timestamp", &reason))?;
    // A writer whose time is missing must not outrank rows that have one.
    time.ok_or_else(|| {
        wrong(view, kind, at, "event_timestamp", "the time is missing; leave it out to use the present time")
    })
}

fn wrong(view: &FeatureView, kind: &str, at: usize, column: &str, reason: &str) -> Failure {
    let column: String = column.chars().take(128).collect();
    Failure::invalid(code::INVALID_ROW, format!("view '{}', {kind} {at}, column '{column}': {reason}", view.name))
}

/// Writes the rows and answers with the receipt.
pub(super) async fn commit(
    state: &State,
    headers: &HeaderMap,
    (rows, layout): (RowBatch, Layout),
) -> Result<Answer, Failure> {
    if rows.is_empty() {
        return Err(Failure::bad_request(code::NO_ROWS, "there is no row to write and none to delete"));
    }
    let receipt = receipt::write(state, receipt::request(rows, headers)?, &layout).await?;
    let mut answer = json(&receipt::rows(&receipt, &layout))?;
    receipt::insert_reached(answer.headers_mut(), &receipt);
    crate::read::insert_position(answer.headers_mut(), receipt.position, &receipt.token);
    Ok(answer)
}

/// Answers `GET /v1/views/{name}/rows`.
pub(super) async fn page(state: &State, name: &str, query: Option<&str>) -> Result<Answer, Failure> {
    let (node, config, catalogue) = (state.node.clone(), Arc::clone(&state.config()), state.catalogue());
    if catalogue.view(name).is_none() {
        return Err(unknown("feature view", code::UNKNOWN_VIEW, name));
    }
    let limit = parameter(query, "limit").map_or(Ok(PAGE_ROWS), |limit| limit.parse::<usize>());
    let limit = limit.ok().filter(|limit| (1..=PAGE_ROWS_MAX).contains(limit)).ok_or_else(|| {
        Failure::bad_request(code::INVALID_LIMIT, format!("'limit' is a number from 1 to {PAGE_ROWS_MAX}"))
    })?;
    state.spend(Rate::RowsRead, limit as u64, Instant::now())?;
    let (name, query) = (name.to_owned(), query.map(str::to_owned));
    // Traverses the whole replica.
    offload::run(usize::MAX, move || held_page(&*node, &catalogue, &config, (&name, query.as_deref(), limit))).await
}

fn held_page(
    node: &dyn Node,
    catalogue: &Catalogue,
    config: &Config,
    (name, query, limit): (&str, Option<&str>, usize),
) -> Result<Answer, Failure> {
    let view = catalogue.view(name).ok_or_else(|| unknown("feature view", code::UNKNOWN_VIEW, name))?;
    let after = parameter(query, "cursor").map(|cursor| URL_SAFE_NO_PAD.decode(cursor.as_bytes())).transpose();
    let after = after
        .map_err(|_| Failure::bad_request(code::INVALID_CURSOR, "'cursor' was not returned by an earlier page"))?;
    let page = node.page(view.id, after.as_deref(), limit).ok_or_else(|| {
        let message = format!("this node does not hold every row of view '{name}'; send this to its leader");
        Failure::new(StatusCode::CONFLICT, code::NOT_HELD_WHOLE, message)
    })?;
    let mut out = Vec::with_capacity(64 + page.rows.len() * 256);
    out.extend_from_slice(b"{\"rows\":[");
    for (at, row) in page.rows.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_row(&mut out, view, row);
        if out.len() > config.answer_bytes_max {
            return Err(Failure::answer_too_large(config.answer_bytes_max, "use a smaller 'limit'"));
        }
    }
    out.extend_from_slice(b"],\"cursor\":");
    match &page.cursor {
        Some(cursor) => push_text(&mut out, &URL_SAFE_NO_PAD.encode(cursor)),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(answer::json(out))
}

fn push_row(out: &mut Vec<u8>, view: &FeatureView, row: &Row) {
    let header = row.header();
    out.extend_from_slice(b"{\"key\":{");
    push_key(out, view, row.key());
    out.extend_from_slice(b"},\"values\":{");
    for (at, feature) in view.features.iter().enumerate() {
        push_name(out, at, &feature.name);
        push_value(out, row.value(at, feature.value_type));
    }
    out.extend_from_slice(b"},\"event_timestamp\":\"");
    header.event_time.write_rfc3339(out);
    out.extend_from_slice(b"\",\"version\":{\"hlc\":");
    push_text(out, &header.version.hlc.0.to_string());
    out.extend_from_slice(b",\"region\":");
    push_text(out, header.version.region.as_str());
    out.extend_from_slice(b"},\"lsn\":");
    push_int(out, i64::try_from(header.lsn.0).unwrap_or(i64::MAX));
    out.push(b'}');
}

/// Appends the columns of a key, as members of an object.
pub(super) fn push_key(out: &mut Vec<u8>, view: &FeatureView, key: &[u8]) {
    let keys = entity_key::split(parts::entity_key(view, key), view.key_types()).unwrap_or_default();
    for (at, (key, value)) in view.join_keys.iter().zip(keys).enumerate() {
        push_name(out, at, &key.name);
        push_value(out, value);
    }
}

fn push_name(out: &mut Vec<u8>, at: usize, name: &str) {
    if at > 0 {
        out.push(b',');
    }
    push_text(out, name);
    out.push(b':');
}
