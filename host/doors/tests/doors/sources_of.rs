//! Values as their sources write them: one value in every Arrow type that holds it, and in JSON.

use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    Decimal256Array, DictionaryArray, DurationSecondArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeListArray,
    LargeStringArray, ListArray, NullArray, StringArray, StringViewArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
    builder::{BooleanBuilder, Float64Builder, ListBuilder, StringBuilder},
    types::{ArrowPrimitiveType, Float16Type, Float64Type, Int32Type, Int64Type},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use littoral_model::{event_time::EventTime, value::ValueType};
use proptest::prelude::*;
use std::sync::Arc;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// One value.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// As Arrow has it: one row each, all of the same value.
    pub arrays: Vec<ArrayRef>,
    json: Json,
}

#[derive(Clone, Debug)]
enum Json {
    /// The same text for every type.
    Text(String),
    /// Base64, where bytes are wanted.
    Bytes(String),
    /// RFC 3339, where a time is wanted.
    Time(String),
    /// There is no such value in JSON.
    None,
}

impl Case {
    /// The value in JSON where one of this type is wanted; `None` when JSON has no such value.
    pub fn json(&self, value_type: ValueType) -> Option<&str> {
        match &self.json {
            Json::Text(text) => {
                // A JSON text for bytes is base64, which no text of Arrow is.
                let is_bytes = value_type == ValueType::Bytes || value_type == ValueType::BytesList;
                (!is_bytes || !text.contains('"')).then_some(text)
            }
            Json::Bytes(text) if value_type == ValueType::Bytes => Some(text),
            Json::Time(text) if value_type == ValueType::UnixTimestamp => Some(text),
            _ => None,
        }
    }

    fn new(name: impl Into<String>, json: impl Into<String>, arrays: Vec<ArrayRef>) -> Self {
        Self { name: name.into(), arrays, json: Json::Text(json.into()) }
    }
}

fn integer(value: i128) -> Case {
    let mut arrays: Vec<ArrayRef> = Vec::new();
    macro_rules! where_it_fits {
        ($($native:ty => $array:ty),+) => {
            $(if let Ok(value) = <$native>::try_from(value) { arrays.push(Arc::new(<$array>::from(vec![value]))); })+
        };
    }
    where_it_fits!(i8 => Int8Array, i16 => Int16Array, i32 => Int32Array, i64 => Int64Array,
        u8 => UInt8Array, u16 => UInt16Array, u32 => UInt32Array, u64 => UInt64Array);
    if let Ok(value) = i64::try_from(value) {
        let values = Arc::new(Int64Array::from(vec![value]));
        arrays.push(Arc::new(DictionaryArray::<Int32Type>::new(vec![0].into(), values)));
    }
    Case::new(format!("integer {value}"), value.to_string(), arrays)
}

fn float(value: f64) -> Case {
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![value]))];
    let narrow = value as f32;
    if value.is_nan() || f64::from(narrow) == value {
        arrays.push(Arc::new(Float32Array::from(vec![narrow])));
    }
    let half = Half::from_f64(value);
    if value.is_nan() || half.to_f64() == value {
        arrays.push(Arc::new(Float16Array::from(vec![half])));
    }
    let json = if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        format!("{value:?}")
    };
    Case::new(format!("float {value:?}"), json, arrays)
}

fn decimal(digits: i128, scale: i8) -> Case {
    let narrow = Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).unwrap();
    let wide = arrow_buffer::i256::from_i128(digits);
    let wide = Decimal256Array::from(vec![wide]).with_precision_and_scale(60, scale).unwrap();
    let arrays: Vec<ArrayRef> = vec![Arc::new(narrow), Arc::new(wide)];
    Case { name: format!("decimal {digits}e-{scale}"), arrays, json: Json::None }
}

fn text(value: &str) -> Case {
    let dictionary: DictionaryArray<Int32Type> = [value].into_iter().collect();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![value])),
        Arc::new(LargeStringArray::from(vec![value])),
        Arc::new(StringViewArray::from(vec![value])),
        Arc::new(dictionary),
    ];
    Case::new(format!("text {value:?}"), serde_json::to_string(value).unwrap(), arrays)
}

fn bytes(value: &[u8]) -> Case {
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from(vec![value])),
        Arc::new(LargeBinaryArray::from(vec![value])),
        Arc::new(BinaryViewArray::from(vec![value])),
    ];
    if !value.is_empty() {
        arrays.push(Arc::new(FixedSizeBinaryArray::try_from_iter([value].into_iter()).unwrap()));
    }
    let json = Json::Bytes(format!("\"{}\"", STANDARD.encode(value)));
    Case { name: format!("bytes {value:?}"), arrays, json }
}

