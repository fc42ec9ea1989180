//! Encryption of files at rest (`host/decisions/0034-encryption-at-rest.md`).
//!
//! An [`Encryption`] holds the node's [`KeyRing`]: its first key encrypts, and all of its keys decrypt. Without a key
//! ring, files are plain. A [`Writer`] encrypts a file in chunks of bounded size while it is written, and a [`Reader`]
//! authenticates each chunk before it returns a byte of it. Neither knows what a file contains, and neither holds a
//! whole file.
//!
//! Invariants: no byte of a key is in an error, a log line, a metric or a `Debug` form. No byte of an encrypted file is
//! returned that was not written under the file's own kind and name, at this place of the file.

#![warn(clippy::unwrap_used)]

mod config;
mod encryption;
mod header;
mod key_ring;
mod key_source;
mod read;
mod standing;
mod write;

pub use config::{Config, Invalid};
pub use encryption::{Changes, Encryption};
pub use header::{FileId, FileKind};
pub use key_ring::{InvalidKeyRing, KeyId, KeyRing};
pub use key_source::LoadError;
pub use read::{OpenError, Reader};
pub use standing::{Standing, survey};
pub use write::Writer;

/// The format of encrypted files.
pub const FORMAT: littoral_model::format::Format =
    littoral_model::format::Format { name: "encrypted file", writes: header::VERSION, reads_from: header::VERSION };
