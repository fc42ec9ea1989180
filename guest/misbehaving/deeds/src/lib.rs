//! A module that misbehaves in one way per call, for tests of the sandbox. The parameter `deed` of the first row
//! selects the misbehaviour. It bypasses the SDK's trait, which would reject most of these results.

use littoral_guest::{
    Column, ColumnData, Level, Manifest, Status, ValueType,
    bindings::{
        Guest,
        littoral::feature::{
            feature_reader::{LookupError, lookup},
            types::{Batch, Manifest as Described, TransformError},
        },
    },
    log,
};
use std::{
    hint::black_box,
    sync::atomic::{AtomicI64, Ordering},
};

/// Survives a call only if the instance does.
static CALLS: AtomicI64 = AtomicI64::new(0);

/// The misbehaving module.
pub struct Deeds;

impl Guest for Deeds {
    fn describe() -> Described {
        let manifest = Manifest::new()
            .param("deed", ValueType::String)
            .param("n", ValueType::Int64)
            .output("out", ValueType::Double)
            .lookup("airport_hourly");
        littoral_guest::run::described(manifest)
    }

    fn transform(batch: Batch) -> Result<Vec<Column>, TransformError> {
        littoral_guest::run::begin();
        let rows = batch.rows as usize;
        let (Some(ColumnData::Strings(deeds)), Some(ColumnData::Int64s(n))) =
            (batch.params.first().map(|column| &column.data), batch.params.get(1).map(|column| &column.data))
        else {
            return Err(TransformError::Failed("the parameters are not those declared".into()));
        };
        let each = n;
        let n = each.first().copied().unwrap_or_default();
        let text = |why: String| TransformError::Failed(why);
        match deeds.first().map_or("", String::as_str) {
            "behave" => Ok(vec![doubles(rows, n as f64)]),
            "each" => {
                let data = ColumnData::Doubles(each.iter().map(|n| *n as f64).collect());
                Ok(vec![Column { data, statuses: None }])
            }
            "count" => Ok(vec![doubles(rows, (CALLS.fetch_add(1, Ordering::Relaxed) + 1) as f64)]),
            "loop" => loop {
                black_box(());
            },
            "memory" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(black_box(vec![1u8; 1 << 20]));
                }
            }
            "memory, and continues" => Ok(vec![doubles(rows, pages_until_refused() as f64)]),
            "aliased strings" => Ok(vec![aliased(n as usize)]),
            "overlapping lists" => Ok(vec![overlapping(n as usize)]),
            "stack" => Ok(vec![doubles(rows, deeper(n) as f64)]),
            "panic" => panic!("on purpose"),
            "output" => Ok(vec![doubles(n as usize, 0.0)]),
            "no columns" => Ok(Vec::new()),
            "two columns" => Ok(vec![doubles(rows, 0.0), doubles(rows, 0.0)]),
            "long column" => Ok(vec![doubles(rows + 1, 0.0)]),
            "few statuses" => Ok(vec![Column { statuses: Some(Vec::new()), ..doubles(rows, 0.0) }]),
            "strings" => Ok(vec![Column { data: ColumnData::Strings(vec!["0".into(); rows]), ..doubles(rows, 0.0) }]),
            // SAFETY: deliberately not UTF-8; nothing in this module reads it.
            "not utf-8" => Err(text(unsafe { String::from_utf8_unchecked(vec![b'a', 0xff]) })),
            "invalid input" => Err(TransformError::InvalidInput("n is\n\u{1b}[31mwrong".into())),
            "failure" => Err(text("x".repeat(n as usize))),
            "logs" => {
                (0..n).for_each(|line| log(Level::Warn, &format!("line {line}\n\u{1b}[31m{}", "x".repeat(10_000))));
                Ok(vec![doubles(rows, 0.0)])
            }
            "lookup" => look("airport_hourly", "SFO", 1, MEAN).map(|mean| vec![doubles(rows, mean)]).map_err(text),
            "lookup status" => looked_up("airport_hourly", "SFO", 1, MEAN)
                .map(|column| vec![doubles(rows, column.status(0).map_or(-1.0, |status| f64::from(status as u8)))])
                .map_err(text),
            "unknown" => Ok(vec![Column { statuses: Some(vec![Status::Unknown; rows]), ..doubles(rows, 0.0) }]),
            "unavailable" => Err(TransformError::Unavailable("on purpose".into())),
            "lookup other view" => look("route_daily", "SFO", 1, MEAN).map(|_| Vec::new()).map_err(text),
            "lookup refused, and continues" => {
                let _ = look("route_daily", "SFO", 1, MEAN);
                Ok(vec![doubles(rows, rows as f64)])
            }
            "lookups" => loop {
                look("airport_hourly", "SFO", n as usize, MEAN).map_err(text)?;
            },
            "lookups one by one" => {
                (0..n).try_for_each(|_| look("airport_hourly", "SFO", 1, MEAN).map(drop)).map_err(text)?;
                Ok(vec![doubles(rows, n as f64)])
            }
            "lookups of nothing" => loop {
                look("airport_hourly", "", n as usize, MEAN).map_err(text)?;
            },
            "lookups of notes" => look("airport_hourly", "SFO", n as usize, "notes").map(|_| Vec::new()).map_err(text),
            deed => Err(text(format!("no such deed: '{deed}'"))),
        }
    }
}

