mod values;

use super::*;
use proptest::prelude::*;
use values::value;

fn row() -> impl Strategy<Value = Vec<(ValueType, Value)>> {
    prop::collection::vec(
        prop::sample::select(ValueType::ALL.to_vec()).prop_flat_map(|t| value(t).prop_map(move |v| (t, v))),
        0..20,
    )
}

fn pack(row: &[(ValueType, Value)]) -> Vec<u8> {
    let mut body = BodyBuilder::new(row.len());
    row.iter().for_each(|(t, v)| body.push(*t, v).unwrap());
    body.finish().unwrap()
}

proptest! {
    #[test]
    fn every_value_reads_back(row in row()) {
        let body = pack(&row);
        check(&body, row.iter().map(|(t, _)| *t)).unwrap();
        for (index, (value_type, value)) in row.iter().enumerate() {
            prop_assert_eq!(&value_at(&body, index, *value_type).to_value(), value);
        }
    }

    #[test]
    fn damaged_bytes_are_rejected_or_read_without_a_panic(row in row(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
        let mut body = pack(&row);
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        body.truncate(cut.index(body.len() + 1));
        let _ = check(&body, row.iter().map(|(t, _)| *t));
        for (index, (value_type, _)) in row.iter().enumerate() {
            let _ = value_at(&body, index, *value_type).to_value();
        }
    }
}

#[test]
fn a_feature_newer_than_the_row_reads_as_null() {
    let body = pack(&[(ValueType::Int64, Value::Int64(7))]);
    assert_eq!(value_at(&body, 1, ValueType::Double).to_value(), Value::Null);
    check(&body, [ValueType::Int64, ValueType::Double].into_iter()).unwrap();
}

#[test]
fn a_value_of_another_type_is_rejected() {
    let mut body = BodyBuilder::new(1);
    assert!(matches!(body.push(ValueType::Int64, &Value::Double(1.0)), Err(InvalidBody::WrongType { .. })));
}
