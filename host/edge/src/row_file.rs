//! Files of rows: the local snapshot and detached tails.
//!
//! `8 bytes magic | u32 LE version`, then blocks of `u8 kind | u32 LE length | u64 LE XXH3 | payload`: a head, rows,
//! and an end with the number of rows. A file is written next to the one that it replaces, synced, and renamed over it.
//! An incomplete file is rejected. With a key ring, all of this is the content of an encrypted file
//! ([`littoral_at_rest`]).

use crate::data_dir::UNFINISHED;
use littoral_at_rest::{self as at_rest, Encryption, FileId, FileKind, OpenError};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    io::{BufWriter, ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
};
use xxhash_rust::xxh3::xxh3_64;

/// A block ends at this number of rows, or at this size in bytes.
pub(crate) const ROWS_PER_BLOCK: usize = 2_048;
pub(crate) const BLOCK_LEN: usize = 4 << 20;

/// The kind of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) magic: &'static [u8; 8],
    /// The format that is written.
    pub(crate) version: u32,
    /// The oldest format that can be read.
    pub(crate) version_min: u32,
    /// The name of the kind, for errors.
    pub(crate) name: &'static str,
    /// The kind as an encrypted file.
    pub(crate) file: FileKind,
}

impl Kind {
    /// Returns the versions of the format. `name` is the kind's name outside of this crate.
    pub(crate) const fn format(&self, name: &'static str) -> littoral_model::format::Format {
        littoral_model::format::Format { name, writes: self.version, reads_from: self.version_min }
    }
}

/// Why a file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} cannot be used: {reason}")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path} cannot be used: {source}")]
    Withheld {
        path: PathBuf,
        /// The key under which the file is encrypted, or `plain`.
        key: String,
        source: OpenError,
    },
}

impl Error {
    fn of_open(path: &Path, error: OpenError) -> Self {
        let path = path.to_owned();
        match (error.withheld().map(str::to_owned), error) {
            (Some(key), source) => Self::Withheld { path, key, source },
            (None, OpenError::Io(source)) => Self::Io { path, source },
            (None, error) => Self::Damaged { path, reason: error.to_string() },
        }
    }
}

/// The minimum size of a row in bytes: its length, and one byte for each field.
const ROW_LEN_MIN: u64 = 4 + 7;

/// The name that local snapshots have when they are encrypted. Snapshots that are kept aside have other names on disk,
/// and an operator may rename them back.
pub(crate) const SNAPSHOT_NAME: &str = "replica.snapshot";

/// Returns which encrypted file is, or is to be, at a path.
pub(crate) fn file_id(kind: FileKind, path: &Path) -> FileId<'_> {
    match kind {
        FileKind::LocalSnapshot => FileId { kind, name: SNAPSHOT_NAME },
        _ => FileId::of_path(kind, path),
    }
}

const HEAD: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;

/// Writes a file. A file that is not finished is removed.
pub(crate) struct Writer {
    out: at_rest::Writer<BufWriter<File>>,
    path: PathBuf,
    unfinished: Unfinished,
}

/// The name of a file until it is complete. Removes what has this name when it is dropped: a complete file has another.
struct Unfinished(PathBuf);

/// Reads a file, block by block.
pub(crate) struct Reader {
    input: at_rest::Reader,
    /// The number of unread bytes of the file's content.
    left: u64,
    path: PathBuf,
    version: u32,
    rows_at_end: Option<u64>,
}

