//! A store whose identity is checked at every access, and remembered across restarts in a small file of the process's own.

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

/// What is remembered of a store.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// Where it was configured to lie. A store at another address is another person's decision, and is trusted anew.
    address: String,
    /// Its identity.
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
    /// The identity that is remembered for this address.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
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
                "another lease store is configured than before; its identity is taken as it is"
            );
            return Ok(None);
        }
        Ok(Some(remembered.store))
    }

    /// Remembers an identity, durably.
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

/// See the module.
pub struct Guarded {
    inner: Arc<dyn LeaseStore>,
    memory: Option<Memory>,
    identity: Mutex<Identity>,
    /// Written by the first claim, if nobody else has identified the store by then.
    fresh: StoreId,
}

impl Guarded {
    /// Guards a store that was `known` before, if any. Without `memory` its identity is known for this life of the process only.
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
            // The next access tries again.
            self.identity.lock().forget();
            StoreError::Unavailable {
                at: path,
                reason: format!("the lease store's identity cannot be kept there: {error}"),
            }
        })
    }

    async fn look(&self) -> Result<Option<Seen>, StoreError> {
        let seen = self.inner.read().await?;
        let found = self.identity.lock().found(seen.as_ref().map(|seen| &seen.claim));
        let new = found.map_err(|lost| self.lost(lost))?;
        self.remember(new).await?;
        Ok(seen.map(|seen| Seen { claim: Claim { store: None, ..seen.claim }, ..seen }))
    }

    async fn put(&self, expected: Option<&Tag>, claim: &Claim) -> Result<Swap, StoreError> {
        if expected.is_none() {
            // Nobody has ever claimed, as far as who asks knows. This process may know better.
            let used = self.identity.lock().found(None).is_err();
            if used {
                return Ok(Swap::Lost);
            }
        }
        let id = self.identity.lock().known().unwrap_or(self.fresh);
        let swapped = self.inner.swap(expected, &Claim { store: Some(id), ..claim.clone() }).await?;
        if let Swap::Taken(_) = swapped {
            let new = self.identity.lock().claimed(id);
            self.remember(new).await?;
        }
        Ok(swapped)
    }
}

impl LeaseStore for Guarded {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(self.look())
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
    fn what_is_remembered_is_of_one_address() {
        let dir = tempfile::tempdir().unwrap();
        let at = |address: &str| Memory { path: dir.path().join("lease-store.json"), address: address.to_owned() };
        assert_eq!(at("dir:/a").recall().unwrap(), None);
        at("dir:/a").remember(StoreId(7)).unwrap();
        assert_eq!(at("dir:/a").recall().unwrap(), Some(StoreId(7)));
        assert_eq!(at("dir:/b").recall().unwrap(), None, "a store that somebody has configured since");
        fs::write(dir.path().join("lease-store.json"), "{").unwrap();
        at("dir:/a").recall().unwrap_err();
    }
}
