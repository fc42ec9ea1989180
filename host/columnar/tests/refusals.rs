//! Rejected columns and their error messages.

use arrow_array::{
    ArrayRef, DictionaryArray, DurationSecondArray, Float64Array, Int64Array, ListArray, NullArray, RecordBatch,
    StringArray, TimestampMillisecondArray, types::Int32Type, types::TimestampSecondType,
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use littoral_columnar::{Columns, Error, Extra, Limits, Missing, Plan, decode_ipc, stream};
use littoral_model::{
    event_time::EventTime,
    merge::MergePolicy,
    row_body::value_at,
    value::{Value, ValueType},
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::RowBatch,
};
use std::sync::Arc;

fn view() -> FeatureView {
    FeatureView {
        id: ViewId(1),
        name: "routes".into(),
        join_keys: vec![JoinKey { name: "route".into(), entity: "route".into(), value_type: ValueType::Int64 }],
        features: vec![
            Feature { name: "delay".into(), value_type: ValueType::Double },
            Feature { name: "carriers".into(), value_type: ValueType::StringList },
            Feature { name: "small".into(), value_type: ValueType::Int32 },
        ],
        ttl_ms: None,
        merge: MergePolicy::default(),
    }
}

fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn keys(keys: Vec<i64>) -> (&'static str, ArrayRef) {
    ("route", Arc::new(Int64Array::from(keys)))
}

fn delays(delays: Vec<f64>) -> (&'static str, ArrayRef) {
    ("delay", Arc::new(Float64Array::from(delays)))
}

fn decode(batch: &RecordBatch) -> Result<RowBatch, Error> {
    decode_ipc(stream(batch).unwrap().into(), &view(), EventTime(5), Limits::default())
}

fn words(batch: &RecordBatch) -> String {
    decode(batch).unwrap_err().to_string()
}

#[test]
fn rows_without_a_timestamp_get_the_default_and_missing_features_are_null() {
    let rows = decode(&columns(vec![keys(vec![1, 2]), delays(vec![0.5, f64::NAN])])).unwrap();
    let row = rows.iter().next().unwrap();
    assert_eq!((row.view, row.event_time, row.key), (ViewId(1), EventTime(5), &1i64.to_le_bytes()[..]));
    assert_eq!(value_at(row.body.unwrap(), 0, ValueType::Double).to_value(), Value::Double(0.5));
    assert_eq!(value_at(row.body.unwrap(), 1, ValueType::StringList).to_value(), Value::Null);
}

#[test]
fn several_batches_of_one_stream_are_counted_through() {
    let one = columns(vec![keys(vec![1, 2]), ("small", Arc::new(Int64Array::from(vec![1, 2])))]);
    let two = columns(vec![keys(vec![3, 4]), ("small", Arc::new(Int64Array::from(vec![3, 1 << 40])))]);
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &one.schema()).unwrap();
    writer.write(&one).unwrap();
    writer.write(&two).unwrap();
    let bytes = writer.into_inner().unwrap();
    let error = decode_ipc(bytes.into(), &view(), EventTime(5), Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 'small', row 3: int32 was expected, got 1099511627776, which is outside the type's range"
    );
}

#[test]
fn every_error_names_the_problem_and_the_place() {
    let null_key = columns(vec![("route", Arc::new(Int64Array::from(vec![Some(1), None]))), delays(vec![0.0, 0.0])]);
    assert_eq!(words(&null_key), "column 'route', row 1: the join key is null; every row needs its whole entity key");
    let text = columns(vec![keys(vec![1]), ("delay", Arc::new(StringArray::from(vec!["late"])))]);
    assert!(words(&text).starts_with("column 'delay', row 0: double was expected, got 'late', which is not a number"));
    let span = columns(vec![keys(vec![1]), ("delay", Arc::new(DurationSecondArray::from(vec![1])))]);
    assert!(words(&span).starts_with("column 'delay' is Duration(s), which cannot become double: a duration is not"));
    let misspelt = columns(vec![keys(vec![1]), delays(vec![0.0]), ("dely", Arc::new(Int64Array::from(vec![1])))]);
    assert!(words(&misspelt).contains("no join key or feature 'dely'"));
    assert!(words(&columns(vec![delays(vec![0.0])])).contains("join key column 'route' of view 'routes' is missing"));
    assert!(words(&columns(vec![keys(vec![1])])).contains("none of the columns is a feature"));
    let late = columns(vec![
        keys(vec![1]),
        delays(vec![0.0]),
        ("event_timestamp", Arc::new(TimestampMillisecondArray::from(vec![None]))),
    ]);
    assert_eq!(words(&late), "column 'event_timestamp', row 0: the event timestamp is null");
    let holes: ListArray = ListArray::from_iter_primitive::<TimestampSecondType, _, _>([Some([Some(1)])]);
    let wrong_list = columns(vec![keys(vec![1]), ("carriers", Arc::new(holes))]);
    assert!(words(&wrong_list).contains("cannot become string_list"));
}

