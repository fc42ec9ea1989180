//! The table of conversions: which kinds of values each type accepts.

use crate::value::ValueType;

/// The kind of a value before its conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Bool,
    /// An integer of any width.
    Integer,
    /// A floating-point number of any width.
    Float,
    /// A decimal number.
    Decimal,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A timestamp or a date.
    Instant,
    /// A time of day.
    TimeOfDay,
    /// A duration or an interval.
    Duration,
    /// A list.
    List,
    /// A struct, map, object or union.
    Structure,
    /// An encoding of Arrow that is not read.
    Encoding,
}

/// Whether values of a kind can be converted to a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every value is accepted; the text states the result.
    Accepted(&'static str),
    /// Values that lose nothing are accepted; the text states which.
    Lossless(&'static str),
    /// No value is accepted, for this reason.
    Rejected(&'static str),
}

impl Kind {
    /// Every kind, in the table's order.
    pub const ALL: [Kind; 13] = [
        Self::Null,
        Self::Bool,
        Self::Integer,
        Self::Float,
        Self::Decimal,
        Self::Text,
        Self::Bytes,
        Self::Instant,
        Self::TimeOfDay,
        Self::Duration,
        Self::List,
        Self::Structure,
        Self::Encoding,
    ];

    /// Returns the kind's name, its name in JSON, and its names in Arrow and Parquet.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Null => ("null", "`null`", "any null, type Null"),
            Self::Bool => ("bool", "`true`, `false`", "Boolean"),
            Self::Integer => (
                "integer",
                "a number without fraction and exponent that fits 64 bits",
                "Int8 to Int64, UInt8 to UInt64",
            ),
            Self::Float => ("float", "every other number, `NaN`, `Infinity`, `-Infinity`", "Float16, Float32, Float64"),
            Self::Decimal => ("decimal", "", "Decimal32 to Decimal256"),
            Self::Text => ("text", "a string", "Utf8, LargeUtf8, Utf8View"),
            Self::Bytes => (
                "bytes",
                "a string of base64, where the type is bytes",
                "Binary, LargeBinary, BinaryView, FixedSizeBinary",
            ),
            Self::Instant => (
                "instant",
                "",
                "Timestamp of every unit, with and without zone (without means UTC); INT96; Date32, Date64",
            ),
            Self::TimeOfDay => ("time of day", "", "Time32, Time64"),
            Self::Duration => ("duration", "", "Duration, Interval"),
            Self::List => ("list", "an array", "List, LargeList, FixedSizeList"),
            Self::Structure => ("structure", "an object", "Struct, Map, Union"),
            Self::Encoding => ("encoding", "", "ListView, LargeListView, RunEndEncoded"),
        }
    }

    /// Describes a value of this kind for a message.
    pub(super) const fn shown(self) -> &'static str {
        match self {
            Self::List => "a list",
            Self::Structure => "an object",
            Self::TimeOfDay => "a time of day",
            Self::Duration => "a duration",
            Self::Encoding => "an encoding that is not read",
            other => other.names().0,
        }
    }
}

const NAN_ONLY: Rule = Rule::Lossless("NaN only, which is null");

