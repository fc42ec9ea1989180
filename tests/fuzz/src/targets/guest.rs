//! Values that a module's `describe` and `transform` may return, after they are lifted from its memory: any values that
//! the types of the WIT package allow.
//!
//! No guest runs here. The bytes are a returned value. The sandbox's own validation accepts or rejects it, and accepted
//! values are answered at the doors.

use super::{check_words, doors::exchange_with, values::TYPES};
use crate::{
    Target,
    fixture::memory::{MemoryNode, Modules},
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    column::{Column, Status},
    module::{Field, ModuleDigest, ModuleManifest, ModuleRelease},
    module_outputs::ModuleOutputs,
    ports::{ModuleCall, ModuleError},
};
use littoral_sandbox::returned::{self, ColumnData, GuestColumn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{runtime, time};

pub(super) const TARGET: Target = Target { name: "guest", run: guest, seeds, memory: (48 << 20, 4_096) };

/// The rows of a call: few, so that matching lengths are frequent.
const ROWS_MAX: usize = 5;

/// Values of one type.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Data {
    Bools(Vec<bool>),
    Int32s(Vec<i32>),
    Int64s(Vec<i64>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Strings(Vec<String>),
    Bytes(Vec<Vec<u8>>),
    UnixTimestamps(Vec<i64>),
    BoolLists(Vec<Vec<bool>>),
    Int32Lists(Vec<Vec<i32>>),
    Int64Lists(Vec<Vec<i64>>),
    FloatLists(Vec<Vec<f32>>),
    DoubleLists(Vec<Vec<f64>>),
    StringLists(Vec<Vec<String>>),
    BytesLists(Vec<Vec<Vec<u8>>>),
    UnixTimestampLists(Vec<Vec<i64>>),
}

/// View, feature, type and aliases of join keys.
type DeclaredInput = (String, String, u8, Vec<(String, String)>);

/// A module's declaration; types are numbers.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Declared {
    inputs: Vec<DeclaredInput>,
    params: Vec<(String, u8)>,
    outputs: Vec<(String, u8)>,
    lookups: Vec<String>,
    row_wise: bool,
}

/// A value that a guest returns.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Returned {
    /// From `transform`: the number of rows of the call, the declared types, and the columns with their statuses.
    Columns(u8, Vec<u8>, Vec<(Data, Option<Vec<u8>>)>),
    /// From `transform`, if it cannot compute.
    Failed(bool, String),
    /// From `describe`.
    Manifest(Declared),
}

fn guest(input: &[u8]) {
    match postcard::from_bytes(input) {
        Ok(Returned::Columns(rows, declared, columns)) => {
            transform(usize::from(rows) % (ROWS_MAX + 1), &declared, columns);
        }
        Ok(Returned::Failed(invalid, words)) => {
            let failed = match invalid {
                true => returned::TransformError::InvalidInput(words),
                false => returned::TransformError::Failed(words),
            };
            let said = returned::report(failed, &"m".into()).to_string();
            assert!(said.len() <= 1_024 && !said.chars().any(char::is_control), "{said:?}");
        }
        Ok(Returned::Manifest(declared)) => describe(declared),
        Err(_) => {}
    }
}

/// Accepted columns have the declared number, types and lengths, and both doors answer each of their values: a value if
/// the status is present, else null. Other columns are rejected with the reason.
fn transform(rows: usize, declared: &[u8], columns: Vec<(Data, Option<Vec<u8>>)>) {
    let outputs: Vec<Field> = (declared.iter().take(64).enumerate())
        .map(|(at, number)| Field { name: format!("o{at}"), value_type: value_type(*number) })
        .collect();
    let manifest = ModuleManifest { outputs, ..ModuleManifest::default() };
    let judged = returned::columns(columns.into_iter().map(column).collect(), &manifest, rows, &"m".into());
    let columns = match judged {
        Err(error) => {
            assert!(matches!(error, ModuleError::WrongShape { .. }), "{error}");
            return check_words(&error.to_string());
        }
        Ok(columns) => columns,
    };
    assert_eq!(columns.len(), manifest.outputs.len());
    for (column, output) in columns.iter().zip(&manifest.outputs) {
        assert_eq!(column.data.value_type(), output.value_type);
        assert_eq!((column.data.len(), column.statuses.len()), (rows, rows));
    }
    if rows > 0 && !columns.is_empty() {
        answer(rows, manifest, columns);
    }
}

