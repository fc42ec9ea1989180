//! Reads a file, encrypted or plain.

use crate::{
    FileId,
    header::{CHUNK_LEN, HEADER_LEN_MAX, Header, TAG_LEN, nonce},
    key_ring::{KeyId, KeyRing, PLAIN},
};
use ring::aead::{Aad, LessSafeKey};
use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
};

/// The buffer of a plain file, in bytes.
const BUFFER_LEN: usize = 1 << 20;

/// Reads a file's content. An encrypted chunk is authenticated before any of it is returned; one that is damaged,
/// missing or out of place is an error of the kind [`ErrorKind::InvalidData`]. Content that was returned before remains
/// valid, but the file may lack its end: only an end that was reached is authentic.
pub struct Reader {
    source: Source,
    /// The length of the content, if the file is complete.
    len: u64,
}

enum Source {
    Plain(BufReader<File>),
    Encrypted(Box<Chunks>),
}

struct Chunks {
    file: File,
    key: LessSafeKey,
    /// The bytes of the file after the current chunk.
    left: u64,
    /// The number of the next chunk.
    number: u64,
    chunk: Vec<u8>,
    /// The content of the current chunk, and how much of it was returned.
    len: usize,
    at: usize,
    /// How the file is named in the metric of rejected files.
    kind: &'static str,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header is damaged, or is of another build.
    #[error("{0}")]
    Damaged(String),
    /// The file is encrypted, and this node has no key ring.
    #[error("it is encrypted with the key '{0}', and this node has no key ring; configure [at_rest] with that key")]
    NoKeyRing(KeyId),
    /// The key ring lacks the file's key.
    #[error("it is encrypted with the key '{0}', which the key ring lacks; add that key to the key ring")]
    UnknownKey(KeyId),
    /// The key ring has another key of this name.
    #[error(
        "it is encrypted with a key '{0}' that differs from the key '{0}' in the key ring; put the earlier key back, and give the new one another name"
    )]
    OtherKey(KeyId),
    /// The file is plain, and such a file must be encrypted.
    #[error(
        "it is plain, so it may have been changed by anybody who can write to it, and this node accepts encrypted files only"
    )]
    Plain,
}

impl OpenError {
    /// Returns the key under which the file is encrypted, or `plain`, if the file is intact but this node may not read
    /// it. Such a file must not be replaced without a copy.
    #[must_use]
    pub fn withheld(&self) -> Option<&str> {
        match self {
            Self::Io(_) | Self::Damaged(_) => None,
            Self::NoKeyRing(key) | Self::UnknownKey(key) | Self::OtherKey(key) => Some(key.as_str()),
            Self::Plain => Some(PLAIN),
        }
    }

    fn label(&self) -> Option<&'static str> {
        match self {
            Self::Io(_) => None,
            Self::Damaged(_) => Some("damaged"),
            Self::NoKeyRing(_) | Self::UnknownKey(_) | Self::OtherKey(_) => Some("key"),
            Self::Plain => Some("plain"),
        }
    }
}

impl Reader {
    /// Opens a file from its beginning. `accepts_plain` is whether a plain one may be read.
    pub(crate) fn open(
        keys: Option<&KeyRing>,
        accepts_plain: bool,
        id: FileId<'_>,
        file: File,
    ) -> Result<Self, OpenError> {
        Self::open_unrecorded(keys, accepts_plain, id, file).inspect_err(|error| {
            if let Some(reason) = error.label() {
                record_rejected(id.kind.as_str(), reason);
            }
        })
    }

    fn open_unrecorded(
        keys: Option<&KeyRing>,
        accepts_plain: bool,
        id: FileId<'_>,
        mut file: File,
    ) -> Result<Self, OpenError> {
        let len = file.metadata()?.len();
        let Some((header, header_len)) = Header::decode(&start(&file)?).map_err(OpenError::Damaged)? else {
            if !accepts_plain {
                return Err(OpenError::Plain);
            }
            return Ok(Self { source: Source::Plain(BufReader::with_capacity(BUFFER_LEN, file)), len });
        };
        let Some(keys) = keys else { return Err(OpenError::NoKeyRing(header.key)) };
        let Some(key) = keys.get(&header.key) else { return Err(OpenError::UnknownKey(header.key)) };
        if key.fingerprint != header.fingerprint {
            return Err(OpenError::OtherKey(header.key));
        }
        let left = len.saturating_sub(header_len as u64);
        file.seek(SeekFrom::Start(header_len as u64))?;
        let overhead = left.div_ceil((CHUNK_LEN + TAG_LEN) as u64) * TAG_LEN as u64;
        let source = Source::Encrypted(Box::new(Chunks {
            file,
            key: header.file_key(key, id)?,
            left,
            number: 0,
            chunk: vec![0; CHUNK_LEN + TAG_LEN],
            len: 0,
            at: 0,
            kind: id.kind.as_str(),
        }));
        Ok(Self { source, len: left.saturating_sub(overhead) })
    }

    /// Returns the length of the content in bytes, which bounds how much can be read.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.len
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Plain(file) => file.read(bytes),
            Source::Encrypted(chunks) => chunks.read(bytes),
        }
    }
}

impl Chunks {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        while self.at == self.len {
            // An empty file has one chunk too, without content.
            if self.left == 0 && self.number > 0 {
                return Ok(0);
            }
            self.advance()?;
        }
        let read = bytes.len().min(self.len - self.at);
        bytes[..read].copy_from_slice(&self.chunk[self.at..self.at + read]);
        self.at += read;
        Ok(read)
    }

    /// Reads and authenticates the next chunk.
    fn advance(&mut self) -> io::Result<()> {
        let chunk = &mut self.chunk[..];
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
        let chunk = &mut chunk[..len];
        let number = self.number;
        let read = self.file.read_exact(chunk);
        let is_last = self.left == len as u64;
        let opened = match read {
            Ok(()) => {
                self.key.open_in_place(nonce(number, is_last), Aad::empty(), chunk).ok().map(|content| content.len())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let Some(content) = opened else {
            record_rejected(self.kind, "damaged");
            let what = format!(
                "chunk {number} is not authentic: the file is damaged or truncated, or was changed, or was written as another file"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        };
        self.left -= len as u64;
        self.number += 1;
        (self.len, self.at) = (content, 0);
        Ok(())
    }
}

fn record_rejected(kind: &'static str, reason: &'static str) {
    metrics::counter!("littoral_at_rest_rejected_total", "file" => kind, "reason" => reason).increment(1);
}

/// Returns the first bytes of a file, enough for a header.
pub(crate) fn start(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER_LEN_MAX];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
