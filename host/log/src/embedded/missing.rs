//! Files of the log that somebody has taken away while it is open.
//!
//! A file that is open can be written after its name is gone, and everything that is acknowledged then is lost with the process.
//! So the log looks whether its files are still there, and takes no batch while one is not.

use super::Embedded;
use crate::{error::AppendError, identity, storage::File};
use std::{collections::HashSet, io};

impl Embedded {
    /// What is missing, if anything is; found out now. A disk that does not answer says nothing about files.
    pub(super) fn look_for_files(&self) -> Option<String> {
        // Nobody takes segments away meanwhile, and those that are begun now are not missed.
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

    /// Refuses to write into a file that nobody will find again.
    pub(super) fn refuse_if_missing(&self, file: &dyn File) -> Result<(), AppendError> {
        let mut missing = self.missing.lock();
        if missing.is_none() && !file.is_linked().unwrap_or(true) {
            *missing = Some(format!("the newest segment in {}", self.storage.name()));
        }
        missing.as_ref().map_or(Ok(()), |missing| Err(AppendError::Missing(missing.clone())))
    }
}
