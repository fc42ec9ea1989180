//! Writes JSON by hand: a read writes thousands of small values of known types.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use littoral_model::{row_body::ValueRef, value::Value};

/// Appends an integer.
#[inline]
pub(crate) fn push_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a double. One that is not finite becomes `"NaN"`, `"Infinity"` or `"-Infinity"`.
#[inline]
pub(crate) fn push_double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

/// Appends a text with quotes and escapes.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]],
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain_from..at]);
        out.extend_from_slice(escape);
        plain_from = at + 1;
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Appends bytes as base64.
pub(crate) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends a value in the form of Feast's JSON: float32 widened to double, timestamps as seconds.
#[inline]
pub(crate) fn push_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Int32(v) => push_int(out, i64::from(v)),
        ValueRef::Int64(v) | ValueRef::UnixTimestamp(v) => push_int(out, v),
        ValueRef::Float(v) => push_double(out, f64::from(v)),
        ValueRef::Double(v) => push_double(out, v),
        ValueRef::String(v) => push_text(out, v),
        ValueRef::Bytes(v) => push_base64(out, v),
        ValueRef::List(list) => {
            out.push(b'[');
            for (at, element) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_value(out, element);
            }
            out.push(b']');
        }
    }
}

/// Appends an owned value, as modules return for lists.
pub(crate) fn push_owned(out: &mut Vec<u8>, value: &Value) {
    fn list<'a, T: 'a>(out: &mut Vec<u8>, elements: &'a [T], element: impl Fn(&'a T) -> ValueRef<'a>) {
        out.push(b'[');
        for (at, one) in elements.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_value(out, element(one));
        }
        out.push(b']');
    }
    match value {
        Value::Null => push_value(out, ValueRef::Null),
        Value::Bool(v) => push_value(out, ValueRef::Bool(*v)),
        Value::Int32(v) => push_value(out, ValueRef::Int32(*v)),
        Value::Int64(v) | Value::UnixTimestamp(v) => push_int(out, *v),
        Value::Float(v) => push_value(out, ValueRef::Float(*v)),
        Value::Double(v) => push_double(out, *v),
        Value::String(v) => push_text(out, v),
        Value::Bytes(v) => push_base64(out, v),
        Value::BoolList(v) => list(out, v, |x| ValueRef::Bool(*x)),
        Value::Int32List(v) => list(out, v, |x| ValueRef::Int32(*x)),
        Value::Int64List(v) | Value::UnixTimestampList(v) => list(out, v, |x| ValueRef::Int64(*x)),
        Value::FloatList(v) => list(out, v, |x| ValueRef::Float(*x)),
        Value::DoubleList(v) => list(out, v, |x| ValueRef::Double(*x)),
        Value::StringList(v) => list(out, v, |x| ValueRef::String(x)),
        Value::BytesList(v) => list(out, v, |x| ValueRef::Bytes(x)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: ValueRef<'_>) -> String {
        let mut out = Vec::new();
        push_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_text_reads_back() {
        let all: String = (0..0x250).filter_map(char::from_u32).chain(['\u{2028}', '😀']).collect();
        assert_eq!(serde_json::from_str::<String>(&written(ValueRef::String(&all))).unwrap(), all);
    }

    #[test]
    fn numbers_are_as_feast_writes_them() {
        assert_eq!(written(ValueRef::Float(0.1)), "0.10000000149011612");
        assert_eq!(written(ValueRef::Int64(i64::MIN)), "-9223372036854775808");
        assert_eq!(written(ValueRef::Double(f64::NEG_INFINITY)), "\"-Infinity\"");
        assert_eq!(written(ValueRef::Float(f32::NAN)), "\"NaN\"");
        assert_eq!(written(ValueRef::Bytes(&[0, 1])), "\"AAE=\"");
        for value in [f64::MAX, f64::MIN_POSITIVE, 1.0, -0.0, 1e21, 123_456.789] {
            assert_eq!(written(ValueRef::Double(value)).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