fn answer(rows: usize, manifest: ModuleManifest, columns: Vec<Column>) {
    let node = MemoryNode::default();
    let names: Vec<String> = manifest.outputs.iter().map(|output| format!("m:{}", output.name)).collect();
    let release =
        ModuleRelease { name: "m".into(), version: "1".into(), digest: ModuleDigest([7; 32]), size: 1, manifest };
    node.apply(CatalogueChange::PutModule(release)).expect("a module with only outputs is valid");
    let ids: Vec<usize> = (0..rows).collect();
    let body = json!({ "features": names, "entities": { "id": ids } }).to_string();
    let requests = ["/v1/read", "/get-online-features"].map(|path| {
        let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
        request.body(Full::new(Bytes::from(body.clone()))).expect("a request")
    });
    let outputs = columns.clone();
    let modules =
        Arc::new(Modules(move |_: &ModuleCall| -> Result<ModuleOutputs, ModuleError> { Ok(outputs.clone().into()) }));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answers = runtime.block_on(async {
        let answers = exchange_with(node, modules, requests.into()).await;
        time::timeout(Duration::from_secs(30), std::future::ready(answers)).await
    });
    let answers = answers.expect("in time").expect("answers");
    // Feast's protocol has no status for unknown rows.
    let unknown = columns.iter().any(|column| column.statuses.contains(&Status::Unknown));
    for ((status, body), list) in answers.iter().zip(["columns", "results"]) {
        if unknown && list == "results" {
            assert_eq!(*status, 503, "{}", String::from_utf8_lossy(body));
            continue;
        }
        assert_eq!(*status, 200, "{}", String::from_utf8_lossy(body));
        let answer: Value = serde_json::from_slice(body).expect("an answer is JSON");
        // A module without inputs needs no entity, so the columns contain none.
        let made = answer[list].as_array().expect("columns").iter();
        assert_eq!(made.len(), columns.len());
        for (made, column) in made.zip(&columns) {
            let values = made["values"].as_array().expect("values");
            assert_eq!(values.len(), rows);
            for (value, status) in values.iter().zip(column.statuses.iter()) {
                assert!(*status == Status::Present || value.is_null(), "{status:?} with {value}");
            }
        }
    }
}

/// A declaration is rejected with a text, enters the catalogue and reads back the same, or is rejected by the catalogue
/// with a reason.
fn describe(declared: Declared) {
    let field = |(name, number): (String, u8)| returned::Field { name, value_type: guest_type(number) };
    let manifest = returned::Manifest {
        inputs: (declared.inputs.into_iter())
            .map(|(view, feature, number, aliases)| returned::Input {
                view,
                feature,
                value_type: guest_type(number),
                join_keys: (aliases.into_iter())
                    .map(|(join_key, column)| returned::JoinKeyAlias { join_key, column })
                    .collect(),
            })
            .collect(),
        params: declared.params.into_iter().map(field).collect(),
        outputs: declared.outputs.into_iter().map(field).collect(),
        lookups: declared.lookups,
        row_wise: declared.row_wise,
    };
    let manifest = match returned::manifest(manifest) {
        Ok(manifest) => manifest,
        Err(error) => return check_words(&error.to_string()),
    };
    let mut catalogue: Catalogue = super::catalogue::small();
    let digest = ModuleDigest([9; 32]);
    let release =
        ModuleRelease { name: "new".into(), version: "1".into(), digest, size: 1, manifest: manifest.clone() };
    match catalogue.prepare(CatalogueChange::PutModule(release)) {
        Err(error) => check_words(&error.to_string()),
        Ok(change) => {
            catalogue.apply(&change.expect("a new module changes something"));
            let held = catalogue.module("new").expect("it was put");
            assert_eq!(held.manifest, manifest);
        }
    }
}

fn value_type(number: u8) -> littoral_model::value::ValueType {
    TYPES[usize::from(number) % TYPES.len()]
}

fn guest_type(number: u8) -> returned::ValueType {
    use returned::ValueType as Type;
    const ALL: [Type; 16] = [
        Type::Bool,
        Type::Int32,
        Type::Int64,
        Type::Float,
        Type::Double,
        Type::String,
        Type::Bytes,
        Type::UnixTimestamp,
        Type::BoolList,
        Type::Int32List,
        Type::Int64List,
        Type::FloatList,
        Type::DoubleList,
        Type::StringList,
        Type::BytesList,
        Type::UnixTimestampList,
    ];
    ALL[usize::from(number) % ALL.len()]
}

