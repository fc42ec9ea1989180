//! Row bodies: a row's values, packed so that each one is found in constant time.
//!
//! Layout, little-endian:
//! ```text
//! u16 n | n bits, set where a value is present, padded to bytes | n slots of 8 bytes | tail
//! ```
//! A scalar is stored in its slot. For a string, bytes or a list, the slot holds `u32 offset, u32
//! length` into the tail, in bytes. List elements of fixed width are adjacent (a bool takes one
//! byte). Strings and bytes each follow their `u32` length. The view determines the types: value
//! `i` has the type of the view's feature `i`. A row that was written before a feature was added
//! is shorter than the schema, and the missing values are null.

use crate::value::{Value, ValueType};

/// The maximum number of features of a view, well below what the `u16` count can hold.
pub const FEATURES_MAX: usize = 4_096;

/// Why bytes are not a row body of a schema, or why a value does not have its feature's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBody {
    /// The bytes end within the header, the slots or a value.
    #[error("row body is truncated: {needed} bytes needed, got {have}")]
    Short {
        /// The number of bytes needed.
        needed: usize,
        /// The number of bytes received.
        have: usize,
    },
    /// The body has more values than the schema has features.
    #[error("row body has {values} values, but the view has only {features} features")]
    TooManyValues {
        /// The number of values in the body.
        values: usize,
        /// The number of features of the view.
        features: usize,
    },
    /// The text is not UTF-8, or the list's bytes do not divide into elements.
    #[error("value {index} is not a well-formed {value_type}")]
    Malformed {
        /// The value's index.
        index: usize,
        /// Its type in the schema.
        value_type: ValueType,
    },
    /// The value's type is not its feature's type.
    #[error("value {index} is a {got}, but the feature's type is {expected}")]
    WrongType {
        /// The value's index.
        index: usize,
        /// The feature's type.
        expected: ValueType,
        /// The value's type.
        got: ValueType,
    },
    /// The row is larger than 4 GiB.
    #[error("row body is larger than 4 GiB")]
    TooLarge,
}

