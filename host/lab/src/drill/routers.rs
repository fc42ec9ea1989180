//! The routers, as clients behind a load balancer use them: each request goes to one that reports that it is ready.

use crate::plain_http::Http;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// How often each router is polled, and how long its answer may take.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const POLL_TIMEOUT: Duration = Duration::from_secs(1);

/// The routers of a drill.
pub struct Routers(Vec<Router>);

struct Router {
    url: String,
    ready: AtomicBool,
}

impl Routers {
    /// Returns the routers at these URLs, all of which are ready.
    pub fn new(urls: impl IntoIterator<Item = String>) -> Arc<Self> {
        Arc::new(Self(urls.into_iter().map(|url| Router { url, ready: AtomicBool::new(true) }).collect()))
    }

    /// Returns the URL for a request: that of a ready router, or of any router if none is ready. `number` distributes
    /// the requests.
    pub fn url(&self, number: u64) -> &str {
        let ready = || self.0.iter().filter(|router| router.ready.load(Relaxed));
        let nth = |count: usize| number.checked_rem(count as u64).unwrap_or_default() as usize;
        let chosen = ready().nth(nth(ready().count())).or_else(|| self.0.get(nth(self.0.len())));
        chosen.map_or("", |router| &router.url)
    }

    /// Polls the routers until cancelled. A single one is not polled, because there is no other.
    pub async fn watch(&self) {
        let polls = self.0.iter().filter(|_| self.0.len() > 1).map(Router::watch);
        futures_util::future::join_all(polls).await;
    }
}

impl Router {
    async fn watch(&self) {
        let (http, url) = (Http::new(), format!("{}/v1/ready", self.url));
        loop {
            let answer = tokio::time::timeout(POLL_TIMEOUT, http.get(&url)).await;
            self.ready.store(answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status.is_success())), Relaxed);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_ready_routers_in_turn() {
        let routers = Routers::new(["a", "b", "c"].map(str::to_owned));
        let urls = || (0..3).map(|number| routers.url(number)).collect::<String>();
        assert_eq!(urls(), "abc");
        routers.0[1].ready.store(false, Relaxed);
        assert_eq!(urls(), "aca");
        routers.0.iter().for_each(|router| router.ready.store(false, Relaxed));
        assert_eq!(urls(), "abc", "a router whose poll failed may still answer");
    }
}