fn column((data, statuses): (Data, Option<Vec<u8>>)) -> GuestColumn {
    let data = match data {
        Data::Bools(values) => ColumnData::Bools(values),
        Data::Int32s(values) => ColumnData::Int32s(values),
        Data::Int64s(values) => ColumnData::Int64s(values),
        Data::Floats(values) => ColumnData::Floats(values),
        Data::Doubles(values) => ColumnData::Doubles(values),
        Data::Strings(values) => ColumnData::Strings(values),
        Data::Bytes(values) => ColumnData::Bytes(values),
        Data::UnixTimestamps(values) => ColumnData::UnixTimestamps(values),
        Data::BoolLists(values) => ColumnData::BoolLists(values),
        Data::Int32Lists(values) => ColumnData::Int32Lists(values),
        Data::Int64Lists(values) => ColumnData::Int64Lists(values),
        Data::FloatLists(values) => ColumnData::FloatLists(values),
        Data::DoubleLists(values) => ColumnData::DoubleLists(values),
        Data::StringLists(values) => ColumnData::StringLists(values),
        Data::BytesLists(values) => ColumnData::BytesLists(values),
        Data::UnixTimestampLists(values) => ColumnData::UnixTimestampLists(values),
    };
    let status = |number: u8| match number % 5 {
        0 => returned::Status::Present,
        1 => returned::Status::NullValue,
        2 => returned::Status::NotFound,
        3 => returned::Status::OutsideMaxAge,
        _ => returned::Status::Unknown,
    };
    GuestColumn { data, statuses: statuses.map(|statuses| statuses.into_iter().map(status).collect()) }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let wide = "words \u{202e}turned\n".repeat(200);
    let (two, none) = (vec![1.5, f64::NAN], None::<Vec<u8>>);
    let lists = Data::StringLists(vec![vec![wide.clone(), String::new()], vec![]]);
    let all = vec![
        (Data::Bools(vec![true, false]), none.clone()),
        (Data::Int32s(vec![i32::MIN, 7]), Some(vec![0, 1])),
        (Data::Int64s(vec![i64::MAX, -1]), Some(vec![2, 3])),
        (Data::Floats(vec![f32::INFINITY, -0.0]), none.clone()),
        (Data::Doubles(two.clone()), none.clone()),
        (Data::Strings(vec![wide.clone(), "\u{0}\"\\".into()]), none.clone()),
        (Data::Bytes(vec![vec![0, 255], vec![]]), none.clone()),
        (Data::UnixTimestamps(vec![i64::MIN, 1_700_000_000]), none.clone()),
        (Data::BoolLists(vec![vec![], vec![true]]), none.clone()),
        (Data::Int32Lists(vec![vec![1, 2], vec![]]), none.clone()),
        (Data::Int64Lists(vec![vec![], vec![i64::MIN]]), none.clone()),
        (Data::FloatLists(vec![vec![f32::NAN], vec![1e-45]]), none.clone()),
        (Data::DoubleLists(vec![vec![f64::NEG_INFINITY], vec![]]), none.clone()),
        (lists, Some(vec![0, 0])),
        (Data::BytesLists(vec![vec![vec![1], vec![]], vec![]]), none.clone()),
        (Data::UnixTimestampLists(vec![vec![i64::MAX], vec![0]]), none.clone()),
    ];
    let types: Vec<u8> = (0..16).collect();
    let doubles = |rows, values: &[f64], statuses: Option<Vec<u8>>| {
        Returned::Columns(rows, vec![4], vec![(Data::Doubles(values.to_vec()), statuses)])
    };
    let declared = Declared {
        inputs: vec![("all".into(), "f_double".into(), 4, vec![("id".into(), "other".into())])],
        params: vec![("add".into(), 2)],
        outputs: vec![("sum".into(), 4)],
        lookups: vec!["all".into()],
        row_wise: true,
    };
    let strange = Declared { outputs: vec![("a b\u{202e}".into(), 4), (String::new(), 5)], ..declared.clone() };
    let many = Declared { lookups: vec!["all".into(); 1_100], ..declared.clone() };
    [
        ("every-type", Returned::Columns(2, types, all)),
        ("short", doubles(2, &[1.0], None)),
        ("long", doubles(1, &[1.0; 300], None)),
        ("few-statuses", doubles(2, &two, Some(vec![0]))),
        ("many-statuses", doubles(2, &two, Some(vec![0; 500]))),
        ("absent-with-values", doubles(2, &[5.0, 6.0], Some(vec![1, 3]))),
        ("other-type", Returned::Columns(1, vec![4], vec![(Data::Int64s(vec![1]), None)])),
        ("no-column", Returned::Columns(1, vec![4], vec![])),
        ("too-many-columns", Returned::Columns(1, vec![4], vec![(Data::Doubles(vec![1.0]), None); 40])),
        ("no-rows", doubles(0, &[], Some(vec![]))),
        ("failed", Returned::Failed(false, wide.clone())),
        ("invalid-input", Returned::Failed(true, "hour is 31".into())),
        ("manifest", Returned::Manifest(declared)),
        ("strange-names", Returned::Manifest(strange)),
        ("many-lookups", Returned::Manifest(many)),
    ]
    .into_iter()
    .filter_map(|(name, returned)| Some((name.to_owned(), postcard::to_allocvec(&returned).ok()?)))
    .collect()
}
