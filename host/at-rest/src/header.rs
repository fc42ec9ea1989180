//! What precedes the chunks of an encrypted file, and the key that follows from it.
//!
//! `8 bytes magic | u32 LE version | u8 length of the key's name | the name | 8 bytes fingerprint of the key | 32 bytes
//! salt`. HKDF-SHA256 derives the file's own key from the key of the ring, the salt, the header itself, and the file's
//! kind and name. A file whose header was changed, or that was moved to another name, therefore has another key, and
//! its first chunk is rejected.

use crate::key_ring::{FINGERPRINT_LEN, ID_LEN_MAX, Key, KeyId};
use ring::{
    aead::{LessSafeKey, NONCE_LEN, Nonce},
    rand::{SecureRandom as _, SystemRandom},
};
use std::{io, path::Path};

/// The format of encrypted files.
pub(crate) const VERSION: u32 = 1;
/// The bytes of the file in one chunk. The last one may have fewer.
pub(crate) const CHUNK_LEN: usize = 64 << 10;
/// The bytes that authenticate a chunk, and follow it.
pub(crate) const TAG_LEN: usize = 16;

const MAGIC: &[u8; 8] = b"LITTSEAL";
const SALT_LEN: usize = 32;
/// The bytes before the key's name.
const START_LEN: usize = 8 + 4 + 1;
/// The bytes after the key's name.
const END_LEN: usize = FINGERPRINT_LEN + SALT_LEN;
/// The bytes of the longest header.
pub(crate) const HEADER_LEN_MAX: usize = START_LEN + ID_LEN_MAX + END_LEN;

/// What a stored file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// The replica of an edge.
    LocalSnapshot,
    /// Rows that a log has lost.
    DetachedTail,
    /// A module as it was uploaded.
    Component,
    /// The native code of a module.
    CompiledModule,
}

/// Which file of a node this is. An encrypted file can be read only as the file that it was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId<'a> {
    /// What it contains.
    pub kind: FileKind,
    /// Its name within the node, without directories.
    pub name: &'a str,
}

/// The header of an encrypted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) key: KeyId,
    pub(crate) fingerprint: [u8; FINGERPRINT_LEN],
    salt: [u8; SALT_LEN],
}

// === impl FileKind ===

impl FileKind {
    /// Returns the name of the kind, for errors and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalSnapshot => "local snapshot",
            Self::DetachedTail => "detached tail",
            Self::Component => "component",
            Self::CompiledModule => "compiled module",
        }
    }

    /// Returns whether a plain file of this kind may be read by a node that encrypts. Native code runs unchecked, so it
    /// has to be authentic.
    pub(crate) fn may_be_plain(self) -> bool {
        self != Self::CompiledModule
    }
}

// === impl FileId ===

impl<'a> FileId<'a> {
    /// Identifies the file at a path by its name.
    #[must_use]
    pub fn of_path(kind: FileKind, path: &'a Path) -> Self {
        Self { kind, name: path.file_name().and_then(|name| name.to_str()).unwrap_or_default() }
    }
}

// === impl Header ===

impl Header {
    /// Creates the header of a new file.
    pub(crate) fn new(key: &Key) -> io::Result<Self> {
        let mut salt = [0; SALT_LEN];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("the system returned no random numbers"))?;
        Ok(Self { key: key.id.clone(), fingerprint: key.fingerprint, salt })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let id = self.key.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(HEADER_LEN_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&self.fingerprint);
        bytes.extend_from_slice(&self.salt);
        bytes
    }

    /// Decodes the header at the start of a file. Returns `None` if the file is not encrypted, otherwise the header and
    /// its length.
    ///
    /// # Errors
    /// What is wrong with the header.
    pub(crate) fn decode(start: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let Some(rest) = start.strip_prefix(MAGIC) else { return Ok(None) };
        let truncated = || "it ends within its header".to_owned();
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(format!("it is encrypted in format {version}, but this build reads format {VERSION}"));
        }
        let (len, rest) = rest.split_first().ok_or_else(truncated)?;
        let len = usize::from(*len);
        if len > ID_LEN_MAX {
            return Err("its header is damaged: the name of its key is too long".to_owned());
        }
        let (id, rest) = rest.split_at_checked(len).ok_or_else(truncated)?;
        let key = std::str::from_utf8(id).ok().and_then(|id| KeyId::parse(id).ok());
        let key = key.ok_or("its header is damaged: the name of its key is invalid")?;
        let (fingerprint, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
        let (salt, _) = rest.split_first_chunk().ok_or_else(truncated)?;
        Ok(Some((Self { key, fingerprint: *fingerprint, salt: *salt }, START_LEN + len + END_LEN)))
    }

    /// Derives the key of the file with this header.
    pub(crate) fn file_key(&self, key: &Key, file: FileId<'_>) -> io::Result<LessSafeKey> {
        let header = self.encode();
        // No kind contains a zero byte, and the header states its own length, so no two files share an info.
        let info: [&[u8]; 5] =
            [b"littoral at rest: file\0", file.kind.as_str().as_bytes(), b"\0", &header, file.name.as_bytes()];
        key.of_file(&self.salt, &info).map_err(|_| io::Error::other("the key of the file cannot be derived"))
    }
}

/// Returns the nonce of a chunk: its number, and whether it is the last one. A file's key is used for this file only,
/// so no nonce repeats.
pub(crate) fn nonce(chunk: u64, is_last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[3..NONCE_LEN - 1].copy_from_slice(&chunk.to_be_bytes());
    bytes[NONCE_LEN - 1] = u8::from(is_last);
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::KeyRing;
    use ring::aead::AES_256_GCM;

    #[test]
    fn a_header_is_read_back_and_a_malformed_one_is_rejected() {
        let entry = KeyRing::new_entry(&KeyId::parse("2026").unwrap()).unwrap();
        let header = Header::new(KeyRing::parse(&entry).unwrap().first()).unwrap();
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), Some((header.clone(), bytes.len())));
        assert_eq!(Header::decode(b"LITTEDGE and so on").unwrap(), None);
        assert_eq!(Header::decode(b"").unwrap(), None);
        for len in MAGIC.len()..bytes.len() {
            assert_eq!(Header::decode(&bytes[..len]).unwrap_err(), "it ends within its header", "{len}");
        }
        let changed = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            Header::decode(&bytes).unwrap_err()
        };
        assert_eq!(changed(8, 9), "it is encrypted in format 9, but this build reads format 1");
        assert!(changed(12, 33).contains("too long") && changed(13, b'/').contains("is invalid"));
        assert_ne!(Header::new(KeyRing::parse(&entry).unwrap().first()).unwrap().salt, header.salt);
        assert_eq!(AES_256_GCM.tag_len(), TAG_LEN);
    }
}
