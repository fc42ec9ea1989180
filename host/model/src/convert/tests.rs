use super::*;
use crate::instant::Instant;

fn texts() -> Vec<Source<'static>> {
    ["5", "5.0", "5.5", "1e400", "NaN", "Infinity", "2024-01-01T00:00:00Z", "NaT", "", "x", "true"]
        .map(Source::Text)
        .to_vec()
}

/// Sample values of a kind, including the extremes.
fn samples(kind: Kind) -> Vec<Source<'static>> {
    match kind {
        Kind::Null => vec![Source::Null],
        Kind::Bool => vec![Source::Bool(false), Source::Bool(true)],
        Kind::Integer => {
            let wide = [i64::MIN, i64::MAX, -1, 0, 1, 2, 1 << 24, (1 << 24) + 1, 1 << 40, (1 << 53) + 1];
            wide.map(Source::Int).into_iter().chain([Source::Unsigned(u64::MAX)]).collect()
        }
        Kind::Float => [0.0, -0.0, 1.0, 0.5, 1e39, 1e300, 9_007_199_254_740_992.0, f64::NAN, f64::INFINITY, 5e-324]
            .map(Source::Float)
            .to_vec(),
        Kind::Decimal => ["0", "1.00", "1.50", "123456789012345678901234567890", "9007199254740993.00"]
            .map(|digits| Source::Decimal(digits.to_owned()))
            .to_vec(),
        Kind::Text => texts(),
        Kind::Bytes => vec![Source::Bytes(b""), Source::Bytes(&[0xff])],
        Kind::Instant => {
            [i64::MIN + 1, 0, i64::MAX].map(|s| Source::Instant(Instant { seconds: s, nanos: 1 })).to_vec()
        }
        Kind::TimeOfDay | Kind::Duration | Kind::List | Kind::Structure | Kind::Encoding => vec![Source::Other(kind)],
    }
}

#[test]
fn conversions_follow_the_table() {
    let scalars = ValueType::ALL.into_iter().filter(|value_type| value_type.element().is_none());
    for value_type in scalars {
        for kind in Kind::ALL {
            let outcomes: Vec<_> = samples(kind).iter().map(|source| value(value_type, source)).collect();
            let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let holds = match rule(kind, value_type) {
                Rule::Accepted(_) => accepted == outcomes.len(),
                Rule::Lossless(_) => accepted > 0 && accepted < outcomes.len(),
                Rule::Rejected(_) => accepted == 0,
            };
            assert!(holds, "{kind:?} into {value_type}: {:?}, but {outcomes:?}", rule(kind, value_type));
        }
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test may read the page that it compares")]
fn the_page_shows_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../CONVERSIONS.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) =
        ("<!-- table: written by `cargo test -p littoral-model` with LITTORAL_BLESS=1 -->\n", "<!-- end -->\n");
    let (before, rest) = page.split_once(begin).unwrap();
    let (held, after) = rest.split_once(end).unwrap();
    if std::env::var_os("LITTORAL_BLESS").is_some() {
        std::fs::write(path, format!("{before}{begin}{}{end}{after}", table())).unwrap();
        return;
    }
    assert_eq!(held, table(), "host/CONVERSIONS.md is outdated: run this test with LITTORAL_BLESS=1");
}

