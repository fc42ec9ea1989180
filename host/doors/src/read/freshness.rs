//! Writes how fresh an answer is, in headers and in JSON.

use crate::json::{push_int, push_text};
use http::{HeaderMap, HeaderValue};
use littoral_api::headers::{DEGRADED, POSITION, REGIONS, SOURCE, STALENESS_MS, TOKEN};
use littoral_model::{
    freshness::{Freshness, Source},
    position::Position,
    region::Region,
    token::Watermark,
};
use std::{cell::RefCell, time::Duration};

/// Position and token as text, formatted once per position, as there are more reads than records.
struct Formatted {
    position: Position,
    watermark: Watermark,
    position_text: HeaderValue,
    token_text: HeaderValue,
}

thread_local! {
    static LAST: RefCell<Option<Formatted>> = const { RefCell::new(None) };
}

/// Sets the headers of position and token.
pub(crate) fn insert_position(headers: &mut HeaderMap, position: Position, watermark: &Watermark) {
    LAST.with_borrow_mut(|last| {
        let fits = last.as_ref().is_some_and(|last| last.position == position && last.watermark == *watermark);
        if !fits {
            let text = |text: String| HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
            *last = Some(Formatted {
                position,
                watermark: watermark.clone(),
                position_text: text(position.to_string()),
                token_text: text(watermark.to_string()),
            });
        }
        if let Some(last) = last {
            headers.insert(POSITION, last.position_text.clone());
            headers.insert(TOKEN, last.token_text.clone());
        }
    });
}

/// Sets the headers of the freshness metadata.
pub(super) fn insert(headers: &mut HeaderMap, freshness: &Freshness) {
    insert_position(headers, freshness.position, &freshness.watermark);
    if let Some(staleness) = freshness.staleness {
        headers.insert(STALENESS_MS, HeaderValue::from(whole_ms(staleness)));
    }
    headers.insert(SOURCE, HeaderValue::from_static(source(freshness.source)));
    if !freshness.regions.is_empty()
        && let Ok(regions) = HeaderValue::from_str(&names(&freshness.regions).join(","))
    {
        headers.insert(REGIONS, regions);
    }
    if let Some(reason) = freshness.degraded {
        headers.insert(DEGRADED, HeaderValue::from_static(reason.as_str()));
    }
}

/// Appends the freshness metadata as JSON.
pub(super) fn push_json(out: &mut Vec<u8>, freshness: &Freshness) {
    out.extend_from_slice(b"{\"position\":");
    push_text(out, &freshness.position.to_string());
    out.extend_from_slice(b",\"token\":");
    push_text(out, &freshness.watermark.to_string());
    out.extend_from_slice(b",\"staleness_ms\":");
    match freshness.staleness {
        Some(staleness) => push_int(out, i64::try_from(whole_ms(staleness)).unwrap_or(i64::MAX)),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"source\":");
    push_text(out, source(freshness.source));
    if !freshness.regions.is_empty() {
        out.extend_from_slice(b",\"regions\":[");
        for (index, name) in names(&freshness.regions).into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_text(out, name);
        }
        out.push(b']');
    }
    out.extend_from_slice(b",\"degraded\":");
    match freshness.degraded {
        Some(reason) => push_text(out, reason.as_str()),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

fn names(regions: &[Region]) -> Vec<&str> {
    regions.iter().map(Region::as_str).collect()
}

/// Returns whole milliseconds, rounded up, as the answer states an upper bound.
fn whole_ms(staleness: Duration) -> u64 {
    u64::try_from(staleness.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Returns the name that serde uses too.
pub(crate) const fn source(source: Source) -> &'static str {
    match source {
        Source::Replica => "replica",
        Source::Leader => "leader",
        Source::Quorum => "quorum",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::freshness::Degraded;

    #[test]
    fn staleness_is_never_understated() {
        assert_eq!([0, 1, 1_000_000, 1_000_001].map(|nanos| whole_ms(Duration::from_nanos(nanos))), [0, 1, 1, 2]);
    }

    #[test]
    fn names_are_those_of_the_api() {
        for source_ in [Source::Replica, Source::Leader, Source::Quorum] {
            assert_eq!(serde_json::to_value(source_).unwrap(), source(source_));
        }
        for reason in Degraded::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
