//! A lease in one object of an object store with conditional puts: S3 and compatible stores.

use super::{LeaseStore, Seen, StoreError, Swap, Tag};
use crate::claim::{BYTES_MAX, Claim, InvalidClaim};
use littoral_model::ports::BoxFuture;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutResult, UpdateVersion, path::Path};
use std::sync::Arc;

/// One object, changed only by conditional puts.
pub struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    name: String,
}

impl Object {
    /// Opens the lease at this path.
    #[must_use]
    pub fn at(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        let name = format!("{store}/{path}");
        Self { store, path, name }
    }

    fn unavailable(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { at: self.name.clone(), reason: error.to_string() }
    }

    async fn get(&self) -> Result<Option<Seen>, StoreError> {
        let answer = match self.store.get(&self.path).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.unavailable(error)),
        };
        let version = UpdateVersion { e_tag: answer.meta.e_tag.clone(), version: answer.meta.version.clone() };
        let corrupt = |source| StoreError::Corrupt { at: self.name.clone(), source };
        if answer.meta.size > BYTES_MAX as u64 {
            return Err(corrupt(InvalidClaim::TooLong(answer.meta.size as usize)));
        }
        let bytes = answer.bytes().await.map_err(|error| self.unavailable(error))?;
        let claim = Claim::decode(&bytes).map_err(corrupt)?;
        Ok(Some(Seen { claim, tag: self.tag(version)? }))
    }

    async fn put(&self, expected: Option<&Tag>, claim: &Claim) -> Result<Swap, StoreError> {
        let mode = match expected {
            Some(tag) => PutMode::Update(version(tag)),
            None => PutMode::Create,
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path, claim.encode().into(), options).await {
            Ok(PutResult { e_tag, version, .. }) => Ok(Swap::Done(self.tag(UpdateVersion { e_tag, version })?)),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(Swap::Lost),
            // The expected object does not exist, so the swap lost.
            Err(object_store::Error::NotFound { .. }) if expected.is_some() => Ok(Swap::Lost),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Returns the tag of a state. No two claims are equal, so no two states share an ETag, even if it is a hash of the
    /// content.
    fn tag(&self, version: UpdateVersion) -> Result<Tag, StoreError> {
        if version.e_tag.is_none() && version.version.is_none() {
            return Err(self.unavailable("the store returns no ETag for objects, so it cannot hold a lease"));
        }
        let UpdateVersion { e_tag, version } = version;
        Ok(Tag(format!("{}\n{}", e_tag.unwrap_or_default(), version.unwrap_or_default())))
    }
}

fn version(tag: &Tag) -> UpdateVersion {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (e_tag, version) = tag.0.split_once('\n').unwrap_or((&tag.0, ""));
    UpdateVersion { e_tag: part(e_tag), version: part(version) }
}

impl LeaseStore for Object {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(self.get())
    }

    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.put(expected, claim))
    }

    fn name(&self) -> &str {
        &self.name
    }
}
