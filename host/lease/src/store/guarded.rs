//! A store that checks the identity of the underlying store at every access, and remembers it across restarts in a
//! file.

use super::{LeaseStore, Seen, StoreError, Swap, Tag};
use crate::{
    claim::Claim,
    identity::{Identity, Lost, StoreId},
};
use littoral_model::ports::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// The configured address of the store. If an operator configures another address, the store there is trusted
    /// without a check.
    address: String,
    /// The store's identity.
    store: StoreId,
}

/// Where a process remembers its store.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The file.
    pub path: PathBuf,
    /// The store's address, as configured.
    pub address: String,
}

impl Memory {
    /// Reads the identity that is remembered for this address.
    ///
    /// # Errors
    /// When the file exists but cannot be read.
    pub fn recall(&self) -> io::Result<Option<StoreId>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let remembered: Remembered = serde_json::from_slice(&bytes)?;
        if remembered.address != self.address {
            let (before, now) = (&remembered.address, &self.address);
            tracing::warn!(
                before,
                now,
                "the configured lease store has changed; accepting the identity of the new one"
            );
            return Ok(None);
        }
        Ok(Some(remembered.store))
    }

    /// Writes an identity durably.
    fn remember(&self, store: StoreId) -> io::Result<()> {
        let content = serde_json::to_vec(&Remembered { address: self.address.clone(), store })?;
        let staged = self.path.with_extension("new");
        let mut file = File::create(&staged)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&staged, &self.path)?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    }
}

/// Wraps a store and checks its identity.
pub struct Guarded {
    inner: Arc<dyn LeaseStore>,
    memory: Option<Memory>,
    identity: Mutex<Identity>,
    /// The identity for the first claim, used if no other process has identified the store by then.
    fresh: StoreId,
}

impl Guarded {
    /// Guards a store whose identity was `known` before, if any. Without `memory` the identity is remembered only until
    /// the process ends.
    #[must_use]
    pub fn new(inner: Arc<dyn LeaseStore>, known: Option<StoreId>, memory: Option<Memory>) -> Self {
        let fresh = StoreId(fastrand::u64(..));
        Self { inner, memory, identity: Mutex::new(Identity::remembered(known)), fresh }
    }

    fn lost(&self, lost: Lost) -> StoreError {
        StoreError::Lost { at: self.inner.name().to_owned(), lost }
    }

    async fn remember(&self, new: Option<StoreId>) -> Result<(), StoreError> {
        let (Some(id), Some(memory)) = (new, self.memory.clone()) else { return Ok(()) };
        let path = memory.path.display().to_string();
        let done = tokio::task::spawn_blocking(move || memory.remember(id)).await;
        let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|error| {
            // The next access retries it.
            self.identity.lock().forget();
            StoreError::Unavailable {
                at: path,
                reason: format!("the lease store's identity cannot be written to this file: {error}"),
            }
        })
    }

    async fn get(&self) -> Result<Option<Seen>, StoreError> {
        let seen = self.inner.read().await?;
        let checked = self.identity.lock().check(seen.as_ref().map(|seen| &seen.claim));
        let new = checked.map_err(|lost| self.lost(lost))?;
        self.remember(new).await?;
        Ok(seen.map(|seen| Seen { claim: Claim { store: None, ..seen.claim }, ..seen }))
    }

    async fn put(&self, expected: Option<&Tag>, claim: &Claim) -> Result<Swap, StoreError> {
        if expected.is_none() {
            // The caller has seen no claim. This process may know of one.
            let used = self.identity.lock().check(None).is_err();
            if used {
                return Ok(Swap::Lost);
            }
        }
        let id = self.identity.lock().known().unwrap_or(self.fresh);
        let swapped = self.inner.swap(expected, &Claim { store: Some(id), ..claim.clone() }).await?;
        if let Swap::Done(_) = swapped {
            let new = self.identity.lock().claimed(id);
            self.remember(new).await?;
        }
        Ok(swapped)
    }
}

impl LeaseStore for Guarded {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(self.get())
    }

    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.put(expected, claim))
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_remembered_for_one_address() {
        let dir = tempfile::tempdir().unwrap();
        let at = |address: &str| Memory { path: dir.path().join("lease-store.json"), address: address.to_owned() };
        assert_eq!(at("dir:/a").recall().unwrap(), None);
        at("dir:/a").remember(StoreId(7)).unwrap();
        assert_eq!(at("dir:/a").recall().unwrap(), Some(StoreId(7)));
        assert_eq!(at("dir:/b").recall().unwrap(), None, "another store was configured since");
        fs::write(dir.path().join("lease-store.json"), "{").unwrap();
        at("dir:/a").recall().unwrap_err();
    }
}
