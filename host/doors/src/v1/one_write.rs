//! Writes the JSON of one write: its row, where and when it was accepted, and its values by feature.

use super::rows::push_key;
use crate::json::{push_int, push_text, push_value};
use littoral_model::{event_time::EventTime, row_body, version::Version, view::FeatureView};

/// Appends the members `view` and `key` of a row. They are null and empty for a view that was dropped, as its keys have
/// no names.
pub(super) fn push_row(out: &mut Vec<u8>, view: Option<&FeatureView>, key: &[u8]) {
    out.extend_from_slice(b"\"view\":");
    match view {
        Some(view) => push_text(out, &view.name),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"key\":{");
    if let Some(view) = view {
        push_key(out, view, key);
    }
    out.push(b'}');
}

/// Appends the members of a write, without braces. A deletion has no values. The values of a view that was dropped are
/// left out, as they have no names.
pub(super) fn push(
    out: &mut Vec<u8>,
    version: Version,
    event_time: EventTime,
    body: Option<&[u8]>,
    view: Option<&FeatureView>,
) {
    out.extend_from_slice(b"\"region\":");
    push_text(out, version.region.as_str());
    // As text: JSON's numbers are exact up to 2^53, and HLC readings are larger.
    out.extend_from_slice(b",\"hlc\":");
    push_text(out, &version.hlc.0.to_string());
    out.extend_from_slice(b",\"written_at_ms\":");
    push_int(out, i64::try_from(version.hlc.physical_ms()).unwrap_or(i64::MAX));
    out.extend_from_slice(b",\"event_timestamp\":\"");
    event_time.write_rfc3339(out);
    out.extend_from_slice(b"\",\"values\":");
    let (Some(body), Some(view)) = (body, view) else { return out.extend_from_slice(b"null") };
    out.push(b'{');
    for (at, feature) in view.features.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(out, &feature.name);
        out.push(b':');
        push_value(out, row_body::value_at(body, at, feature.value_type));
    }
    out.push(b'}');
}
