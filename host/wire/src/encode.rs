//! Encodes with postcard directly into an existing buffer.

use crate::error::{Error, malformed};
use postcard::ser_flavors::Flavor;
use serde::Serialize;

struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends the value's postcard bytes.
pub(crate) fn append(out: &mut Vec<u8>, what: &'static str, value: &impl Serialize) -> Result<(), Error> {
    postcard::serialize_with_flavor(value, Append(out)).map_err(|error| malformed(what, error))
}

/// Appends `u32 LE length | postcard bytes`: an entry of a block.
pub(crate) fn append_entry(out: &mut Vec<u8>, what: &'static str, value: &impl Serialize) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let done = append(out, what, value).and_then(|()| {
        let len = out.len() - start - 4;
        u32::try_from(len).map_err(|_| Error::TooLong { len, len_max: u32::MAX as usize })
    });
    match done {
        Ok(len) => {
            out[start..start + 4].copy_from_slice(&len.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Splits the next entry off a block; `None` at the block's end.
pub(crate) fn split_entry<'a>(block: &mut &'a [u8], what: &'static str) -> Option<Result<&'a [u8], Error>> {
    if block.is_empty() {
        return None;
    }
    let Some((len, rest)) = block.split_first_chunk::<4>() else {
        return Some(Err(Error::Truncated { what, needed: 4, have: block.len() }));
    };
    let len = u32::from_le_bytes(*len) as usize;
    match rest.split_at_checked(len) {
        Some((entry, rest)) => {
            *block = rest;
            Some(Ok(entry))
        }
        None => Some(Err(Error::Truncated { what, needed: len, have: rest.len() })),
    }
}

/// Decodes a whole payload; bytes after the value are an error.
pub(crate) fn decode<'a, T: serde::Deserialize<'a>>(payload: &'a [u8], what: &'static str) -> Result<T, Error> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(malformed(what, format_args!("{} bytes follow its end", rest.len()))),
        Err(error) => Err(malformed(what, error)),
    }
}
