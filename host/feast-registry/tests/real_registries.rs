//! Registries that a real Feast wrote.

use littoral_feast_registry::{Error, Kind, Plan};
use littoral_model::{
    module::Field,
    service::{FeatureService, Projection, PushSource},
    value::ValueType,
    view::FeatureView,
};

const ANCHOR: &[u8] = include_bytes!("../../../tests/fixtures/feast/registry/anchor.db");
const WIDE: &[u8] = include_bytes!("../../../tests/fixtures/feast/registry/wide.db");

fn plan(bytes: &[u8]) -> Plan {
    Plan::read(bytes, None).unwrap()
}

fn schema(view: &FeatureView) -> String {
    let keys = view.join_keys.iter().map(|key| format!("{}/{} {}", key.name, key.entity, key.value_type));
    let features = view.features.iter().map(|feature| format!("{} {}", feature.name, feature.value_type));
    let ttl = view.ttl_ms.map_or("no ttl".to_owned(), |ms| format!("{ms} ms"));
    let (keys, features): (Vec<_>, Vec<_>) = (keys.collect(), features.collect());
    format!("{} [{}] {}; {ttl}", view.name, keys.join(", "), features.join(", "))
}

#[test]
fn every_view_of_the_anchor_repository_is_there() {
    let plan = plan(ANCHOR);
    assert_eq!(plan.project, "edge_anchor");
    let doubles: Vec<String> = (0..10).map(|i| format!("f{i} double")).collect();
    let stats = "[driver_id/driver int64] conv_rate float, acc_rate float, avg_daily_trips int64; no ttl";
    assert_eq!(
        plan.views.iter().map(|definition| schema(&definition.view)).collect::<Vec<_>>(),
        [
            format!("bench_stats [bench_id/bench int64] {}; no ttl", doubles.join(", ")),
            "driver_customer_stats [customer_id/customer string, driver_id/driver int64] trips_together int64, rating \
             double; no ttl"
                .into(),
            format!("driver_hourly_stats {stats}"),
            format!("driver_hourly_stats_fresh {stats}"),
            "driver_ttl [driver_id/driver int64] conv_rate float; 3600000 ms".into(),
            "driver_types [driver_id/driver int64] t_int32 int32, t_int64 int64, t_float float, t_double double, \
             t_string string, t_bool bool, t_bytes bytes, t_ts unix_timestamp, t_int64_list int64_list, t_float_list \
             float_list, t_string_list string_list; no ttl"
                .into(),
        ]
    );
    assert_eq!(
        plan.push_sources,
        [PushSource { name: "driver_stats_push_source".into(), views: vec!["driver_hourly_stats_fresh".into()] }
            .into()]
    );
    // The only difference is that the import loads no rows, which it notes for each source.
    let reasons = plan.notes.iter().map(|note| (note.kind, note.left_out, note.reason.as_str()));
    let no_rows = |(kind, left_out, reason): (Kind, bool, &str)| {
        kind == Kind::DataSource && !left_out && reason.contains("'littoral ingest parquet /data/")
    };
    assert!(plan.notes.len() == 4 && reasons.clone().all(no_rows), "{:?}", plan.notes);
}

#[test]
fn services_keep_their_order_aliases_and_features() {
    let plan = plan(ANCHOR);
    let names: Vec<&str> = plan.services.iter().map(|definition| definition.service.name.as_str()).collect();
    assert_eq!(names, ["bench_v1", "driver_activity_v1", "driver_alias_v1", "driver_plain_v1"]);
    let part = |view: &str, alias: Option<&str>, features: &[&str]| Projection {
        view: view.into(),
        alias: alias.map(Into::into),
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        join_key_map: vec![],
    };
    assert_eq!(
        plan.services[1].service.projections,
        [
            part("driver_hourly_stats", None, &["conv_rate"]),
            part("transformed_conv_rate", None, &["conv_rate_plus_val1", "conv_rate_plus_val2"]),
        ]
    );
    assert_eq!(
        plan.services[2].service.projections,
        [part("driver_hourly_stats", Some("dhs"), &["conv_rate", "acc_rate"])]
    );
    assert_eq!(plan.services[3].service.projections[1], part("driver_types", None, &["t_string", "t_int64"]));
}

#[test]
fn on_demand_views_say_which_module_they_need() {
    let plan = plan(ANCHOR);
    let names: Vec<&str> = plan.bindings.iter().map(|binding| binding.name.as_str()).collect();
    assert_eq!(names, ["bench_pandas", "bench_python", "transformed_conv_rate", "transformed_conv_rate_python"]);
    let binding = &plan.bindings[3];
    let field = |name: &str, value_type| Field { name: name.into(), value_type };
    assert_eq!(binding.mode, "python");
    assert!(binding.python.contains("def transformed_conv_rate_python"), "{}", binding.python);
    assert_eq!(binding.manifest.outputs, [field("conv_rate_py", ValueType::Double)]);
    assert_eq!(
        binding.manifest.params,
        [field("val_to_add", ValueType::Int64), field("val_to_add_2", ValueType::Int64)]
    );
    let inputs: Vec<String> =
        binding.manifest.inputs.iter().map(|i| format!("{}:{} {}", i.view, i.feature, i.value_type)).collect();
    assert_eq!(
        inputs,
        [
            "driver_hourly_stats:conv_rate float",
            "driver_hourly_stats:acc_rate float",
            "driver_hourly_stats:avg_daily_trips int64"
        ]
    );
    let mut made = binding.manifest.clone();
    made.inputs.truncate(1);
    made.params.truncate(1);
    assert_eq!(binding.mismatch(&made), None, "a module need not use everything that Feast gave the function");
    made.outputs[0].value_type = ValueType::Float;
    assert!(binding.mismatch(&made).unwrap().contains("makes 'conv_rate_py' as float, Feast as double"));
}