fn ok(value_type: ValueType, source: Source<'_>) -> Value {
    value(value_type, &source).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn why(value_type: ValueType, source: Source<'_>) -> Why {
    value(value_type, &source).map_or_else(|refusal| refusal.why, |value| panic!("{source:?} became {value:?}"))
}

#[test]
fn missing_values_become_null_in_every_notation() {
    for value_type in ValueType::ALL {
        assert_eq!(ok(value_type, Source::Null), Value::Null);
        assert_eq!(ok(value_type, Source::Float(f64::NAN)), Value::Null, "{value_type}");
    }
    assert_eq!(ok(ValueType::Double, Source::Text("NaN")), Value::Null);
    assert_eq!(ok(ValueType::UnixTimestamp, Source::Text("NaT")), Value::Null);
    assert_eq!(ok(ValueType::UnixTimestamp, Source::Int(i64::MIN)), Value::Null);
    assert_eq!(ok(ValueType::String, Source::Text("NaN")), Value::String("NaN".into()), "text stays text");
    assert_eq!(event_time(&Source::Text("NaT")), Ok(None));
}

#[test]
fn an_integer_never_becomes_another_integer() {
    for (source, expected) in [
        (Source::Int(i64::MAX), i64::MAX),
        (Source::Float(5.0), 5),
        (Source::Float(-0.0), 0),
        (Source::Float(9_007_199_254_740_991.0), (1 << 53) - 1),
        (Source::Text(" -7 "), -7),
        (Source::Text("5.00"), 5),
        (Source::Text("5e3"), 5_000),
        (Source::Text("9007199254740993.000"), (1 << 53) + 1),
        (Source::Decimal("9223372036854775807.0".into()), i64::MAX),
        (Source::Bool(true), 1),
    ] {
        assert_eq!(ok(ValueType::Int64, source), Value::Int64(expected));
    }
    assert_eq!(why(ValueType::Int64, Source::Float(5.5)), Why::NotWhole);
    assert_eq!(why(ValueType::Int64, Source::Float(f64::INFINITY)), Why::NotWhole);
    // 2^53 + 1 arrives as exactly this double.
    assert_eq!(why(ValueType::Int64, Source::Float(9_007_199_254_740_992.0)), Why::NotExact);
    assert_eq!(why(ValueType::Int64, Source::Unsigned(u64::MAX)), Why::Range);
    assert_eq!(why(ValueType::Int32, Source::Int(1 << 31)), Why::Range);
    assert_eq!(why(ValueType::Int64, Source::Text("five")), Why::NotNumber);
    assert_eq!(why(ValueType::Bool, Source::Int(2)), Why::Range);
}

#[test]
fn text_that_is_no_number_is_explained() {
    for value_type in
        [ValueType::Int32, ValueType::Int64, ValueType::Float, ValueType::Double, ValueType::UnixTimestamp]
    {
        for empty in ["", " "] {
            let refusal = value(value_type, &Source::Text(empty)).unwrap_err();
            assert_eq!(refusal.why, Why::Empty, "{value_type}");
            assert!(refusal.to_string().ends_with("which is empty: write a missing value as null"), "{refusal}");
        }
    }
    assert_eq!(why(ValueType::Double, Source::Text("1e400")), Why::NotDouble);
    assert!(value(ValueType::Int64, &Source::Text("five")).unwrap_err().to_string().ends_with("which is not a number"));
    assert!(event_time(&Source::Text("")).unwrap_err().ends_with("got '', which is empty"));
}

#[test]
fn floats_round_and_never_overflow_and_integers_stay_exact_in_them() {
    assert_eq!(ok(ValueType::Float, Source::Float(0.1)), Value::Float(0.1));
    assert_eq!(ok(ValueType::Float, Source::Float(1e-46)), Value::Float(0.0), "rounded like every number");
    assert_eq!(ok(ValueType::Float, Source::Float(f64::NEG_INFINITY)), Value::Float(f32::NEG_INFINITY));
    assert_eq!(ok(ValueType::Double, Source::Text("-Infinity")), Value::Double(f64::NEG_INFINITY));
    assert_eq!(ok(ValueType::Double, Source::Text("5e-324")), Value::Double(5e-324));
    assert_eq!(ok(ValueType::Double, Source::Decimal("1.10".into())), Value::Double(1.1));
    assert_eq!(ok(ValueType::Double, Source::Int(1 << 53)), Value::Double(9_007_199_254_740_992.0));
    // JavaScript writes 2^60 like this.
    assert_eq!(
        ok(ValueType::Double, Source::Int(1_152_921_504_606_847_000)),
        Value::Double(1_152_921_504_606_846_976.0)
    );
    assert_eq!(why(ValueType::Double, Source::Int((1 << 53) + 1)), Why::NotExact);
    assert_eq!(why(ValueType::Double, Source::Text("9007199254740993")), Why::NotExact);
    // Integers beyond 64 and beyond 128 bits.
    for exact in ["18446744073709551616", "-9223372036854775808", "1000000000000000000000000000000"] {
        assert_eq!(ok(ValueType::Double, Source::Text(exact)), Value::Double(exact.parse().unwrap()), "{exact}");
    }
    for lost in ["18446744073709551617", "-9223372036854775809", "123456789012345678901234567890"] {
        assert_eq!(why(ValueType::Double, Source::Text(lost)), Why::NotExact, "{lost}");
        assert_eq!(why(ValueType::Double, Source::Decimal(lost.into())), Why::NotExact, "{lost}");
    }
    let (round, lost) = (format!("1{}", "0".repeat(60)), format!("1{}1", "0".repeat(59)));
    assert_eq!(ok(ValueType::Double, Source::Text(&round)), Value::Double(1e60));
    assert_eq!(why(ValueType::Double, Source::Text(&lost)), Why::NotDouble);
    assert_eq!(why(ValueType::Double, Source::Text("1e400")), Why::NotDouble);
    assert_eq!(why(ValueType::Double, Source::Text("-1e400")), Why::NotDouble);
    assert_eq!(why(ValueType::Float, Source::Text("1e39")), Why::Range);
    assert_eq!(why(ValueType::Float, Source::Float(-1e39)), Why::Range);
    assert_eq!(why(ValueType::Float, Source::Int((1 << 24) + 1)), Why::NotExact);
}

#[test]
fn only_timestamps_are_rounded_down_to_whole_seconds() {
    let moment = Instant { seconds: -1, nanos: 500_000_000 };
    assert_eq!(ok(ValueType::UnixTimestamp, Source::Instant(moment)), Value::UnixTimestamp(-1));
    assert_eq!(
        ok(ValueType::UnixTimestamp, Source::Text("9999-12-31T00:00:00Z")),
        Value::UnixTimestamp(253_402_214_400)
    );
    assert_eq!(ok(ValueType::UnixTimestamp, Source::Text("1700000000")), Value::UnixTimestamp(1_700_000_000));
    assert_eq!(why(ValueType::UnixTimestamp, Source::Float(1.5)), Why::NotWhole);
    let refusal = unix_timestamp(&Source::Text("2024-01-01T10:00[Asia/Tokyo]")).unwrap_err().to_string();
    assert!(refusal.contains("got '2024-01-01T10:00[Asia/Tokyo]', which names a time zone in brackets"), "{refusal}");
    assert_eq!(event_time(&Source::Instant(moment)), Ok(Some(EventTime(-500_000_000))));
    assert_eq!(event_time(&Source::Unsigned(7)), Ok(Some(EventTime(7_000_000_000))));
    assert!(event_time(&Source::Unsigned(u64::MAX)).is_err());
    let far = event_time(&Source::Text("9999-12-31T00:00:00Z")).unwrap_err();
    assert!(far.contains("outside the years 1678 to 2261"), "{far}");
    for bad in [Source::Bool(true), Source::Decimal("1".into()), Source::Other(Kind::Duration), Source::Float(1e30)] {
        assert!(event_time(&bad).is_err(), "{bad:?}");
    }
}
