//! Entity keys, which identify a row within a view.
//!
//! A key's bytes are its join key values in the view's join key order. An integer or a timestamp
//! is 8 bytes, little-endian. A string or bytes follows its `u32` length. The view determines the
//! types. Equal keys have equal bytes.

use crate::{
    row_body::ValueRef,
    value::{Value, ValueType},
};
use serde::{Deserialize, Serialize};

/// The maximum length of a key, in bytes.
pub const KEY_LEN_MAX: usize = 4_096;

/// Why a value cannot be a join key, or why bytes are not a key of a view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The value is null or of another type.
    #[error("join key '{join_key}' must be {expected}, got {got}")]
    WrongType {
        /// The join key's name.
        join_key: String,
        /// Its expected type.
        expected: ValueType,
        /// The type that was received, or null.
        got: String,
    },
    /// The key is longer than [`KEY_LEN_MAX`].
    #[error("entity key is {0} bytes long; the maximum is {KEY_LEN_MAX}")]
    TooLong(usize),
    /// The bytes do not split into the view's join keys.
    #[error("entity key bytes do not match the view's join keys")]
    Malformed,
}

/// Appends an integer or a timestamp to a key.
#[inline]
pub fn push_i64(key: &mut Vec<u8>, value: i64) {
    key.extend_from_slice(&value.to_le_bytes());
}

/// Appends a string or bytes to a key.
#[inline]
pub fn push_bytes(key: &mut Vec<u8>, value: &[u8]) {
    key.extend_from_slice(&(value.len() as u32).to_le_bytes());
    key.extend_from_slice(value);
}

/// Appends a value to a key after checking it against the join key's type.
pub fn push_value(key: &mut Vec<u8>, join_key: &str, value_type: ValueType, value: &Value) -> Result<(), InvalidKey> {
    match (value_type, value) {
        (ValueType::Int32, Value::Int32(v)) => push_i64(key, i64::from(*v)),
        (ValueType::Int64, Value::Int64(v)) | (ValueType::UnixTimestamp, Value::UnixTimestamp(v)) => push_i64(key, *v),
        (ValueType::String, Value::String(v)) => push_bytes(key, v.as_bytes()),
        (ValueType::Bytes, Value::Bytes(v)) => push_bytes(key, v),
        (expected, got) => {
            return Err(InvalidKey::WrongType {
                join_key: join_key.to_owned(),
                expected,
                got: got.value_type().map_or_else(|| "null".to_owned(), |t| t.to_string()),
            });
        }
    }
    Ok(())
}

/// Splits a key's bytes into its values, in the order of `types`.
///
/// # Errors
/// [`InvalidKey::Malformed`] when the bytes do not fit the types; [`InvalidKey::TooLong`].
pub fn split(key: &[u8], types: impl IntoIterator<Item = ValueType>) -> Result<Vec<ValueRef<'_>>, InvalidKey> {
    if key.len() > KEY_LEN_MAX {
        return Err(InvalidKey::TooLong(key.len()));
    }
    let mut rest = key;
    let mut values = Vec::new();
    for value_type in types {
        let malformed = InvalidKey::Malformed;
        if matches!(value_type, ValueType::String | ValueType::Bytes) {
            let (len, after) = rest.split_first_chunk::<4>().ok_or(malformed.clone())?;
            let (raw, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(malformed.clone())?;
            rest = after;
            values.push(match value_type {
                ValueType::String => ValueRef::String(std::str::from_utf8(raw).map_err(|_| malformed)?),
                _ => ValueRef::Bytes(raw),
            });
        } else {
            let (raw, after) = rest.split_first_chunk::<8>().ok_or(malformed.clone())?;
            rest = after;
            let number = i64::from_le_bytes(*raw);
            values.push(match value_type {
                ValueType::Int32 => ValueRef::Int32(i32::try_from(number).map_err(|_| malformed)?),
                ValueType::UnixTimestamp => ValueRef::UnixTimestamp(number),
                _ => ValueRef::Int64(number),
            });
        }
    }
    if rest.is_empty() { Ok(values) } else { Err(InvalidKey::Malformed) }
}

/// Many keys in one buffer, so that a batch costs two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBatch {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl KeyBatch {
    /// Creates an empty batch with room for `keys` keys of about `bytes` bytes in total.
    #[must_use]
    pub fn with_capacity(keys: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(keys) }
    }

    /// Returns the buffer to which the next key's bytes are appended; [`KeyBatch::end_key`]
    /// completes the key.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Completes the key whose bytes were appended to [`KeyBatch::buffer`].
    pub fn end_key(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    /// Appends a complete key.
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.end_key();
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the key at `index`.
    ///
    /// # Panics
    /// Panics if `index` is out of range, like a slice.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Iterates over the keys, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Returns whether a batch from outside is valid: ends ascend, and the last one is the length.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.ends.is_sorted() && self.ends.last().map_or(0, |end| *end as usize) == self.bytes.len()
    }

    /// Removes all keys and keeps the allocated memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_key_splits_into_its_values() {
        let mut key = Vec::new();
        push_value(&mut key, "driver_id", ValueType::Int64, &Value::Int64(-7)).unwrap();
        push_value(&mut key, "customer_id", ValueType::String, &Value::String("ä".into())).unwrap();
        let values = split(&key, [ValueType::Int64, ValueType::String]).unwrap();
        assert!(matches!(values[..], [ValueRef::Int64(-7), ValueRef::String("ä")]));
        assert_eq!(split(&key, [ValueType::Int64]).unwrap_err(), InvalidKey::Malformed);
        assert_eq!(split(&key[..9], [ValueType::Int64, ValueType::String]).unwrap_err(), InvalidKey::Malformed);
    }

    #[test]
    fn null_is_not_a_key() {
        let error = push_value(&mut Vec::new(), "driver_id", ValueType::Int64, &Value::Null).unwrap_err();
        assert_eq!(error.to_string(), "join key 'driver_id' must be int64, got null");
    }
}
