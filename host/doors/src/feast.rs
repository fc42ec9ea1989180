//! Feast's writes: columns of rows for a push source or a view.

mod named;

use crate::{
    Config,
    answer::{self, Answer},
    diagnose,
    failure::Failure,
    offload,
    receipt::{self, Layout},
    rows::Rows,
    state::State,
};
use bytes::Bytes;
use http::HeaderMap;
use littoral_api::code;
use littoral_model::{catalogue::Catalogue, event_time::EventTime, view::FeatureView, write::RowBatch};
use littoral_read::{
    cell::{Cell, Columns, Text},
    coerce, python,
};
use littoral_runtime::metrics::label;
use named::{Door, Named};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    push_source_name: Text<'a>,
    #[serde(borrow)]
    df: Columns<'a>,
    #[serde(borrow, default)]
    to: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Write<'a> {
    #[serde(borrow)]
    feature_view_name: Text<'a>,
    #[serde(borrow)]
    df: Columns<'a>,
}

/// Answers `POST /push`: rows for every view of a push source, written all or none.
pub(crate) async fn push(state: &State, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
    let (catalogue, config) = (state.catalogue(), Arc::clone(&state.config()));
    let (rows, labels) = offload::run(body.len(), move || pushed_rows(&catalogue, &config, &body)).await?;
    let answer = commit(state, headers, rows, Bytes::new()).await?;
    if let Some(labels) = labels {
        metrics::counter!("feast_push_request_total", &labels).increment(1);
    }
    Ok(answer)
}