#[test]
fn bytes_that_are_not_a_stream_are_rejected() {
    for bytes in [&b""[..], b"{}", &[0xff; 64], b"ARROW1\0\0"] {
        let error = decode_ipc(bytes.to_vec().into(), &view(), EventTime(5), Limits::default()).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{bytes:?}: {error}");
    }
}

#[test]
fn sizes_are_bounded() {
    let limits = Limits { rows_max: 10, bytes_max: 1_000 };
    let many = columns(vec![keys((0..11).collect()), delays(vec![0.0; 11])]);
    let error = decode_ipc(stream(&many).unwrap().into(), &view(), EventTime(5), limits).unwrap_err();
    assert_eq!(error, Error::TooManyRows(10));
    let wide = columns(vec![keys((0..10).collect()), ("delay", Arc::new(NullArray::new(10)))]);
    let error = decode_ipc(stream(&wide).unwrap().into(), &view(), EventTime(5), Limits { bytes_max: 99, ..limits });
    assert_eq!(error.unwrap_err(), Error::TooLarge(99));
    // A batch of nulls states a number of rows and contains no bytes for them.
    let text_key = FeatureView {
        join_keys: vec![JoinKey { name: "route".into(), entity: "route".into(), value_type: ValueType::String }],
        ..view()
    };
    let long = "x".repeat(600);
    let bomb: DictionaryArray<Int32Type> = [long.as_str(); 2].into_iter().collect();
    let bomb = columns(vec![("route", Arc::new(bomb)), delays(vec![0.0; 2])]);
    let error = decode_ipc(stream(&bomb).unwrap().into(), &text_key, EventTime(5), limits).unwrap_err();
    assert!(error.to_string().contains("expands to more than 1000 bytes"), "{error}");
    let long = "x".repeat(5_000);
    let key = columns(vec![("route", Arc::new(StringArray::from(vec![long]))), delays(vec![0.0])]);
    let error = decode_ipc(stream(&key).unwrap().into(), &text_key, EventTime(5), Limits::default()).unwrap_err();
    assert_eq!(error, Error::KeyTooLong { row: 0, len: 5_004 });
}

#[test]
fn elements_that_no_list_has_are_not_read() {
    let view = FeatureView { features: vec![Feature { name: "v".into(), value_type: ValueType::Int32List }], ..view() };
    let too_large = Int64Array::from(vec![1 << 40, 1, 1 << 40, 2, 1 << 40]);
    let lists = |valid: Vec<bool>| -> ArrayRef {
        let field = Arc::new(Field::new_list_field(DataType::Int64, true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![1, 2, 3, 4]));
        Arc::new(ListArray::new(field, offsets, Arc::new(too_large.clone()), Some(valid.into())))
    };
    let read = |valid| {
        let columns = columns(vec![keys(vec![1, 2, 3]), ("v", lists(valid))]);
        decode_ipc(stream(&columns).unwrap().into(), &view, EventTime(5), Limits::default())
    };
    let rows = read(vec![true, false, true]).unwrap();
    let values = rows.iter().map(|row| value_at(row.body.unwrap(), 0, ValueType::Int32List).to_value());
    let expected = [Value::Int32List(vec![1]), Value::Null, Value::Int32List(vec![2])];
    assert_eq!(values.collect::<Vec<_>>(), expected);
    assert!(read(vec![true; 3]).unwrap_err().to_string().contains("row 1"));
}