impl Writer {
    pub(crate) fn create(kind: Kind, path: &Path, encryption: &Encryption) -> Result<Self, Error> {
        let unfinished = Unfinished(path.with_extension(UNFINISHED));
        let at = |source| Error::Io { path: unfinished.0.clone(), source };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(at)?;
        }
        let out = BufWriter::with_capacity(1 << 20, File::create(&unfinished.0).map_err(at)?);
        let mut out = encryption.writer(file_id(kind.file, path), out).map_err(at)?;
        out.write_all(kind.magic).and_then(|()| out.write_all(&kind.version.to_le_bytes())).map_err(at)?;
        Ok(Self { out, path: path.to_owned(), unfinished })
    }

    pub(crate) fn head(&mut self, head: &impl Serialize) -> Result<(), Error> {
        let head = postcard::to_allocvec(head).map_err(|error| self.damaged(error.to_string()))?;
        self.block(HEAD, &head)
    }

    pub(crate) fn rows(&mut self, rows: &[u8]) -> Result<(), Error> {
        self.block(ROWS, rows)
    }

    /// Makes this the file that the next start reads: syncs it, renames it, and syncs its
    /// directory.
    pub(crate) fn finish(mut self, rows: u64) -> Result<(), Error> {
        self.block(END, &rows.to_le_bytes())?;
        let Self { out, path, unfinished } = self;
        let done = out.finish().and_then(|out| out.get_ref().sync_all());
        done.and_then(|()| std::fs::rename(&unfinished.0, &path))
            .and_then(|()| path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all()))
            .map_err(|source| Error::Io { path, source })
    }

    pub(crate) fn damaged(&self, reason: String) -> Error {
        Error::Damaged { path: self.path.clone(), reason }
    }

    fn block(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(payload.len()).map_err(|_| self.damaged("a row is too large for it".to_owned()))?;
        let mut head = [0; 13];
        head[0] = kind;
        head[1..5].copy_from_slice(&len.to_le_bytes());
        head[5..].copy_from_slice(&xxh3_64(payload).to_le_bytes());
        (self.out.write_all(&head))
            .and_then(|()| self.out.write_all(payload))
            .map_err(|source| Error::Io { path: self.unfinished.0.clone(), source })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Reader {
    /// Opens a file; returns `None` if it does not exist.
    pub(crate) fn open(kind: Kind, path: &Path, encryption: &Encryption) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        };
        let input = encryption.reader(file_id(kind.file, path), file);
        let input = input.map_err(|error| Error::of_open(path, error))?;
        let left = input.content_len();
        let mut reader = Self { input, left, path: path.to_owned(), version: kind.version, rows_at_end: None };
        let mut start = [0; 12];
        reader.exactly(&mut start)?;
        if &start[..8] != kind.magic {
            return Err(reader.damaged(format!("it is not a {}", kind.name)));
        }
        let version = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        let Kind { version: newest, version_min: oldest, .. } = kind;
        if !(oldest..=newest).contains(&version) {
            return Err(
                reader.damaged(format!("it has format {version}, but this build reads formats {oldest} to {newest}"))
            );
        }
        reader.version = version;
        Ok(Some(reader))
    }

    /// Returns the file's format.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn head<H: DeserializeOwned>(&mut self) -> Result<H, Error> {
        match self.block()? {
            (HEAD, payload) => postcard::from_bytes(&payload).map_err(|error| self.damaged(error.to_string())),
            _ => Err(self.damaged("it has no head".to_owned())),
        }
    }

    /// Returns the maximum number of rows in the rest of the file, whatever its head states, so
    /// that the memory reserved for them is bounded by the file's size.
    pub(crate) fn rows_max(&self) -> u64 {
        self.left / ROW_LEN_MIN
    }

    /// Returns the next block of rows; `None` at the end.
    pub(crate) fn rows(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self.block()? {
            (ROWS, payload) => Ok(Some(payload)),
            (END, payload) => match <[u8; 8]>::try_from(&payload[..]) {
                Ok(rows) => {
                    self.rows_at_end = Some(u64::from_le_bytes(rows));
                    Ok(None)
                }
                Err(_) => Err(self.damaged("its end is malformed".to_owned())),
            },
            (kind, _) => Err(self.damaged(format!("it has a block of unknown kind {kind}"))),
        }
    }

    /// Checks that the number of rows read equals the number written.
    pub(crate) fn finish(self, rows: u64) -> Result<(), Error> {
        if self.rows_at_end == Some(rows) {
            Ok(())
        } else {
            Err(self.damaged(format!("it contains {rows} rows, but its end states {:?}", self.rows_at_end)))
        }
    }

    pub(crate) fn damaged(&self, reason: String) -> Error {
        Error::Damaged { path: self.path.clone(), reason }
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), Error> {
        let mut head = [0; 13];
        self.exactly(&mut head)?;
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        // The checksum does not cover the length. Check it against the file before memory is
        // allocated for it.
        if len as u64 > self.left {
            return Err(self.damaged("it is truncated".to_owned()));
        }
        let mut payload = vec![0; len];
        self.exactly(&mut payload)?;
        let checksum = xxh3_64(&payload).to_le_bytes();
        if checksum != head[5..] {
            return Err(self.damaged("a block's checksum does not match".to_owned()));
        }
        Ok((head[0], payload))
    }

    fn exactly(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.input.read_exact(bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => self.damaged("it is truncated".to_owned()),
            ErrorKind::InvalidData => self.damaged(source.to_string()),
            _ => Error::Io { path: self.path.clone(), source },
        })
    }
}
