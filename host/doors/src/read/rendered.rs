//! What the doors derive once from a plan.

use super::meter::Meter;
use crate::json::push_text;
use http::HeaderValue;
use littoral_model::catalogue::Catalogue;
use littoral_read::{Extra, Plan};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The parts of an answer that are the same for all reads of a plan.
pub(crate) struct Rendered {
    /// The names of the columns, as a JSON list.
    pub(super) names: Vec<u8>,
    /// The views and modules, as a JSON list of Feast's view metadata.
    pub(super) views: Vec<u8>,
    /// `name=digest` of each module that runs. `None` if none does.
    pub(super) digests: Option<HeaderValue>,
    /// Metrics of the reads.
    pub(super) meter: Meter,
    /// The length of the longest answer and an eighth of it, in bytes: the initial capacity of the next answer.
    answer_len: AtomicUsize,
}

impl Extra for Rendered {
    fn derive(plan: &Plan, catalogue: &Catalogue) -> Self {
        let views = plan.views.iter().map(|view| serde_json::json!({ "name": view })).collect();
        let digests: Vec<String> = plan.calls.iter().map(|call| format!("{}={}", call.name, call.digest)).collect();
        Self {
            names: list(&plan.names),
            views: serde_json::Value::Array(views).to_string().into_bytes(),
            digests: if digests.is_empty() { None } else { HeaderValue::from_str(&digests.join(",")).ok() },
            meter: Meter::new(plan, catalogue),
            answer_len: AtomicUsize::new(0),
        }
    }
}

impl Rendered {
    /// Returns an empty buffer for an answer.
    pub(super) fn buffer(&self) -> Vec<u8> {
        Vec::with_capacity(self.answer_len.load(Relaxed).clamp(256, 1 << 20))
    }

    /// Records the length of an answer.
    pub(super) fn answered(&self, len: usize) {
        if len > self.answer_len.load(Relaxed) {
            self.answer_len.store(len + len / 8, Relaxed);
        }
    }
}

fn list(texts: &[String]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(&mut out, text);
    }
    out.push(b']');
    out
}