/// Returns the rule for converting values of `kind` to `value_type`. For a list type, the rule
/// covers the list; its elements follow the rule of their own type and [`super::element`].
#[must_use]
pub const fn rule(kind: Kind, value_type: ValueType) -> Rule {
    use Rule::{Accepted, Lossless, Rejected};
    use ValueType::{Bool, Bytes, Double, Float, Int32, Int64, String, UnixTimestamp};
    match (kind, value_type) {
        (Kind::Null, _) => Accepted("null"),
        (Kind::TimeOfDay, _) => Rejected("a time of day is not a feature type: write it as an integer or as text"),
        (Kind::Duration, _) => {
            Rejected("a duration is not a feature type: write it as a number in a unit of your choice")
        }
        (Kind::Structure, _) => Rejected("a structure is not a feature type: write its members as separate features"),
        (Kind::Encoding, _) => {
            Rejected("this encoding is not read: cast the column to List or LargeList, or to its plain values")
        }

        (Kind::Bool, Bool) | (Kind::Text, String) | (Kind::Bytes, Bytes) => Accepted("unchanged"),
        (Kind::Instant, UnixTimestamp) => Accepted("rounded down to seconds"),

        (Kind::Bool, Int32 | Int64 | Float | Double) => Accepted("0 or 1"),
        (Kind::Bool, _) => Rejected("true and false have no meaning in this type: write the value itself"),

        (Kind::Integer, Bool) => Lossless("0 and 1"),
        (Kind::Integer, Int32 | Int64) => Lossless("in the type's range"),
        (Kind::Integer, Float | Double) => Lossless("if the type holds the integer exactly"),
        (Kind::Integer, String) => Accepted("its digits"),
        (Kind::Integer, UnixTimestamp) => Lossless("seconds since 1970; the smallest int64 is NaT, which becomes null"),

        (Kind::Float, Bool) => Lossless("0 and 1; NaN is null"),
        (Kind::Float, Int32 | Int64 | UnixTimestamp) => Lossless("whole, in range and below 2^53; NaN is null"),
        (Kind::Float, Float) => Lossless("rounded to the nearest float, in its range; NaN is null"),
        (Kind::Float, Double) => Accepted("NaN is null"),
        (Kind::Float, _) => NAN_ONLY,

        (Kind::Decimal, Bool) => Lossless("0 and 1"),
        (Kind::Decimal, Int32 | Int64 | UnixTimestamp) => Lossless("whole and in range"),
        (Kind::Decimal, Float | Double) => {
            Lossless("rounded to the nearest, in range; an integer must be held exactly")
        }
        (Kind::Decimal, String) => Accepted("its digits"),

        (Kind::Text, Bool) => Rejected("text is not a bool: write true or false, or 1 or 0"),
        (Kind::Text, Int32 | Int64) => Lossless("digits of a whole number in range"),
        (Kind::Text, Float | Double) => Lossless("digits, as a decimal; `NaN` (null), `Infinity`, `-Infinity`"),
        (Kind::Text, UnixTimestamp) => Lossless("RFC 3339, rounded down to seconds; digits of seconds; `NaT` is null"),
        (Kind::Text, Bytes) => {
            Rejected("text needs an encoding to become bytes: write a column of bytes (in JSON, base64)")
        }

        (Kind::Bytes, _) => Rejected("bytes convert to no other type: write the column in the feature's type"),
        (Kind::Instant, _) => Rejected("a timestamp converts to no other type: write the column in the feature's type"),
        (Kind::Decimal, _) | (Kind::Integer, _) | (Kind::Text, _) => {
            Rejected("this kind does not convert to this type: write the column in the feature's type")
        }
        (Kind::List, list) => match list.element() {
            Some(_) => Lossless("element by element"),
            None => Rejected("a list is not a scalar: declare the feature as a list"),
        },
    }
}

/// Renders the table as Markdown, for `host/CONVERSIONS.md`.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| kind | in JSON | in Arrow and Parquet |\n|---|---|---|\n");
    for kind in Kind::ALL {
        let (name, json, arrow) = kind.names();
        out.push_str(&format!("| {name} | {} | {arrow} |\n", if json.is_empty() { "-" } else { json }));
    }
    // Types that follow the same rules share a section.
    let sections: [&[ValueType]; 7] = [
        &[ValueType::Bool],
        &[ValueType::Int32, ValueType::Int64],
        &[ValueType::Float, ValueType::Double],
        &[ValueType::UnixTimestamp],
        &[ValueType::String],
        &[ValueType::Bytes],
        &[ValueType::Int64List],
    ];
    for types in sections {
        let names: Vec<&str> = types.iter().map(|value_type| value_type.name()).collect();
        let title = if types[0].element().is_some() { "lists".to_owned() } else { names.join(", ") };
        out.push_str(&format!("\n### Into {title}\n\n| from | is | how |\n|---|---|---|\n"));
        for kind in Kind::ALL {
            let rules: Vec<(&str, &str)> = types.iter().map(|value_type| rule(kind, *value_type).words()).collect();
            for (at, (is, how)) in rules.iter().enumerate() {
                if at > 0 && rules[0] == rules[at] {
                    continue;
                }
                let only = if rules.iter().all(|rule| *rule == rules[0]) {
                    String::new()
                } else {
                    format!(" ({})", names[at])
                };
                out.push_str(&format!("| {}{only} | {is} | {how} |\n", kind.names().0));
            }
        }
    }
    out
}

impl Rule {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Accepted(how) => ("accepted", how),
            Self::Lossless(how) => ("accepted if lossless", how),
            Self::Rejected(why) => ("rejected", why),
        }
    }
}