/// A moment of whole seconds, in every unit that holds it.
fn moment(seconds: i64, rfc3339: &str) -> Case {
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(TimestampSecondArray::from(vec![seconds])),
        Arc::new(TimestampSecondArray::from(vec![seconds]).with_timezone("Asia/Tokyo")),
    ];
    if let Some(ticks) = seconds.checked_mul(1_000) {
        arrays.push(Arc::new(TimestampMillisecondArray::from(vec![ticks]).with_timezone("+09:00")));
        if seconds % 86_400 == 0 {
            arrays.push(Arc::new(Date64Array::from(vec![ticks])));
        }
    }
    if let Some(ticks) = seconds.checked_mul(1_000_000) {
        arrays.push(Arc::new(TimestampMicrosecondArray::from(vec![ticks])));
    }
    if let Some(ticks) = seconds.checked_mul(1_000_000_000) {
        arrays.push(Arc::new(TimestampNanosecondArray::from(vec![ticks]).with_timezone("UTC")));
    }
    if let (0, Ok(days)) = (seconds % 86_400, i32::try_from(seconds / 86_400)) {
        arrays.push(Arc::new(Date32Array::from(vec![days])));
    }
    Case { name: format!("moment {rfc3339}"), arrays, json: Json::Time(format!("\"{rfc3339}\"")) }
}

fn alone(name: &str, array: impl Array + 'static) -> Case {
    Case { name: name.to_owned(), arrays: vec![Arc::new(array)], json: Json::None }
}

fn list(name: &str, json: &str, array: ListArray) -> Case {
    Case::new(name, json, vec![Arc::new(array)])
}

fn lists() -> Vec<Case> {
    let integers = vec![Some(vec![Some(1), Some(2), Some(1)])];
    let some = |values: &[f64]| Some(values.iter().map(|value| Some(*value)).collect::<Vec<_>>());
    let vector = |values: Vec<Option<f64>>| ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values)]);
    let mut texts = ListBuilder::new(StringBuilder::new());
    texts.append_value([Some("1"), Some("b")]);
    let mut holes = ListBuilder::new(StringBuilder::new());
    holes.append_value([Some("a"), None]);
    let mut bools = ListBuilder::new(BooleanBuilder::new());
    bools.append_value([Some(true), Some(false)]);
    let mut nested = ListBuilder::new(ListBuilder::new(Float64Builder::new()));
    nested.append_value([Some([Some(1.0)])]);
    let nulls = Arc::new(arrow_schema::Field::new_list_field(arrow_schema::DataType::Null, true));
    let empty = ListArray::new(nulls, arrow_buffer::OffsetBuffer::from_lengths([0]), Arc::new(NullArray::new(0)), None);
    vec![
        Case::new(
            "integers",
            "[1,2,1]",
            vec![
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(integers.clone())),
                Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(integers.clone())),
                Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(integers, 3)),
            ],
        ),
        Case::new(
            "floats",
            "[1.0,0.0,1.5]",
            vec![
                Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([some(&[1.0, 0.0, 1.5])])),
                Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>([some(&[1.0, 0.0, 1.5])], 3)),
            ],
        ),
        list("whole floats", "[1.0,0.0]", vector(vec![Some(1.0), Some(0.0)])),
        list("a vector with gaps", "[1.5,null]", vector(vec![Some(1.5), None])),
        list("a vector with NaN", "[1.5,NaN]", vector(vec![Some(1.5), Some(f64::NAN)])),
        list("a vector beyond floats", "[1e39]", vector(vec![Some(1e39)])),
        list("texts", r#"["1","b"]"#, texts.finish()),
        list("texts with gaps", r#"["a",null]"#, holes.finish()),
        list("bools", "[true,false]", bools.finish()),
        list("a list of lists", "[[1.0]]", nested.finish()),
        list("an empty list", "[]", empty),
    ]
}

