//! Detects files of the log that were deleted or moved while it is open.
//!
//! An open file can still be written after its name was removed, but everything acknowledged from then on is lost with
//! the process. So the log checks whether its files still exist, and rejects batches while one is missing.

use super::Embedded;
use crate::{error::AppendError, identity, storage::File};
use std::{collections::HashSet, io};

impl Embedded {
    /// Checks for missing files now, and returns their names. A disk that fails to list the directory proves nothing
    /// about files, so the last result stands.
    pub(super) fn check_files(&self) -> Option<String> {
        // While this is held no segment is removed. Segments that are begun in the meantime are not in the list.
        let _trimmed = self.trimmed.lock();
        let mut wanted: Vec<String> = self.state.read().segments.iter().map(|segment| segment.name.clone()).collect();
        wanted.push(identity::NAME.to_owned());
        let found = match self.storage.list() {
            Ok(names) => names.into_iter().collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashSet::new(),
            Err(_) => return self.missing.lock().clone(),
        };
        wanted.retain(|name| !found.contains(name));
        let missing = (!wanted.is_empty()).then(|| format!("{} in {}", wanted.join(", "), self.storage.name()));
        self.missing.lock().clone_from(&missing);
        missing
    }

    /// Rejects a write into a file that has no name any more.
    pub(super) fn check_missing(&self, file: &dyn File) -> Result<(), AppendError> {
        let mut missing = self.missing.lock();
        if missing.is_none() && !file.is_linked().unwrap_or(true) {
            *missing = Some(format!("the newest segment in {}", self.storage.name()));
        }
        missing.as_ref().map_or(Ok(()), |missing| Err(AppendError::Missing(missing.clone())))
    }
}