/// A value borrowed from a body. Lists are read through [`ListRef`].
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// See [`ValueType::Bool`].
    Bool(bool),
    /// See [`ValueType::Int32`].
    Int32(i32),
    /// See [`ValueType::Int64`].
    Int64(i64),
    /// See [`ValueType::Float`].
    Float(f32),
    /// See [`ValueType::Double`].
    Double(f64),
    /// See [`ValueType::String`].
    String(&'a str),
    /// See [`ValueType::Bytes`].
    Bytes(&'a [u8]),
    /// Whole seconds since 1970.
    UnixTimestamp(i64),
    /// A list.
    List(ListRef<'a>),
}

/// A list within a body.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    element: ValueType,
    bytes: &'a [u8],
}

/// Builds a body, value by value, in the schema's order.
#[derive(Debug)]
pub struct BodyBuilder {
    head: Vec<u8>,
    tail: Vec<u8>,
    features: usize,
    next: usize,
}

fn bitmap_len(values: usize) -> usize {
    values.div_ceil(8)
}

// === impl BodyBuilder ===

impl BodyBuilder {
    /// Creates a body for a view of `features` features (at most [`FEATURES_MAX`]), all null at
    /// first.
    #[must_use]
    pub fn new(features: usize) -> Self {
        let features = features.min(FEATURES_MAX);
        let mut head = vec![0; 2 + bitmap_len(features) + 8 * features];
        head[..2].copy_from_slice(&(features as u16).to_le_bytes());
        Self { head, tail: Vec::new(), features, next: 0 }
    }

    /// Appends null.
    pub fn push_null(&mut self) {
        self.next += 1;
    }

    /// Appends a scalar with these slot bits.
    fn push_slot(&mut self, slot: [u8; 8]) {
        let index = self.next;
        self.next += 1;
        if index < self.features {
            self.head[2 + index / 8] |= 1 << (index % 8);
            let at = 2 + bitmap_len(self.features) + 8 * index;
            self.head[at..at + 8].copy_from_slice(&slot);
        }
    }

    /// Appends a bool.
    pub fn push_bool(&mut self, value: bool) {
        self.push_slot(u64::from(value).to_le_bytes());
    }

    /// Appends an int32.
    pub fn push_i32(&mut self, value: i32) {
        self.push_slot(i64::from(value).to_le_bytes());
    }

    /// Appends an int64 or a unix timestamp.
    pub fn push_i64(&mut self, value: i64) {
        self.push_slot(value.to_le_bytes());
    }

    /// Appends a float.
    pub fn push_f32(&mut self, value: f32) {
        self.push_slot(u64::from(value.to_bits()).to_le_bytes());
    }

    /// Appends a double.
    pub fn push_f64(&mut self, value: f64) {
        self.push_slot(value.to_le_bytes());
    }

    /// Appends a string or bytes.
    pub fn push_bytes(&mut self, value: &[u8]) {
        self.push_tail(|tail| tail.extend_from_slice(value));
    }

    fn push_tail(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let offset = self.tail.len();
        write(&mut self.tail);
        let len = self.tail.len() - offset;
        let mut slot = [0; 8];
        slot[..4].copy_from_slice(&(offset as u32).to_le_bytes());
        slot[4..].copy_from_slice(&(len as u32).to_le_bytes());
        self.push_slot(slot);
    }

    /// Appends a value after checking it against its feature's type.
    pub fn push(&mut self, value_type: ValueType, value: &Value) -> Result<(), InvalidBody> {
        if let Some(got) = value.value_type()
            && got != value_type
        {
            return Err(InvalidBody::WrongType { index: self.next, expected: value_type, got });
        }
        match value {
            Value::Null => self.push_null(),
            Value::Bool(v) => self.push_bool(*v),
            Value::Int32(v) => self.push_i32(*v),
            Value::Int64(v) | Value::UnixTimestamp(v) => self.push_i64(*v),
            Value::Float(v) => self.push_f32(*v),
            Value::Double(v) => self.push_f64(*v),
            Value::String(v) => self.push_bytes(v.as_bytes()),
            Value::Bytes(v) => self.push_bytes(v),
            Value::BoolList(v) => self.push_tail(|t| t.extend(v.iter().map(|b| u8::from(*b)))),
            Value::Int32List(v) => self.push_tail(|t| v.iter().for_each(|x| t.extend_from_slice(&x.to_le_bytes()))),
            Value::Int64List(v) | Value::UnixTimestampList(v) => {
                self.push_tail(|t| v.iter().for_each(|x| t.extend_from_slice(&x.to_le_bytes())));
            }
            Value::FloatList(v) => self.push_tail(|t| v.iter().for_each(|x| t.extend_from_slice(&x.to_le_bytes()))),
            Value::DoubleList(v) => self.push_tail(|t| v.iter().for_each(|x| t.extend_from_slice(&x.to_le_bytes()))),
            Value::StringList(v) => self.push_tail(|t| v.iter().for_each(|x| push_element(t, x.as_bytes()))),
            Value::BytesList(v) => self.push_tail(|t| v.iter().for_each(|x| push_element(t, x))),
        }
        Ok(())
    }

    /// Resets all values to null and keeps the allocated memory, for the next row of the same
    /// view.
    pub fn reset(&mut self) {
        self.head[2..].fill(0);
        self.tail.clear();
        self.next = 0;
    }

    /// Appends the packed body to `out`.
    ///
    /// # Errors
    /// As for [`BodyBuilder::finish`]; nothing is appended.
    pub fn append_to(&self, out: &mut Vec<u8>) -> Result<(), InvalidBody> {
        self.check_whole()?;
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.tail);
        Ok(())
    }

    fn check_whole(&self) -> Result<(), InvalidBody> {
        if self.next > self.features {
            return Err(InvalidBody::TooManyValues { values: self.next, features: self.features });
        }
        if u32::try_from(self.tail.len()).is_err() {
            return Err(InvalidBody::TooLarge);
        }
        Ok(())
    }

    /// Returns the packed body.
    ///
    /// # Errors
    /// [`InvalidBody::TooLarge`] if offsets do not fit 32 bits; [`InvalidBody::TooManyValues`] if more
    /// values were pushed than there are features.
    pub fn finish(mut self) -> Result<Vec<u8>, InvalidBody> {
        self.check_whole()?;
        self.head.append(&mut self.tail);
        Ok(self.head)
    }
}

