//! Small contents under a checksum: `u64 LE checksum | postcard`.

use serde::{Serialize, de::DeserializeOwned};
use std::io;
use xxhash_rust::xxh3::xxh3_64;

/// Appends the encoded `content`, preceded by its checksum.
pub(crate) fn seal(bytes: &mut Vec<u8>, content: &impl Serialize) -> io::Result<()> {
    let content = postcard::to_allocvec(content).map_err(io::Error::other)?;
    bytes.extend_from_slice(&xxh3_64(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(())
}

/// Returns the content, or what is wrong with it.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (sum, content) = bytes.split_first_chunk::<8>().ok_or("it ends early")?;
    if u64::from_le_bytes(*sum) != xxh3_64(content) {
        return Err("its checksum does not match".to_owned());
    }
    postcard::from_bytes(content).map_err(|error| error.to_string())
}