#[test]
fn what_the_wide_repository_adds_is_taken_where_it_can_be() {
    let plan = plan(WIDE);
    assert_eq!(
        plan.views.iter().map(|definition| schema(&definition.view)).collect::<Vec<_>>(),
        [
            "airport_runways [iata/airport string] runways int32, is_hub bool; no ttl",
            "airport_weather [iata/airport string] wind_knots double, visibility_miles float; 86400500 ms",
            "embeddings [iata/airport string] vector float_list; no ttl",
            "kafka_fed [iata/airport string] gate_changes int64; no ttl",
            "lists [iata/airport string] l_bool bool_list, l_int32 int32_list, l_double double_list, l_ts \
             unix_timestamp_list; no ttl",
            "network_totals [] flights_today int64; no ttl",
        ]
    );
    let renamed = |alias: &str, to: &str| Projection {
        view: "airport_weather".into(),
        alias: Some(alias.into()),
        features: vec!["wind_knots".into()],
        join_key_map: vec![("iata".into(), to.into())],
    };
    let route = FeatureService {
        name: "route_v1".into(),
        projections: vec![
            renamed("origin_weather", "origin"),
            renamed("destination_weather", "destination"),
            Projection {
                view: "network_totals".into(),
                alias: None,
                features: vec!["flights_today".into()],
                join_key_map: vec![],
            },
        ],
    };
    assert_eq!(plan.services.iter().find(|service| service.service.name == "route_v1"), Some(&route.into()));
    let risk = &plan.bindings[0];
    let mapped: Vec<_> = risk.manifest.inputs.iter().map(|i| (i.feature.as_str(), i.join_key_map.len())).collect();
    assert_eq!(mapped, [("runways", 0), ("is_hub", 0), ("wind_knots", 1)]);
}

#[test]
fn nothing_is_left_out_without_a_word() {
    let plan = plan(WIDE);
    let mut notes: Vec<String> = plan
        .notes
        .iter()
        // Every source has a note that its rows are not loaded, or that nothing needs them; `sources.rs` tests these.
        .filter(|note| note.kind != Kind::DataSource)
        .map(|note| format!("{} {}{}: {}", note.kind, note.name, if note.left_out { " -" } else { "" }, note.reason))
        .collect();
    notes.sort();
    assert_eq!(
        notes,
        [
            "entity flag -: no imported feature view has it; entities are parts of views here",
            "feature embeddings:vector: its values are served; vector search is not",
            "feature lists:m_text -: Feast's type MAP has no counterpart here",
            "feature lists:s_int64 -: Feast's type INT64_SET has no counterpart here",
            "feature service needs_offline_v1 -: it needs 'offline_only', which is not imported",
            "feature service needs_set_v1 -: it needs 'lists:s_int64', which is not imported",
            "feature view bool_key -: view 'bool_key': join key 'flag_id' cannot be a bool; use int32, int64, string, \
             bytes or unix_timestamp",
            "feature view kafka_fed: the Kafka topic of its source 'gates_topic' is not read; write its rows through \
             the API",
            "feature view offline_only -: it is not online in Feast (online=False)",
            "feature view only_sets -: none of its features can be imported ('s': Feast's type STRING_SET has no \
             counterpart here)",
            "push source lonely_push -: no imported feature view takes rows from it",
        ]
    );
    let left_out = |kind| plan.notes.iter().filter(|note| note.kind == kind && note.left_out).count();
    assert_eq!((left_out(Kind::View), left_out(Kind::Feature), left_out(Kind::Service)), (3, 2, 2));
}

#[test]
fn what_is_no_registry_is_rejected_with_what_to_do() {
    let rejected = |bytes: &[u8]| Plan::read(bytes, None).unwrap_err();
    assert_eq!(rejected(b""), Error::Empty);
    let sqlite = rejected(b"SQLite format 3\0and more");
    assert!(matches!(sqlite, Error::Sqlite) && sqlite.to_string().contains("registry_type: file"));
    for bytes in [&b"project: edge_anchor\n"[..], b"{}", b"\0\0\0\0", &ANCHOR[1..], &ANCHOR[..ANCHOR.len() - 1]] {
        assert!(matches!(rejected(bytes), Error::NotARegistry(_)), "{:?}", &bytes[..bytes.len().min(8)]);
    }
    assert_eq!(
        Plan::read(ANCHOR, Some("other")).unwrap_err(),
        Error::UnknownProject { wanted: "other".into(), there: "edge_anchor".into() }
    );
    // Protobuf messages concatenate: the two registries in one file are a registry of two projects.
    let both = [ANCHOR, WIDE].concat();
    assert_eq!(rejected(&both), Error::Projects("edge_anchor, wide".into()));
    assert_eq!(Plan::read(&both, Some("wide")).unwrap(), plan(WIDE));
}

#[test]
fn any_damage_is_an_error_or_a_plan() {
    for at in 0..WIDE.len() {
        let mut bytes = WIDE.to_vec();
        bytes[at] ^= 0x55;
        let _ = Plan::read(&bytes, None);
    }
}