fn push_element(tail: &mut Vec<u8>, element: &[u8]) {
    tail.extend_from_slice(&(element.len() as u32).to_le_bytes());
    tail.extend_from_slice(element);
}

// === reading ===

/// Returns the number of values in a body; 0 for bytes that are not a body.
#[inline]
#[must_use]
pub fn value_count(body: &[u8]) -> usize {
    body.first_chunk::<2>().map_or(0, |n| usize::from(u16::from_le_bytes(*n)))
}

/// Returns value `index` of a body, whose feature `index` has type `value_type`. Returns null if
/// the row lacks the value or the bytes are malformed: bytes from outside pass [`check`] first.
#[inline]
#[must_use]
pub fn value_at(body: &[u8], index: usize, value_type: ValueType) -> ValueRef<'_> {
    try_value_at(body, index, value_type).unwrap_or(ValueRef::Null)
}

#[inline]
fn try_value_at(body: &[u8], index: usize, value_type: ValueType) -> Option<ValueRef<'_>> {
    let count = value_count(body);
    if index >= count || body.get(2 + index / 8)? & (1 << (index % 8)) == 0 {
        return None;
    }
    let slots = 2 + bitmap_len(count);
    let slot: [u8; 8] = *body.get(slots + 8 * index..)?.first_chunk::<8>()?;
    let bits = u64::from_le_bytes(slot);
    Some(match value_type {
        ValueType::Bool => ValueRef::Bool(bits != 0),
        ValueType::Int32 => ValueRef::Int32(bits as i32),
        ValueType::Int64 => ValueRef::Int64(bits as i64),
        ValueType::UnixTimestamp => ValueRef::UnixTimestamp(bits as i64),
        ValueType::Float => ValueRef::Float(f32::from_bits(bits as u32)),
        ValueType::Double => ValueRef::Double(f64::from_bits(bits)),
        variable => return variable_value(body.get(slots + 8 * count..)?, bits, variable),
    })
}

/// Returns the value of variable length that a slot refers to. Apart from [`try_value_at`], so that scalars are
/// inlined.
fn variable_value(tail: &[u8], slot: u64, value_type: ValueType) -> Option<ValueRef<'_>> {
    let start = slot as u32 as usize;
    let bytes = tail.get(start..start.checked_add((slot >> 32) as usize)?)?;
    Some(match value_type.element() {
        Some(element) => ValueRef::List(ListRef { element, bytes }),
        None if value_type == ValueType::Bytes => ValueRef::Bytes(bytes),
        None => ValueRef::String(std::str::from_utf8(bytes).ok()?),
    })
}

/// Checks bytes from outside against a schema. After this, [`value_at`] can read every value.
///
/// # Errors
/// [`InvalidBody`], which names the value.
pub fn check(body: &[u8], schema: impl ExactSizeIterator<Item = ValueType>) -> Result<(), InvalidBody> {
    let count = value_count(body);
    if count > schema.len() {
        return Err(InvalidBody::TooManyValues { values: count, features: schema.len() });
    }
    let needed = 2 + bitmap_len(count) + 8 * count;
    if body.len() < needed {
        return Err(InvalidBody::Short { needed, have: body.len() });
    }
    for (index, value_type) in schema.take(count).enumerate() {
        // A value of fixed size is always complete in its slot.
        if value_type.is_fixed_size() || body[2 + index / 8] & (1 << (index % 8)) == 0 {
            continue;
        }
        let whole = match try_value_at(body, index, value_type) {
            Some(ValueRef::List(list)) => list.is_well_formed(),
            Some(_) => true,
            None => false,
        };
        if !whole {
            return Err(InvalidBody::Malformed { index, value_type });
        }
    }
    Ok(())
}

