//! Writes a file, encrypted or plain.

use crate::{
    FileId,
    header::{CHUNK_LEN, Header, TAG_LEN, nonce},
    key_ring::Key,
};
use ring::aead::{Aad, LessSafeKey};
use std::io::{self, Write};

/// Writes a file to `W`. An encrypted file is complete only after [`Writer::finish`].
pub struct Writer<W> {
    out: W,
    /// `None` if the file is plain.
    chunks: Option<Chunks>,
}

struct Chunks {
    key: LessSafeKey,
    /// The number of the chunk that is being filled.
    number: u64,
    chunk: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn plain(out: W) -> Self {
        Self { out, chunks: None }
    }

    pub(crate) fn encrypted(key: &Key, file: FileId<'_>, mut out: W) -> io::Result<Self> {
        let header = Header::new(key)?;
        out.write_all(&header.encode())?;
        let chunk = Vec::with_capacity(CHUNK_LEN + TAG_LEN);
        Ok(Self { out, chunks: Some(Chunks { key: header.file_key(key, file)?, number: 0, chunk }) })
    }

    /// Writes what is left, and returns the writer below, flushed.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some(chunks) = &mut self.chunks {
            chunks.write(true, &mut self.out)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(chunks) = &mut self.chunks else { return self.out.write(bytes) };
        // A full chunk is written only when more follows, as the last chunk is marked.
        if chunks.chunk.len() == CHUNK_LEN && !bytes.is_empty() {
            chunks.write(false, &mut self.out)?;
        }
        let accepted = bytes.len().min(CHUNK_LEN - chunks.chunk.len());
        chunks.chunk.extend_from_slice(&bytes[..accepted]);
        Ok(accepted)
    }

    /// Flushes complete chunks only.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Chunks {
    /// Writes the chunk. If that fails, the file cannot be continued.
    fn write(&mut self, is_last: bool, out: &mut impl Write) -> io::Result<()> {
        (self.key.seal_in_place_append_tag(nonce(self.number, is_last), Aad::empty(), &mut self.chunk))
            .map_err(|_| io::Error::other("a chunk cannot be encrypted"))?;
        self.number += 1;
        let written = out.write_all(&self.chunk);
        self.chunk.clear();
        written
    }
}