#[test]
fn null_lists_cost_no_memory_whatever_length_they_claim() {
    let nulls = |ends: Vec<i32>, valid: Vec<bool>| -> ArrayRef {
        let count = *ends.last().unwrap() as usize;
        let field = Arc::new(Field::new_list_field(DataType::Null, true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Arc::new(ListArray::new(field, offsets, Arc::new(NullArray::new(count)), Some(valid.into())))
    };
    // Lists for each of these would need 8 GiB for offsets alone.
    let two_thousand_million = 2_000_000_000;
    let claimed = columns(vec![keys(vec![1, 2]), ("carriers", nulls(vec![0, 0, two_thousand_million], vec![true; 2]))]);
    assert_eq!(
        words(&claimed),
        "column 'carriers', row 1: string was expected, got null: only lists of float or double can hold missing \
         elements, as NaN"
    );
    let vectors =
        FeatureView { features: vec![Feature { name: "v".into(), value_type: ValueType::DoubleList }], ..view() };
    let claimed = columns(vec![keys(vec![1]), ("v", nulls(vec![0, two_thousand_million], vec![true]))]);
    let error = decode_ipc(stream(&claimed).unwrap().into(), &vectors, EventTime(5), Limits::default()).unwrap_err();
    assert!(error.to_string().contains("expands to more than"), "{error}");
    let two = columns(vec![keys(vec![1]), ("v", nulls(vec![0, 2], vec![true]))]);
    let rows = decode_ipc(stream(&two).unwrap().into(), &vectors, EventTime(5), Limits::default()).unwrap();
    let Value::DoubleList(nan) =
        value_at(rows.iter().next().unwrap().body.unwrap(), 0, ValueType::DoubleList).to_value()
    else {
        panic!("a list was written")
    };
    assert!(nan.len() == 2 && nan.iter().all(|value| value.is_nan()), "{nan:?}");
    let unseen = nulls(vec![0, two_thousand_million, two_thousand_million], vec![false, true]);
    let rows = decode(&columns(vec![keys(vec![1, 2]), ("carriers", unseen)])).unwrap();
    let values: Vec<_> =
        rows.iter().map(|row| value_at(row.body.unwrap(), 1, ValueType::StringList).to_value()).collect();
    assert_eq!(values, [Value::Null, Value::StringList(vec![])]);
}

#[test]
fn dictionaries_are_of_plain_values() {
    let inner: DictionaryArray<Int32Type> = ["a"].into_iter().collect();
    for values in [Arc::new(inner) as ArrayRef, Arc::new(NullArray::new(1))] {
        let dictionary = DictionaryArray::<Int32Type>::try_new(vec![0].into(), values).unwrap();
        let view =
            FeatureView { features: vec![Feature { name: "carrier".into(), value_type: ValueType::String }], ..view() };
        let batch = columns(vec![keys(vec![1]), ("carrier", Arc::new(dictionary))]);
        let error = Plan::new(&batch.schema(), &view, &Columns::default()).unwrap_err();
        assert!(matches!(error, Error::ColumnType { .. }), "{error}");
    }
}

#[test]
fn a_plan_for_files_is_strict_about_features_and_lenient_about_other_columns() {
    let batch = columns(vec![keys(vec![7]), delays(vec![1.5]), ("created", Arc::new(Int64Array::from(vec![1])))]);
    let strict = Columns { extra: Extra::Ignore, missing: Missing::Reject, ..Columns::default() };
    let error = Plan::new(&batch.schema(), &view(), &strict).unwrap_err().to_string();
    assert!(error.contains("feature column 'carriers'") && error.contains("'created'"), "{error}");
    let renamed =
        Columns { renamed: [("small".to_owned(), "created".to_owned())].into(), missing: Missing::Null, ..strict };
    let plan = Plan::new(&batch.schema(), &view(), &renamed).unwrap();
    assert!(plan.ignored().is_empty());
    let checked = plan.check(&batch, EventTime(5), Limits::default()).unwrap();
    let again = checked.take(&[0, 0]).unwrap().to_batch().unwrap();
    let rows = decode(&again).unwrap();
    assert_eq!(rows.len(), 2);
    let row = rows.iter().nth(1).unwrap();
    assert_eq!(value_at(row.body.unwrap(), 2, ValueType::Int32).to_value(), Value::Int32(1));
    let nowhere = Columns { renamed: [("nothing".to_owned(), "delay".to_owned())].into(), ..renamed };
    assert!(matches!(Plan::new(&batch.schema(), &view(), &nowhere), Err(Error::UnknownMapping { .. })));
}
