//! Validation of writes, in the caller's task: the commit thread receives only valid writes.

use littoral_model::{
    catalogue::Catalogue,
    entity_key,
    event_time::EventTime,
    parts, project,
    row_body::ValueRef,
    view::FeatureView,
    write::{IDEMPOTENCY_KEY_LEN_MAX, NamedRow, WriteError, WriteRequest},
};

/// How many characters of a join key's value an error shows.
const KEY_SHOWN_MAX: usize = 64;

/// The limits of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum size of all keys and values in one write, in bytes.
    pub request_bytes_max: usize,
    /// The maximum size of one row's key and values, in bytes.
    pub row_bytes_max: usize,
    /// The memory for all rows, in bytes.
    pub rows_bytes_max: u64,
    /// How far an event time may be ahead of the leader's clock, in milliseconds.
    pub future_ms_max: u64,
}

/// Checks a write against the catalogue and the limits.
///
/// # Errors
/// The reason for rejecting the write.
pub fn check(limits: &Limits, catalogue: &Catalogue, request: &WriteRequest, now_ms: u64) -> Result<(), WriteError> {
    let invalid = |reason: String| Err(WriteError::Invalid(reason));
    if !request.rows.is_well_formed() {
        return invalid("the write's rows do not match its bytes: the client's encoding is faulty".to_owned());
    }
    if request.rows.payload_len() > limits.request_bytes_max {
        return invalid(format!(
            "the write has {} bytes; at most {} are allowed; split it",
            request.rows.payload_len(),
            limits.request_bytes_max
        ));
    }
    let key_project = match request.idempotency_key.as_deref() {
        Some(stored) => Some(check_idempotency_key(catalogue, stored)?),
        None => None,
    };
    let newest = EventTime::from_ms(i64::try_from(now_ms.saturating_add(limits.future_ms_max)).unwrap_or(i64::MAX));
    let mut last_view: Option<&FeatureView> = None;
    for (index, row) in (0_u32..).zip(request.rows.iter()) {
        let invalid = |reason: String| Err(WriteError::InvalidRow { row: index, reason });
        let view = match last_view {
            Some(view) if view.id == row.view => view,
            _ => {
                let found = catalogue.view_by_id(row.view);
                found.ok_or_else(|| WriteError::UnknownView(format!("number {}", row.view)))?
            }
        };
        if last_view.is_none_or(|last| last.id != view.id)
            && let Some(project) = key_project
            && project::split(&view.name).0 != project
        {
            return invalid(format!(
                "view '{}' is not in the project '{project}', to which the idempotency key belongs; send the rows of \
                 each project with a key of that project",
                view.name
            ));
        }
        last_view = Some(view);
        let len = row.key.len() + row.body.map_or(0, <[u8]>::len);
        if len > limits.row_bytes_max {
            return invalid(format!(
                "view '{}': the row has {len} bytes; at most {} are allowed",
                view.name, limits.row_bytes_max
            ));
        }
        if view.merge.combines() && row.key.len() > parts::ENTITY_KEY_LEN_MAX {
            return invalid(format!(
                "view '{}': the entity key has {} bytes; at most {} are allowed in a view that combines regions' parts",
                view.name,
                row.key.len(),
                parts::ENTITY_KEY_LEN_MAX
            ));
        }
        if let Err(error) = check_key(view, row.key) {
            return invalid(format!("view '{}': {error}", view.name));
        }
        if let Some(body) = row.body
            && let Err(error) = view.check_body(body)
        {
            return invalid(format!("view '{}': {error}", view.name));
        }
        // If the door set the event time, the writer is not at fault; the leader will replace that time.
        if request.rows.given_time(&row).is_some_and(|time| time > newest) {
            return Err(WriteError::FutureEvent {
                event_time: row.event_time.to_string(),
                ahead_ms: u64::try_from(row.event_time.as_ms()).unwrap_or(0).saturating_sub(now_ms),
                max_ms: limits.future_ms_max,
                row: NamedRow { view: view.name.clone(), at: index, key: shown_key(view, row.key) },
            });
        }
    }
    Ok(())
}

/// Checks a stored idempotency key. Returns its project.
fn check_idempotency_key<'a>(catalogue: &Catalogue, stored: &'a str) -> Result<&'a str, WriteError> {
    let (project, key) = project::split_key(stored);
    if !catalogue.has_project(project) {
        let shown: String = project.chars().take(160).collect();
        let reason = format!("the idempotency key belongs to '{shown}', and there is no such project");
        return Err(WriteError::Invalid(reason));
    }
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_LEN_MAX {
        let reason =
            format!("the idempotency key has {} bytes; it must have 1 to {IDEMPOTENCY_KEY_LEN_MAX}", key.len());
        return Err(WriteError::Invalid(reason));
    }
    Ok(project)
}

/// Formats an entity key for display: `origin=ORD, destination=LAX`.
fn shown_key(view: &FeatureView, key: &[u8]) -> String {
    let values = entity_key::split(key, view.key_types()).unwrap_or_default();
    let shown = view.join_keys.iter().zip(values).map(|(key, value)| {
        let value = match value {
            ValueRef::Int32(number) => number.to_string(),
            ValueRef::Int64(number) | ValueRef::UnixTimestamp(number) => number.to_string(),
            ValueRef::String(text) => format!("{:?}", text.chars().take(KEY_SHOWN_MAX).collect::<String>()),
            ValueRef::Bytes(bytes) => format!("{} bytes", bytes.len()),
            _ => String::new(),
        };
        format!("{}={value}", key.name)
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn check_key(view: &FeatureView, key: &[u8]) -> Result<(), entity_key::InvalidKey> {
    entity_key::split(key, view.key_types()).map(drop)
}
