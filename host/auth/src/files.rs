//! The files of tokens and of the policy.

use crate::{policy::Policy, tokens::Tokens};
use std::{fs, path::Path};

/// The largest file, in bytes.
const BYTES_MAX: u64 = 16 << 20;

/// What the files contain.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Static tokens.
    pub tokens: Tokens,
    /// The policy.
    pub policy: Policy,
    /// Counts the changes: a decision holds only under the rules that it was made with.
    pub generation: u64,
}

/// The files.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The file of tokens.
    pub tokens: Option<&'a Path>,
    /// The policy file.
    pub policy: Option<&'a Path>,
}

impl Files<'_> {
    /// Reads the files. Blocks for the disk.
    ///
    /// # Errors
    /// What is wrong, with the file, the line and the remedy.
    pub fn read(&self, generation: u64) -> Result<Rules, String> {
        let tokens = self.tokens.map(|path| Tokens::parse(path, &text(path)?)).transpose()?.unwrap_or_default();
        let policy = self.policy.map(|path| Policy::parse(path, &text(path)?)).transpose()?.unwrap_or_default();
        Ok(Rules { tokens, policy, generation })
    }
}

fn text(path: &Path) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("cannot read {}: {error}; correct the path or the file", path.display())
    };
    let bytes = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if bytes > BYTES_MAX {
        return Err(failed(&format!("it has {bytes} bytes, more than {BYTES_MAX}")));
    }
    fs::read_to_string(path).map_err(|error| failed(&error))
}
