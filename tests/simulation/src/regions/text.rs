//! What happens, for people.

use littoral_model::record::Payload;
use littoral_wire::records;
use std::time::Duration;

/// What happens, when somebody wants to know.
#[derive(Default)]
pub(super) struct Events(Option<Vec<String>>);

impl Events {
    /// Somebody does.
    pub(super) fn kept() -> Self {
        Self(Some(Vec::new()))
    }

    pub(super) fn note(&mut self, now: Duration, event: impl FnOnce() -> String) {
        if let Some(events) = &mut self.0 {
            events.push(format!("{:>6} ms  {}", now.as_millis(), event()));
        }
    }

    pub(super) fn all(self) -> Vec<String> {
        self.0.unwrap_or_default()
    }
}

/// What a block of records holds.
pub(super) fn listed(block: &[u8]) -> String {
    let mut text = String::new();
    for record in records::iter(block).flatten() {
        let key = |key: &[u8]| key.first().copied().unwrap_or(0);
        let what = match &record.payload {
            Payload::Row { view, key: of, .. } => format!("view {} key {} clock {}", view.0, key(of), record.hlc.0),
            Payload::Tombstone { view, key: of, .. } => format!("view {} key {} gone", view.0, key(of)),
            Payload::Through { .. } => "through".to_owned(),
            _ => "other".to_owned(),
        };
        text += &format!("{}/{}.{} {what}; ", record.lsn, record.origin, record.origin_lsn);
    }
    text
}
