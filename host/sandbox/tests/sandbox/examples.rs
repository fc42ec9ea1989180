//! The example modules, as WebAssembly.

use crate::{
    rows::{Answers, Rows},
    support::{Module, config, present},
};
use littoral_model::{
    column::{Column, ColumnData, Status},
    ports::ModuleError,
    value::ValueType,
};
use littoral_sandbox::{Config, Instances};
use std::sync::Arc;

fn rows() -> Arc<Rows> {
    Rows::new(Answers::Now)
}

/// Calls `transformed_conv_rate` like the recorded exchanges.
pub async fn conv_rate(module: &Module) {
    let inputs = vec![present(ColumnData::Float(vec![0.28125]))];
    let params = vec![present(ColumnData::Int64(vec![1])), present(ColumnData::Int64(vec![2]))];
    let columns = module.call(1, inputs, params, Rows::new(Answers::Now)).await.unwrap();
    let expected = [1.28125, 2.28125].map(|value| present(ColumnData::Double(vec![value])));
    assert_eq!(columns, expected);
}

/// Calls with a batch of one origin and these destinations; the last input is absent.
pub async fn delay_risk(
    module: &Module,
    hour: i64,
    destinations: &[&str],
    absent: Status,
    replica: Arc<Rows>,
) -> Result<Vec<Column>, ModuleError> {
    let rows = destinations.len();
    let ints = |value: i64| present(ColumnData::Int64(vec![value; rows]));
    let floats = |value: f32| present(ColumnData::Float(vec![value; rows]));
    let inputs = vec![
        ints(10),
        floats(15.0),
        ints(200),
        ints(50),
        floats(12.0),
        ints(14),
        ints(3),
        floats(9.0),
        Column { statuses: vec![absent; rows].into(), ..ints(0) },
    ];
    let destinations = destinations.iter().map(|name| (*name).to_owned()).collect();
    let params = vec![ints(hour), present(ColumnData::String(destinations))];
    module.call(rows, inputs, params, replica).await
}

#[tokio::test]
async fn conv_rates_are_those_of_the_recorded_exchanges() {
    let module = Module::start("modules/transformed_conv_rate", config()).await;
    conv_rate(&module).await;
    let module = Module::start("modules/transformed_conv_rate_python", config()).await;
    let missing =
        Column { data: ColumnData::Float(vec![0.5, 0.0]), statuses: vec![Status::Present, Status::NotFound].into() };
    let params = vec![present(ColumnData::Int64(vec![10, 20])), present(ColumnData::Int64(vec![0, 0]))];
    let columns = module.call(2, vec![missing], params, Rows::new(Answers::Now)).await.unwrap();
    let statuses = vec![Status::Present, Status::NullValue].into();
    assert_eq!(columns, [Column { data: ColumnData::Double(vec![10.5, 0.0]), statuses }]);
}

#[tokio::test]
async fn delay_risk_declares_what_it_reads_under_the_requests_names() {
    let module = Module::start("modules/delay_risk", config()).await;
    let manifest = &module.manifest;
    assert_eq!(manifest.inputs.len(), 9);
    assert_eq!(manifest.inputs[0].join_key_map, [("airport".to_owned(), "origin".to_owned())]);
    assert_eq!(manifest.inputs[5].join_key_map, []);
    let outputs: Vec<_> = manifest.outputs.iter().map(|output| (output.name.as_str(), output.value_type)).collect();
    assert_eq!(outputs, [("score", ValueType::Double), ("bucket", ValueType::String)]);
    assert_eq!(manifest.lookups, ["airport_hourly"]);
}

#[tokio::test]
async fn delay_risk_looks_up_the_destination_and_ignores_expired_values() {
    for instances in [Instances::Fresh, Instances::Warm] {
        let module = Module::start("modules/delay_risk", Config { instances, ..config() }).await;
        // Present; expired; null; never written.
        let columns = delay_risk(&module, 17, &["SFO", "LAX", "JFK", "XXX"], Status::NullValue, rows()).await.unwrap();
        let ColumnData::Double(scores) = &columns[0].data else { panic!("{columns:?}") };
        assert_eq!(columns[0].statuses, [Status::Present; 4]);
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
        assert!(scores[0] > scores[1], "SFO's delays count: {scores:?}");
        assert!(
            scores[1] == scores[2] && scores[2] == scores[3],
            "absent values count the same for every reason: {scores:?}"
        );
        assert_eq!(columns[1].data.value_type(), ValueType::String);
    }
}

#[tokio::test]
async fn delay_risk_accepts_large_batches_and_empty_ones() {
    let module = Module::start("modules/delay_risk", config()).await;
    let many = delay_risk(&module, 17, &["SFO"; 5_000], Status::NullValue, rows()).await.unwrap();
    assert_eq!((many[0].len(), many[1].len()), (5_000, 5_000));
    let none = delay_risk(&module, 17, &[], Status::NullValue, rows()).await.unwrap();
    assert_eq!((none[0].len(), none[1].len()), (0, 0));
}

#[tokio::test]
async fn delay_risk_names_the_problem_of_a_request() {
    let module = Module::start("modules/delay_risk", config()).await;
    let error = delay_risk(&module, 24, &["SFO"], Status::NullValue, rows()).await.unwrap_err();
    let message = "departure_hour is 0 to 23, got 24".to_owned();
    assert_eq!(error, ModuleError::Failed { module: module.name.to_string(), message });
}
