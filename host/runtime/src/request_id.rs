//! The id of a request: it connects an answer with the log lines of every node that the request passed through.

use crate::trace;
use http::{HeaderMap, HeaderName, HeaderValue};
use littoral_model::project::ProjectName;
use std::{cell::OnceCell, fmt};

/// The header of the id, in requests and in answers.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a client, in bytes.
const LEN_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: Running;
}

/// A running request, as the log describes it.
#[derive(Clone)]
struct Running {
    id: RequestId,
    /// Set once the request is admitted.
    project: OnceCell<ProjectName>,
}

/// The id of a request: 1 to 128 letters, digits and characters of `-_.:/+=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Returns the id that the client gave the request. Returns a random one if there is none, or if it contains
    /// characters that could forge a log line.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(HEADER) {
            Some(given) if is_valid(given.as_bytes()) => Self(given.clone()),
            _ => Self::random(),
        }
    }

    fn random() -> Self {
        let mut text = [0; 16];
        let mut bits = fastrand::u64(..);
        for digit in &mut text {
            *digit = b"0123456789abcdef"[(bits & 0xf) as usize];
            bits >>= 4;
        }
        // Hexadecimal digits are valid in a header.
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0")))
    }

    /// Returns the value of the header.
    #[must_use]
    pub fn into_value(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

fn is_valid(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=LEN_MAX).contains(&id.len()) && id.iter().all(is_allowed)
}

/// Runs `work` for a request. The log lines that it writes carry the request's id.
pub async fn scope<F: Future>(id: RequestId, work: F) -> F::Output {
    CURRENT.scope(Running { id, project: OnceCell::new() }, work).await
}

/// Returns `work` so that it belongs to the request of this task, and to its trace, when another task runs it.
pub fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let running = running();
    let work = trace::within(trace::current(), work);
    async move {
        match running {
            Some(running) => CURRENT.scope(running, work).await,
            None => work.await,
        }
    }
}

/// Like [`inherit`], for work that a blocking thread does.
pub fn inherit_blocking<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let (running, context) = (running(), trace::current());
    move || {
        let work = || trace::within_sync(context, work);
        match running {
            Some(running) => CURRENT.sync_scope(running, work),
            None => work(),
        }
    }
}

/// Notes the project of the running request. The log lines that follow carry it.
pub fn set_project(project: &ProjectName) {
    // Outside a request there is nothing to note, and a request stays in its project.
    let _ = CURRENT.try_with(|running| running.project.set(project.clone()));
}

fn running() -> Option<Running> {
    CURRENT.try_with(Running::clone).ok()
}

/// Returns the id of the request that this task works for, if there is one.
#[must_use]
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(|running| running.id.clone()).ok()
}

/// Returns the project of the request that this task works for, once it is known.
pub(crate) fn current_project() -> Option<ProjectName> {
    CURRENT.try_with(|running| running.project.get().cloned()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &str) -> RequestId {
        RequestId::of(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(given).unwrap())]))
    }

    #[test]
    fn an_id_of_a_client_is_kept_and_an_invalid_one_is_replaced() {
        for valid in ["a", "4bf92f35-77b3-4da6", "Root=1-67891233-abcdef012345678912345678", &"x".repeat(LEN_MAX)] {
            assert_eq!(of(valid).to_string(), valid);
        }
        for invalid in ["", "a b", "a\"b", "a\u{e4}", "{}", &"x".repeat(LEN_MAX + 1)] {
            let id = of(invalid).to_string();
            assert!(id != invalid && id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
