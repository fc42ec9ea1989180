//! Packed values and entity keys.

use super::check_words;
use crate::Target;
use littoral_model::{
    entity_key,
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    parts,
    position::Lsn,
    region::Region,
    row::{Row, RowMeta},
    row_body::{self, BodyBuilder as Builder},
    value::{Value, ValueType},
    version::Version,
    view::FeatureView,
};

pub(super) const BODIES: Target = Target { name: "bodies", run: bodies, seeds: packed, memory: (1 << 20, 256) };
pub(super) const KEYS: Target = Target { name: "keys", run: keys, seeds: packed_keys, memory: (1 << 20, 64) };

/// All types.
pub(super) const TYPES: [ValueType; 16] = [
    ValueType::Bool,
    ValueType::Int32,
    ValueType::Int64,
    ValueType::Float,
    ValueType::Double,
    ValueType::String,
    ValueType::Bytes,
    ValueType::UnixTimestamp,
    ValueType::BoolList,
    ValueType::Int32List,
    ValueType::Int64List,
    ValueType::FloatList,
    ValueType::DoubleList,
    ValueType::StringList,
    ValueType::BytesList,
    ValueType::UnixTimestampList,
];

/// A body that passes the check unpacks completely, and packs to the same bytes from then on. One that does not pass
/// unpacks without failing, with nulls for incomplete values.
fn bodies(body: &[u8]) {
    let values = || (0..TYPES.len()).map(|index| row_body::value_at(body, index, TYPES[index]).to_value());
    let checked = row_body::check(body, TYPES.iter().copied());
    let values: Vec<Value> = values().collect();
    if let Err(error) = checked {
        return check_words(&error.to_string());
    }
    let packed = pack(&values);
    assert!(row_body::check(&packed, TYPES.iter().copied()).is_ok(), "our own body passes the check");
    let again: Vec<Value> =
        (0..TYPES.len()).map(|index| row_body::value_at(&packed, index, TYPES[index]).to_value()).collect();
    assert_eq!(pack(&again), packed);
    combined(body);
}

/// One region's part of such a row and another's combine to a row of the view under every policy, even for types that
/// the policy would reject.
fn combined(body: &[u8]) {
    for merge in MergePolicy::ALL.into_iter().filter(|policy| policy.combines()) {
        let view = FeatureView { merge, ..super::catalogue::view() };
        let part = |hlc: u64| {
            let version = Version { hlc: Hlc(hlc), region: Region::NONE };
            let meta = RowMeta { view: view.id, event_time: EventTime(1), version, lsn: Lsn(hlc) };
            Row::new(meta, b"key", Some(body))
        };
        let (one, other) = (part(1), part(2));
        let made = parts::row_of(&view, b"key", &[&one, &other], EventTime(1)).expect("two parts make a row");
        view.check_body(made.body()).expect("a row of the view");
        let swapped = parts::row_of(&view, b"key", &[&other, &one], EventTime(1));
        assert_eq!(swapped.map(|row| row.body().to_vec()).as_deref(), Some(made.body()));
    }
}

fn pack(values: &[Value]) -> Vec<u8> {
    let mut builder = Builder::new(TYPES.len());
    for (value_type, value) in TYPES.iter().zip(values) {
        builder.push(*value_type, value).expect("a value that was read has its type");
    }
    builder.finish().expect("a body that was read is not too long")
}

const KEY_TYPES: [ValueType; 5] =
    [ValueType::String, ValueType::Int64, ValueType::Bytes, ValueType::Int32, ValueType::UnixTimestamp];

/// A key that splits is rebuilt from its parts byte by byte; otherwise one row would have two keys.
fn keys(key: &[u8]) {
    if let Some((entity, region)) = parts::split(key) {
        let mut again = entity.to_vec();
        parts::push_region(&mut again, region);
        assert_eq!(again, key);
    }
    for types in [&KEY_TYPES[..], &KEY_TYPES[..1], &KEY_TYPES[1..2], &[]] {
        match entity_key::split(key, types.iter().copied()) {
            Err(error) => check_words(&error.to_string()),
            Ok(values) => {
                let mut again = Vec::new();
                for (value_type, value) in types.iter().zip(values) {
                    entity_key::push_value(&mut again, "id", *value_type, &value.to_value()).expect("its own type");
                }
                assert_eq!(again, key);
            }
        }
    }
}

fn packed() -> Vec<(String, Vec<u8>)> {
    let values = [
        Value::Bool(true),
        Value::Int32(-1),
        Value::Int64(1 << 40),
        Value::Float(0.5),
        Value::Double(f64::NAN),
        Value::String("text".into()),
        Value::Bytes(vec![0, 255]),
        Value::UnixTimestamp(1_700_000_000),
    ];
    let whole: Vec<Value> = values.into_iter().chain((0..8).map(|_| Value::Null)).collect();
    let nulls: Vec<Value> = (0..16).map(|_| Value::Null).collect();
    let mut seeds = vec![("scalars".to_owned(), pack(&whole)), ("nulls".to_owned(), pack(&nulls))];
    // A list of each type with one element, whose bytes are the element's.
    let mut builder = Builder::new(1);
    builder.push_bytes(&[2, 0, 0, 0, b'h', b'i']);
    seeds.extend(builder.finish().ok().map(|body| ("one".to_owned(), body)));
    seeds
}

fn packed_keys() -> Vec<(String, Vec<u8>)> {
    let mut key = Vec::new();
    entity_key::push_bytes(&mut key, b"SFO");
    let text = key.clone();
    entity_key::push_i64(&mut key, -1);
    entity_key::push_bytes(&mut key, &[0, 255]);
    entity_key::push_i64(&mut key, 7);
    entity_key::push_i64(&mut key, 1_700_000_000);
    let mut part = text.clone();
    parts::push_region(&mut part, "eu-west".parse().unwrap_or(Region::NONE));
    vec![
        ("all".into(), key),
        ("text".into(), text),
        ("part".into(), part),
        ("number".into(), 7_i64.to_le_bytes().into()),
    ]
}
