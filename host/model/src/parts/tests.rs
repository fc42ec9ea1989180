use super::*;
use crate::{
    catalogue::CatalogueChange,
    hlc::Hlc,
    merge::MergePolicy,
    position::Lsn,
    value::{Value, ValueType},
    version::Version,
    view::{Feature, InvalidView, JoinKey},
};
use proptest::prelude::*;

const HOUR_MS: u64 = 3_600_000;

fn region(name: &str) -> Region {
    name.parse().unwrap()
}

fn view(merge: MergePolicy, features: &[ValueType]) -> FeatureView {
    let features =
        features.iter().enumerate().map(|(at, value_type)| Feature { name: format!("f{at}"), value_type: *value_type });
    FeatureView {
        id: ViewId(1),
        name: "parts".into(),
        join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
        features: features.collect(),
        ttl_ms: Some(HOUR_MS),
        merge,
    }
}

fn body(view: &FeatureView, values: &[Value]) -> Vec<u8> {
    let mut body = BodyBuilder::new(values.len());
    view.features.iter().zip(values).for_each(|(feature, value)| body.push(feature.value_type, value).unwrap());
    body.finish().unwrap()
}

/// The part that region `of` wrote at this hour.
fn part(view: &FeatureView, of: &str, hour: u64, values: &[Value]) -> Row {
    let mut key = 7i64.to_le_bytes().to_vec();
    push_region(&mut key, region(of));
    let version = Version { hlc: Hlc::new(hour, 0), region: region(of) };
    let event_time = EventTime::from_ms((hour * HOUR_MS) as i64);
    Row::new(RowMeta { view: view.id, event_time, version, lsn: Lsn(hour) }, &key, Some(&body(view, values)))
}

/// The values that a reader receives at this hour.
fn values(view: &FeatureView, parts: &[Row], hour: u64) -> Option<Vec<Value>> {
    let parts: Vec<&Row> = parts.iter().collect();
    let row = row_of(view, &7i64.to_le_bytes(), &parts, EventTime::from_ms((hour * HOUR_MS) as i64))?;
    assert_eq!(row.key(), 7i64.to_le_bytes());
    let values = view.features.iter().enumerate();
    Some(values.map(|(at, feature)| row.value(at, feature.value_type).to_value()).collect())
}

#[test]
fn splitting_a_key_undoes_joining_it() {
    for entity in [&b""[..], b"a", &[0; 300]] {
        for of in ["a", "eu-central-1", "sixteen-letters-"] {
            let mut key = entity.to_vec();
            push_region(&mut key, region(of));
            assert_eq!(split(&key), Some((entity, region(of))));
        }
    }
    for none in [&b""[..], &[0], &[9], b"ab\x03", b"A\x01", &[255; 9]] {
        assert_eq!(split(none), None, "{none:?}");
    }
}

#[test]
fn each_policy_combines_the_parts() {
    let numbers = [ValueType::Int64, ValueType::Double];
    for (policy, whole, decimal) in
        [(MergePolicy::Max, 5, 0.25), (MergePolicy::Min, -2, -1.5), (MergePolicy::Sum, 3, -1.25)]
    {
        let view = view(policy, &numbers);
        let parts = [
            part(&view, "east", 1, &[Value::Int64(5), Value::Double(0.25)]),
            part(&view, "west", 1, &[Value::Int64(-2), Value::Double(-1.5)]),
            part(&view, "north", 1, &[Value::Null, Value::Null]),
        ];
        assert_eq!(values(&view, &parts, 1), Some(vec![Value::Int64(whole), Value::Double(decimal)]), "{policy:?}");
        assert_eq!(values(&view, &parts[2..], 1), Some(vec![Value::Null, Value::Null]));
        assert_eq!(values(&view, &[], 1), None);
    }
    let view = view(MergePolicy::Union, &[ValueType::StringList]);
    let list = |texts: &[&str]| Value::StringList(texts.iter().map(|text| (*text).to_owned()).collect());
    let parts = [part(&view, "east", 1, &[list(&["b", "a", "b"])]), part(&view, "west", 1, &[list(&["c", "a"])])];
    assert_eq!(values(&view, &parts, 1), Some(vec![list(&["a", "b", "c"])]));
}

