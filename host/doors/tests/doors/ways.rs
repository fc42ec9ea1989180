//! Every kind of value with its extremes, through every way in, into every type: one outcome each.
//!
//! The ways are rows as JSON under `/v1`, Feast's `/push` and `/write-to-online-store`, an Arrow stream, a Parquet
//! file, and, for what can be a join key, an entity of a read.

use crate::{
    node::MemoryNode,
    sources_of::{Case, cases, random},
    stand::Door,
};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use littoral_client::{Client, Config};
use littoral_columnar::ARROW_STREAM;
use littoral_ingest::{Options, Silent, ingest};
use littoral_model::value::ValueType;
use parquet::arrow::ArrowWriter;
use proptest::{strategy::Strategy as _, test_runner::TestRunner};
use serde_json::{Value, json};
use std::{fs::File, path::PathBuf, sync::Arc};

/// The outcome of a write of a value.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// It was accepted, and is read as this.
    Taken(Value),
    /// It was rejected as the caller's mistake.
    Rejected,
}

struct Ways {
    door: Door,
    client: Client,
    dir: tempfile::TempDir,
    rows: i64,
}

impl Ways {
    async fn open() -> Self {
        let door = Door::open(MemoryNode::default()).await;
        for value_type in ValueType::ALL {
            let view = json!({"entities": [{"name": "id", "value_type": "int64"}],
                "features": [{"name": "v", "value_type": value_type.name()}]});
            assert_eq!(door.put(&format!("/v1/views/{value_type}"), &view).await.status, 200);
            let source = json!({"views": [value_type.name()]});
            assert_eq!(door.put(&format!("/v1/push-sources/{value_type}"), &source).await.status, 200);
            if value_type.is_key() {
                let view = json!({"entities": [{"name": "k", "value_type": value_type.name()}],
                    "features": [{"name": "v", "value_type": "int64"}]});
                assert_eq!(door.put(&format!("/v1/views/by_{value_type}"), &view).await.status, 200);
            }
        }
        let client = Client::new(&format!("http://{}", door.address), Config::default()).unwrap();
        Self { door, client, dir: tempfile::tempdir().unwrap(), rows: 0 }
    }

    /// Returns the outcome of a write with this answer, by what row `id` then holds.
    async fn outcome(&self, value_type: ValueType, id: i64, way: &str, status: u16) -> Outcome {
        assert!(matches!(status, 200 | 400 | 422), "{way}: {status}");
        let read = json!({"features": [format!("{value_type}:v")], "entities": {"id": [id]}});
        let answer = self.door.post("/v1/read", &read).await.json();
        let (value, found) = (&answer["columns"][1]["values"][0], &answer["columns"][1]["statuses"][0]);
        if status != 200 {
            assert_eq!(*found, "NOT_FOUND", "{way} refused a row and wrote it");
            return Outcome::Rejected;
        }
        let expected = if value.is_null() { "NULL_VALUE" } else { "PRESENT" };
        assert_eq!(*found, expected, "{way}: {answer}");
        Outcome::Taken(value.clone())
    }

    async fn arrow(&self, path: &str, batch: &RecordBatch) -> u16 {
        let body = littoral_columnar::stream(batch).unwrap();
        self.door.send("POST", path, &[("content-type", ARROW_STREAM)], body).await.status
    }

    fn file(&self, batch: &RecordBatch) -> PathBuf {
        let path = self.dir.path().join("case.parquet");
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        path
    }

    async fn parquet(&self, value_type: ValueType, batch: &RecordBatch) -> u16 {
        let options = Options { restart: true, ..Options::new(value_type.name()) };
        match ingest(&self.file(batch), &self.client, &options, &mut Silent).await {
            Ok(_) => 200,
            Err(littoral_ingest::Error::Rows { .. }) => 422,
            Err(other) => panic!("{other}"),
        }
    }