/// Every kind, with its extremes.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let wide = [0, 1, 2, -1, 127, 128, 255, 1 << 15, i128::from(i32::MAX), 1 << 31, i128::from(i32::MIN)];
    let wider = [1 << 24, (1 << 24) + 1, 1 << 53, (1 << 53) + 1, 1_152_921_504_606_847_000, -(1 << 53) - 1];
    let widest = [i128::from(i64::MAX), i128::from(i64::MIN), i128::from(i64::MIN) + 1, 1 << 63, i128::from(u64::MAX)];
    cases.extend(wide.into_iter().chain(wider).chain(widest).map(integer));
    cases.extend(
        [
            0.0,
            -0.0,
            1.0,
            5.0,
            0.1,
            5.5,
            -1.5,
            2f64.powi(24) + 1.0,
            2f64.powi(53) - 1.0,
            2f64.powi(53),
            1e17,
            1e39,
            -1e39,
        ]
        .map(float),
    );
    cases.extend([1e300, f64::MAX, 5e-324, 1e-46, 1e-40, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(float));
    cases.extend(
        [(1, 0), (150, 2), (500, 2), (110, 2), ((1 << 53) * 100 + 100, 2), (-7, 0), (10i128.pow(30), 0)]
            .map(|(digits, scale)| decimal(digits, scale)),
    );
    cases.extend(
        [
            "", " ", "a", "5", " 5 ", "5.0", "5.5", "5e3", "-7", "007", "1e400", "-1e400", "1e39", "NaN", "Infinity",
            "-inf",
        ]
        .map(text),
    );
    cases.extend(
        ["9007199254740993", "9007199254740993.0", "18446744073709551615", "true", "null", "NaT", "ä\u{0}"].map(text),
    );
    cases.extend(
        [
            "2024-01-01T00:00:00Z",
            "2024-01-01t00:00:00z",
            "2024-01-01 00:00:00+09:00",
            "2024-01-01",
            "9999-12-31T00:00:00Z",
        ]
        .map(text),
    );
    cases.extend(
        ["2016-12-31T23:59:60Z", "2024-01-01T10:00[Asia/Tokyo]", "0000-01-01T00:00:00Z", "-000001-01-01T00:00:00Z"]
            .map(text),
    );
    cases.extend([bytes(b""), bytes(b"ab"), bytes(&[0xff, 0xfe])]);
    cases.extend([
        moment(0, "1970-01-01T00:00:00Z"),
        moment(253_402_214_400, "9999-12-31T00:00:00Z"),
        moment(-62_135_596_800, "0001-01-01T00:00:00Z"),
        moment(-62_167_219_200, "0000-01-01T00:00:00Z"),
        moment(1_704_103_201, "2024-01-01T10:00:01Z"),
        Case {
            name: "a fraction of a second before 1970".to_owned(),
            arrays: vec![
                Arc::new(TimestampMillisecondArray::from(vec![-1])),
                Arc::new(TimestampNanosecondArray::from(vec![-1_000_000])),
            ],
            json: Json::Time("\"1969-12-31T23:59:59.999Z\"".to_owned()),
        },
        alone("a moment beyond year 9999", TimestampSecondArray::from(vec![1 << 50])),
        alone("numpy's NaT", TimestampNanosecondArray::from(vec![i64::MIN])),
    ]);
    cases.push(Case::new("true", "true", vec![Arc::new(BooleanArray::from(vec![true]))]));
    cases.push(Case::new("false", "false", vec![Arc::new(BooleanArray::from(vec![false]))]));
    let nothing: Vec<ArrayRef> = vec![
        Arc::new(NullArray::new(1)),
        Arc::new(Float64Array::from(vec![None])),
        Arc::new(Float64Array::from(vec![f64::NAN])),
    ];
    cases.push(Case::new("nothing", "null", nothing));
    cases.extend(lists());
    cases.push(alone("a duration", DurationSecondArray::from(vec![1])));
    cases.push(alone("a time of day", Time64MicrosecondArray::from(vec![1])));
    let member: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let field = Arc::new(arrow_schema::Field::new("a", arrow_schema::DataType::Int64, true));
    cases.push(Case::new("an object", r#"{"a":1}"#, vec![Arc::new(StructArray::from(vec![(field, member)]))]));
    cases
}

/// Any value of a kind that both Arrow and JSON have.
pub fn random() -> impl Strategy<Value = Case> {
    prop_oneof![
        any::<i64>().prop_map(|value| integer(value.into())),
        any::<i32>().prop_map(|value| integer(value.into())),
        any::<u64>().prop_map(|value| integer(value.into())),
        any::<f64>().prop_map(float),
        any::<f32>().prop_map(|value| float(value.into())),
        any::<f64>().prop_map(|value| float(value.trunc())),
        (any::<i64>(), 0i8..20).prop_map(|(digits, scale)| decimal(digits.into(), scale)),
        any::<String>().prop_map(|value| text(&value)),
        any::<f64>().prop_map(|value| text(&value.to_string())),
        any::<i64>().prop_map(|value| text(&value.to_string())),
        any::<Vec<u8>>().prop_map(|value| bytes(&value)),
        (-9_200_000_000i64..9_200_000_000)
            .prop_map(|seconds| moment(seconds, &EventTime(seconds * 1_000_000_000).to_string())),
    ]
}