/// The labels under which Feast counts a push.
type PushLabels = [(&'static str, String); 2];

/// Returns the rows of a push, and its labels if Feast's metrics are switched on.
fn pushed_rows(
    catalogue: &Catalogue,
    config: &Config,
    body: &[u8],
) -> Result<((RowBatch, Layout), Option<PushLabels>), Failure> {
    let body = python::json(body);
    let push: Push<'_> =
        serde_json::from_slice(&body).map_err(|error| diagnose(&body, &error, &["push_source_name", "df"]))?;
    let name = &push.push_source_name.0;
    let source = catalogue.push_source(name).ok_or_else(|| {
        let shown: String = name.chars().take(128).collect();
        Failure::invalid(code::UNKNOWN_PUSH_SOURCE, format!("Unable to find push source '{shown}'."))
            .class("PushSourceNotFoundException")
    })?;
    match push.to.as_ref().map(|to| to.0.as_ref()) {
        None | Some("online" | "online_and_offline") => {}
        Some("offline") => {
            let message = "there is no offline store here; push to 'online'";
            return Err(Failure::invalid(code::NO_OFFLINE_STORE, message));
        }
        Some(_) => {
            let message = "'to' is one of 'online', 'offline', 'online_and_offline'";
            return Err(Failure::invalid(code::INVALID_PUSH_MODE, message));
        }
    }
    let (mut rows, mut layout) = (Rows::new(config), Layout::default());
    for view in source.views.iter().filter_map(|view| catalogue.view(view)) {
        let named = Named::new(catalogue, view, &push.df, Door::Push)?;
        layout.add(append(&mut rows, view, &push.df, &named)?, 0);
    }
    let labels = config.feast_metrics.then(|| {
        let mode = push.to.as_ref().map_or("online", |to| &to.0);
        [("push_source", label(&catalogue.stored_name(name))), ("mode", mode.to_owned())]
    });
    Ok(((rows.finish(), layout), labels))
}

/// Answers `POST /write-to-online-store`: rows for one view.
pub(crate) async fn write(state: &State, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
    let (catalogue, config) = (state.catalogue(), Arc::clone(&state.config()));
    let rows = offload::run(body.len(), move || written_rows(&catalogue, &config, &body)).await?;
    commit(state, headers, rows, Bytes::from_static(b"null")).await
}

fn written_rows(catalogue: &Catalogue, config: &Config, body: &[u8]) -> Result<(RowBatch, Layout), Failure> {
    let body = python::json(body);
    let write: Write<'_> =
        serde_json::from_slice(&body).map_err(|error| diagnose(&body, &error, &["feature_view_name", "df"]))?;
    let view = catalogue.view(&write.feature_view_name.0).ok_or_else(|| {
        let shown: String = write.feature_view_name.0.chars().take(128).collect();
        Failure::not_found(code::UNKNOWN_VIEW, format!("Can't recognize feast object with a name {shown}"))
            .class("FeastObjectNotFoundException")
    })?;
    let mut rows = Rows::new(config);
    let named = Named::new(catalogue, view, &write.df, Door::Write)?;
    let layout = Layout::rows(append(&mut rows, view, &write.df, &named)?);
    Ok((rows.finish(), layout))
}

/// Appends the rows of the columns and returns their number. Ignores columns that the view does not have, because a
/// push may write several views. The column `created` is ignored too, as in Feast: of two writes of one event the later
/// one is kept.
fn append(rows: &mut Rows, view: &FeatureView, df: &Columns<'_>, named: &Named<'_>) -> Result<usize, Failure> {
    let missing = |kind: &str, name: &str| {
        let message = format!("df lacks column '{name}', which is a {kind} of view '{}'", view.name);
        Failure::invalid(code::MISSING_COLUMN, message)
    };
    let mut keys = Vec::with_capacity(view.join_keys.len());
    for key in &view.join_keys {
        keys.push(named.get(&key.name)?.ok_or_else(|| missing("join key", &key.name))?);
    }
    // Without this check a missing column would erase the feature.
    let mut features = Vec::with_capacity(view.features.len());
    for feature in &view.features {
        features.push(named.get(&feature.name)?.ok_or_else(|| missing("feature", &feature.name))?);
    }
    let len = df.0.first().map_or(0, |(_, cells)| cells.len());
    if let Some((name, cells)) = df.0.iter().find(|(_, cells)| cells.len() != len) {
        let message = format!(
            "df's columns are of unequal lengths: '{}' has {len} values, '{name}' has {}",
            df.0.first().map_or("", |(name, _)| name),
            cells.len()
        );
        return Err(Failure::invalid(code::UNEQUAL_LENGTHS, message));
    }
    let times = named.times()?;
    let now = rows.now();
    let mut writer = rows.view(view);
    for row in 0..len {
        let time = match times {
            None => now,
            Some((column, times)) => event_time(column, &times[row], row)?,
        };
        writer.begin("row", row);
        for cells in &keys {
            writer.key(&cells[row])?;
        }
        for cells in &features {
            writer.value(&cells[row])?;
        }
        writer.end(time)?;
    }
    Ok(len)
}

fn event_time(column: &str, cell: &Cell<'_>, row: usize) -> Result<EventTime, Failure> {
    coerce::event_time(cell)
        .and_then(|time| time.ok_or_else(|| "the event timestamp is missing".to_owned()))
        .map_err(|reason| Failure::invalid(code::INVALID_ROW, format!("row {row}, column '{column}': {reason}")))
}

async fn commit(
    state: &State,
    headers: &HeaderMap,
    (rows, layout): (RowBatch, Layout),
    body: Bytes,
) -> Result<Answer, Failure> {
    let mut response = if body.is_empty() { answer::empty() } else { answer::json(body) };
    if !rows.is_empty() {
        let receipt = receipt::write(state, receipt::request(rows, headers)?, &layout).await?;
        receipt::insert_reached(response.headers_mut(), &receipt);
        crate::read::insert_position(response.headers_mut(), receipt.position, &receipt.token);
    }
    Ok(response)
}

/// Returns the error of a body that does not parse.
fn diagnose(body: &[u8], error: &serde_json::Error, fields: &[&str]) -> Failure {
    let members = match diagnose::members(body, error) {
        Ok(members) => members,
        Err(failure) => return failure,
    };
    match fields.iter().find(|field| !members.contains_key(**field)) {
        Some(missing) => {
            let at = vec![(*missing).to_owned()];
            Failure::body("missing", at, "Field required", format!("'{missing}' is missing"))
        }
        None => diagnose::otherwise(error),
    }
}