    /// The value's outcome by each way, named.
    async fn all(&mut self, value_type: ValueType, case: &Case) -> Vec<(String, Outcome)> {
        let mut outcomes = Vec::new();
        // A load is slower than everything else here, so only one column of each value and type is loaded, in turns.
        let loaded = usize::try_from(self.rows).unwrap() % case.arrays.len();
        for (at, array) in case.arrays.iter().enumerate() {
            for parquet in [false, true].into_iter().filter(|parquet| !parquet || at == loaded) {
                self.rows += 1;
                let batch = row(self.rows, array);
                let (way, status) = match parquet {
                    false => ("Arrow", self.arrow(&format!("/v1/views/{value_type}/rows"), &batch).await),
                    true => ("Parquet", self.parquet(value_type, &batch).await),
                };
                let way = format!("{way} {}", array.data_type());
                outcomes.push((way.clone(), self.outcome(value_type, self.rows, &way, status).await));
            }
        }
        let Some(text) = case.json(value_type) else { return outcomes };
        let doors = ["/push", "/write-to-online-store", "/v1/rows"];
        for path in doors.into_iter().map(str::to_owned).chain([format!("/v1/views/{value_type}/rows")]) {
            self.rows += 1;
            let id = self.rows;
            let row = format!(r#"{{"key":{{"id":{id}}},"values":{{"v":{text}}},"event_timestamp":1}}"#);
            let df = format!(r#"{{"id":[{id}],"v":[{text}],"event_timestamp":[1]}}"#);
            let body = match path.as_str() {
                "/push" => format!(r#"{{"push_source_name":"{value_type}","df":{df}}}"#),
                "/write-to-online-store" => format!(r#"{{"feature_view_name":"{value_type}","df":{df}}}"#),
                "/v1/rows" => format!(r#"{{"writes":[{{"view":"{value_type}","rows":[{row}]}}]}}"#),
                _ => format!(r#"{{"rows":[{row}]}}"#),
            };
            let status = self.door.send("POST", &path, &[], body).await.status;
            outcomes.push((path.clone(), self.outcome(value_type, id, &path, status).await));
        }
        outcomes
    }

    async fn check(&mut self, case: &Case) -> Result<(), String> {
        for value_type in ValueType::ALL {
            let outcomes = self.all(value_type, case).await;
            if outcomes.iter().any(|(_, outcome)| *outcome != outcomes[0].1) {
                return Err(format!("{} into {value_type}: {outcomes:#?}", case.name));
            }
        }
        Ok(())
    }

    /// A value as a join key: a row that Arrow wrote under it is found under its JSON, and a key that Arrow rejects is
    /// rejected.
    async fn check_key(&mut self, value_type: ValueType, case: &Case) {
        let Some(text) = case.json(value_type) else { return };
        for array in &case.arrays {
            self.rows += 1;
            let number: ArrayRef = Arc::new(Int64Array::from(vec![self.rows]));
            let batch = batch(vec![("k", Arc::clone(array)), ("v", number)]);
            let written = self.arrow(&format!("/v1/views/by_{value_type}/rows"), &batch).await;
            let read = format!(r#"{{"features":["by_{value_type}:v"],"entities":{{"k":[{text}]}}}}"#);
            for path in ["/v1/read", "/get-online-features"] {
                let answer = self.door.send("POST", path, &[], read.clone()).await;
                let what = format!("{} as {} for {value_type} at {path}", case.name, array.data_type());
                match (written, answer.status) {
                    (422, 422) => {}
                    (200, 200) => {
                        let json = answer.json();
                        let columns = if path == "/v1/read" { &json["columns"] } else { &json["results"] };
                        assert_eq!(columns[1]["values"], json!([self.rows]), "{what}");
                    }
                    other => panic!("{what}: {other:?}, {}", String::from_utf8_lossy(&answer.body)),
                }
            }
        }
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn row(id: i64, value: &ArrayRef) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    let times: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    batch(vec![("id", ids), ("v", Arc::clone(value)), ("event_timestamp", times)])
}

#[tokio::test]
async fn every_value_has_one_outcome_whichever_way_it_comes() {
    let mut ways = Ways::open().await;
    let mut wrong = Vec::new();
    for case in cases() {
        wrong.extend(ways.check(&case).await.err());
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn random_values_have_one_outcome_whichever_way_they_come() {
    let mut ways = Ways::open().await;
    let mut runner = TestRunner::default();
    for _ in 0..24 {
        let case = random().new_tree(&mut runner).unwrap();
        let case = proptest::strategy::ValueTree::current(&case);
        ways.check(&case).await.unwrap_or_else(|difference| panic!("{difference}"));
    }
}

#[tokio::test]
async fn a_join_key_means_the_same_row_whichever_way_it_comes() {
    let mut ways = Ways::open().await;
    for case in cases() {
        for value_type in ValueType::ALL.into_iter().filter(|value_type| value_type.is_key()) {
            ways.check_key(value_type, &case).await;
        }
    }
}