#[test]
fn sums_saturate_and_nan_is_neither_the_largest_nor_the_smallest() {
    let view_of = |merge, value_type| view(merge, &[value_type]);
    let sum = view_of(MergePolicy::Sum, ValueType::Int64);
    let all = [i64::MAX, 1, -1].map(Value::Int64);
    let parts: Vec<Row> = ["a", "b", "c"].iter().zip(all).map(|(of, value)| part(&sum, of, 1, &[value])).collect();
    assert_eq!(values(&sum, &parts, 1), Some(vec![Value::Int64(i64::MAX)]), "an intermediate overflow does not matter");
    assert_eq!(values(&sum, &parts[..2], 1), Some(vec![Value::Int64(i64::MAX)]));
    let max = view_of(MergePolicy::Max, ValueType::Double);
    let parts = [part(&max, "a", 1, &[Value::Double(f64::NAN)]), part(&max, "b", 1, &[Value::Double(-1.0)])];
    assert_eq!(values(&max, &parts, 1), Some(vec![Value::Double(-1.0)]));
}

#[test]
fn the_last_part_of_a_removed_region_counts_until_it_expires() {
    let view = view(MergePolicy::Sum, &[ValueType::Int64]);
    let parts = [part(&view, "east", 1, &[Value::Int64(1)]), part(&view, "west", 5, &[Value::Int64(10)])];
    assert_eq!(values(&view, &parts, 2), Some(vec![Value::Int64(11)]));
    assert_eq!(values(&view, &parts, 5), Some(vec![Value::Int64(10)]));
    assert_eq!(values(&view, &parts, 9), Some(vec![Value::Int64(11)]), "all parts have expired, so the whole row has");
}

#[test]
fn a_write_sets_one_part_and_a_deletion_removes_all() {
    let mut catalogue = Catalogue::default();
    for (id, merge) in [(1, MergePolicy::Sum), (2, MergePolicy::LatestEvent)] {
        let named = FeatureView { id: ViewId(id), name: format!("v{id}"), ..view(merge, &[ValueType::Int64]) };
        catalogue.apply(&CatalogueChange::PutView(named));
    }
    let regions = || vec![region("east"), region("west")];
    let write = |view, body| RowWrite { view: ViewId(view), event_time: EventTime(1), key: b"k", body };
    let mut rows = RowBatch::default();
    rows.push(write(2, Some(b"x")));
    assert_eq!(rows_to_log(&catalogue, &rows, regions), None);
    rows.push(write(1, Some(b"y")));
    rows.push(write(1, None));
    rows.push(write(2, None));
    let written = rows_to_log(&catalogue, &rows, regions).unwrap();
    let written: Vec<(u32, &[u8], bool)> =
        written.iter().map(|row| (row.view.0, row.key, row.body.is_some())).collect();
    let (east, west) = (&b"keast\x04"[..], &b"kwest\x04"[..]);
    assert_eq!(written, [(2, &b"k"[..], true), (1, east, true), (1, east, false), (1, west, false), (2, b"k", false)]);
}

#[test]
fn a_policy_accepts_only_types_that_it_can_combine() {
    let rejected =
        |merge, value_type| matches!(view(merge, &[value_type]).normalize(), Err(InvalidView::Policy { .. }));
    assert!(rejected(MergePolicy::Sum, ValueType::String));
    assert!(rejected(MergePolicy::Max, ValueType::Int64List));
    assert!(rejected(MergePolicy::Union, ValueType::Int64));
    assert!(!rejected(MergePolicy::Min, ValueType::UnixTimestamp));
    let sum = view(MergePolicy::Sum, &[ValueType::Int64]);
    assert!(sum.evolve(&FeatureView { merge: MergePolicy::Max, ..sum.clone() }).is_ok());
    assert!(sum.evolve(&FeatureView { merge: MergePolicy::LatestEvent, ..sum.clone() }).is_err());
}