// === impl ListRef ===

impl<'a> ListRef<'a> {
    /// Returns the elements' type.
    #[must_use]
    pub fn element_type(self) -> ValueType {
        self.element
    }

    /// Iterates over the elements, in order.
    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (element, after) = split_element(self.element, rest)?;
            rest = after;
            Some(element)
        })
    }

    fn is_well_formed(self) -> bool {
        let mut rest = self.bytes;
        while !rest.is_empty() {
            match split_element(self.element, rest) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

fn split_element(element: ValueType, bytes: &[u8]) -> Option<(ValueRef<'_>, &[u8])> {
    Some(match element {
        ValueType::Bool => {
            let (first, rest) = bytes.split_first()?;
            (ValueRef::Bool(*first != 0), rest)
        }
        ValueType::Int32 => {
            let (raw, rest) = bytes.split_first_chunk::<4>()?;
            (ValueRef::Int32(i32::from_le_bytes(*raw)), rest)
        }
        ValueType::Float => {
            let (raw, rest) = bytes.split_first_chunk::<4>()?;
            (ValueRef::Float(f32::from_le_bytes(*raw)), rest)
        }
        ValueType::Int64 | ValueType::UnixTimestamp | ValueType::Double => {
            let (raw, rest) = bytes.split_first_chunk::<8>()?;
            let value = match element {
                ValueType::Int64 => ValueRef::Int64(i64::from_le_bytes(*raw)),
                ValueType::Double => ValueRef::Double(f64::from_le_bytes(*raw)),
                _ => ValueRef::UnixTimestamp(i64::from_le_bytes(*raw)),
            };
            (value, rest)
        }
        variable => {
            let (len, rest) = bytes.split_first_chunk::<4>()?;
            let (raw, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            let value = if variable == ValueType::Bytes {
                ValueRef::Bytes(raw)
            } else {
                ValueRef::String(std::str::from_utf8(raw).ok()?)
            };
            (value, rest)
        }
    })
}

impl ValueRef<'_> {
    /// Returns an owned copy of the value.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(v) => Value::Bool(v),
            Self::Int32(v) => Value::Int32(v),
            Self::Int64(v) => Value::Int64(v),
            Self::Float(v) => Value::Float(v),
            Self::Double(v) => Value::Double(v),
            Self::String(v) => Value::String(v.to_owned()),
            Self::Bytes(v) => Value::Bytes(v.to_owned()),
            Self::UnixTimestamp(v) => Value::UnixTimestamp(v),
            Self::List(list) => list.to_value(),
        }
    }
}

macro_rules! collect {
    ($values:expr, $variant:ident, $map:expr) => {
        $values.filter_map(|v| if let ValueRef::$variant(x) = v { Some($map(x)) } else { None }).collect()
    };
}

/// Collects elements into an owned list. Elements of another type are skipped.
pub(crate) fn list_of<'a>(element: ValueType, values: impl Iterator<Item = ValueRef<'a>>) -> Value {
    match element {
        ValueType::Bool => Value::BoolList(collect!(values, Bool, |x| x)),
        ValueType::Int32 => Value::Int32List(collect!(values, Int32, |x| x)),
        ValueType::Int64 => Value::Int64List(collect!(values, Int64, |x| x)),
        ValueType::Float => Value::FloatList(collect!(values, Float, |x| x)),
        ValueType::Double => Value::DoubleList(collect!(values, Double, |x| x)),
        ValueType::Bytes => Value::BytesList(collect!(values, Bytes, <[u8]>::to_vec)),
        ValueType::UnixTimestamp => Value::UnixTimestampList(collect!(values, UnixTimestamp, |x| x)),
        _ => Value::StringList(collect!(values, String, str::to_owned)),
    }
}

impl ListRef<'_> {
    fn to_value(self) -> Value {
        list_of(self.element, self.iter())
    }
}

#[cfg(test)]
mod tests;
