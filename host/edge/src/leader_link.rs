//! The connection to the leader for calls.

use arc_swap::ArcSwapOption;
use littoral_feed::client::CallClient;
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct LeaderLink {
    calls: ArcSwapOption<CallClient>,
    /// Why there is no connection, for errors.
    reason: Mutex<Option<String>>,
}

impl LeaderLink {
    pub(crate) fn connected(&self, calls: CallClient) {
        self.calls.store(Some(Arc::new(calls)));
        *self.reason.lock() = None;
    }

    pub(crate) fn lost(&self, reason: String) {
        self.calls.store(None);
        *self.reason.lock() = Some(reason);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.calls.load().as_ref().is_some_and(|calls| calls.is_connected())
    }

    /// Returns the call client.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) fn calls(&self) -> Result<CallClient, String> {
        match &*self.calls.load() {
            Some(calls) if calls.is_connected() => Ok(CallClient::clone(calls)),
            _ => Err(self.reason.lock().clone().unwrap_or_else(|| "no connection yet".to_owned())),
        }
    }
}