fn value(value_type: ValueType) -> BoxedStrategy<Value> {
    let some = match value_type {
        ValueType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        ValueType::Float => any::<f32>().prop_map(Value::Float).boxed(),
        ValueType::Double => any::<f64>().prop_map(Value::Double).boxed(),
        ValueType::Int64List => prop::collection::vec(-3i64..3, 0..5).prop_map(Value::Int64List).boxed(),
        _ => any::<i64>().prop_map(Value::Int64).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 4 => some].boxed()
}

proptest! {
    /// Parts merge like rows ([`crate::merge`]), and the combined row depends only on the parts.
    #[test]
    fn parts_combine_to_the_same_row_in_any_order(
        scalars in prop::collection::vec((value(ValueType::Int32), value(ValueType::Float), value(ValueType::Double)), 1..6),
        lists in prop::collection::vec(value(ValueType::Int64List), 1..6),
        seed in any::<u64>(),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        for policy in MergePolicy::ALL.into_iter().filter(|policy| policy.combines()) {
            let (view, rows): (FeatureView, Vec<Vec<Value>>) = if policy == MergePolicy::Union {
                (view(policy, &[ValueType::Int64List]), lists.iter().map(|list| vec![list.clone()]).collect())
            } else {
                let of = |(a, b, c): &(Value, Value, Value)| vec![a.clone(), b.clone(), c.clone()];
                (view(policy, &[ValueType::Int32, ValueType::Float, ValueType::Double]), scalars.iter().map(of).collect())
            };
            let parts: Vec<Row> = names.iter().zip(&rows).map(|(of, values)| part(&view, of, 1, values)).collect();
            let row_of = |parts: &[Row]| {
                row_of(&view, b"key", &parts.iter().collect::<Vec<_>>(), EventTime::from_ms(HOUR_MS as i64)).unwrap()
            };
            let straight = row_of(&parts);
            let mut shuffled = parts.clone();
            for at in (1..shuffled.len()).rev() {
                shuffled.swap(at, (seed.rotate_left(at as u32) % (at as u64 + 1)) as usize);
            }
            let shuffled = row_of(&shuffled);
            prop_assert_eq!((straight.body(), straight.rank()), (shuffled.body(), shuffled.rank()));
        }
    }
}

#[test]
fn a_row_with_an_unknown_part_is_unknown() {
    let view = view(MergePolicy::Sum, &[ValueType::Int64]);
    let mut catalogue = Catalogue::default();
    catalogue.apply(&CatalogueChange::PutView(view.clone()));
    let mut keys = KeyBatch::default();
    (0..3i64).for_each(|key| keys.push(&key.to_le_bytes()));
    let read = |view| ViewRead { view, keys: keys.clone() };
    // The first view does not combine, so its indexes stay.
    let request = ReadRequest { reads: vec![read(ViewId(9)), read(view.id)], ..ReadRequest::default() };
    let known = part(&view, "eu", 1, &[Value::Int64(5)]);
    let of_parts = vec![Some(known.clone()), Some(known.clone()), Some(known), None, None, None];
    let mut answer = ReadAnswer { rows: vec![vec![None; 3], of_parts], ..ReadAnswer::default() };
    answer.unknown = vec![(0, 2), (1, 3), (1, 4), (1, 5)];
    combine(&catalogue, 2, &request, EventTime::from_ms(HOUR_MS as i64), &mut answer);
    assert_eq!(answer.unknown, [(0, 2), (1, 1), (1, 2)]);
    assert_eq!(answer.rows[1].iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
}