fn doubles(rows: usize, value: f64) -> Column {
    Column { data: ColumnData::Doubles(vec![value; rows]), statuses: None }
}

/// Grows the memory until that fails, and handles the failure.
fn pages_until_refused() -> usize {
    #[cfg(target_arch = "wasm32")]
    while std::arch::wasm32::memory_grow::<0>(16) != usize::MAX {}
    n_pages()
}

fn n_pages() -> usize {
    #[cfg(target_arch = "wasm32")]
    return std::arch::wasm32::memory_size::<0>();
    #[cfg(not(target_arch = "wasm32"))]
    0
}

/// Returns a column of strings that all share one buffer.
fn aliased(count: usize) -> Column {
    let text = "x".repeat(64 << 10).leak();
    // SAFETY: deliberately unsound: memory is freed several times, but only this guest's own.
    let strings =
        (0..count).map(|_| unsafe { String::from_raw_parts(text.as_mut_ptr(), text.len(), text.len()) }).collect();
    Column { data: ColumnData::Strings(strings), statuses: Some(vec![Status::Present; count]) }
}

/// Returns a column of lists that overlap: each begins within the previous one.
fn overlapping(count: usize) -> Column {
    let values = vec![0.5_f64; 8 << 10].leak();
    let len = values.len() / 2;
    let at = |index: usize| values.as_ptr().wrapping_add(index % len).cast_mut();
    // SAFETY: deliberately unsound, as above; every list lies within `values`.
    let lists = (0..count).map(|index| unsafe { Vec::from_raw_parts(at(index), len, len) }).collect();
    Column { data: ColumnData::DoubleLists(lists), statuses: Some(vec![Status::Present; count]) }
}

fn deeper(n: i64) -> i64 {
    if n == i64::MAX { 0 } else { deeper(black_box(n + 1)) + n }
}

const MEAN: &str = "mean_delay_24h";

/// Looks up a feature of an airport `keys` times at once; of no airport if the name is empty.
fn look(view: &str, airport: &str, keys: usize, feature: &str) -> Result<f64, String> {
    match looked_up(view, airport, keys, feature)?.data {
        ColumnData::Floats(means) => Ok(means.first().copied().map_or(0.0, f64::from)),
        _ => Err("not a float".into()),
    }
}

/// Like [`look`], but returns the column unchanged.
fn looked_up(view: &str, airport: &str, keys: usize, feature: &str) -> Result<Column, String> {
    let status = if airport.is_empty() { Status::NullValue } else { Status::Present };
    let airports = Column { data: ColumnData::Strings(vec![airport.into(); keys]), statuses: Some(vec![status; keys]) };
    match lookup(view, &[airports], &[feature.into()]) {
        Ok(mut columns) => columns.pop().ok_or_else(|| "no column".into()),
        Err(
            LookupError::NotDeclared(why)
            | LookupError::Invalid(why)
            | LookupError::TooMany(why)
            | LookupError::Unavailable(why),
        ) => Err(why),
    }
}

#[cfg(target_arch = "wasm32")]
littoral_guest::bindings::export_component!(Deeds with_types_in littoral_guest::bindings);
