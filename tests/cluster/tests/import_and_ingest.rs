//! Definitions of a Feast project and Parquet files, through real processes: imported and loaded at the leader or
//! through an edge, and held at both.

use littoral_client::{Client, Config, Demand, HeldRow, ProjectName, Read};
use littoral_feast_registry::{Kind, Outcome, Plan, import, is_in_default};
use littoral_ingest::{Options, Silent, ingest};
use littoral_model::{
    column::Status,
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use littoral_provision::{Cluster, Node};
use serde_json::json;
use std::path::{Path, PathBuf};

const ANCHOR: &[u8] = include_bytes!("../../fixtures/feast/registry/anchor.db");
const WIDE: &[u8] = include_bytes!("../../fixtures/feast/registry/wide.db");

/// The number of entity keys in the sample's routes.
const ROUTES: u64 = 3_190;

fn client(node: &Node) -> Client {
    Client::new(&node.url(), Config::default()).unwrap()
}

fn route_daily() -> FeatureView {
    let key = |name: &str| JoinKey { name: name.into(), entity: name.into(), value_type: ValueType::String };
    let feature = |name: &str, value_type| Feature { name: name.into(), value_type };
    FeatureView {
        id: ViewId::default(),
        name: "route_daily".into(),
        join_keys: vec![key("origin"), key("destination")],
        features: vec![
            feature("flights_7d", ValueType::Int64),
            feature("delayed_7d", ValueType::Int64),
            feature("mean_delay_7d", ValueType::Double),
            feature("distance_miles", ValueType::Int64),
        ],
        ttl_ms: None,
        merge: MergePolicy::default(),
    }
}

fn sample(into: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/flights/route_daily_last_week.parquet");
    let file = into.join("route_daily.parquet");
    std::fs::copy(from, &file).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feast_project_and_its_rows_are_imported() {
    let mut cluster = Cluster::start(1).unwrap();
    let (leader, edge) = (client(&cluster.leader), client(&cluster.edges[0]));

    for registry in [ANCHOR, WIDE] {
        let plan = Plan::read(registry, None).unwrap();
        let first = import(&plan, &edge, None, false).await.unwrap();
        for item in &first.items {
            let waits = matches!(&item.outcome, Outcome::Pending { .. });
            assert!(waits || item.outcome == Outcome::Created, "{item:?}");
        }
        assert!(first.items.iter().any(|item| item.kind == Kind::Service && item.outcome == Outcome::Created));
        let again = import(&plan, &leader, None, false).await.unwrap();
        assert!(again.token.is_none(), "{again:?}");
        let own = plan.project.parse::<ProjectName>().unwrap();
        assert!(is_in_default(&plan, &leader, &own).await.unwrap().is_some(), "an import of an earlier release");
        let into_own = import(&plan, &leader, Some(own.clone()), false).await.unwrap();
        assert_eq!((into_own.into.as_deref(), &into_own.items[0].kind), (Some(own.as_str()), &Kind::Project));
        assert!(is_in_default(&plan, &leader, &own).await.unwrap().is_none());
        assert_eq!(
            leader.in_project(own).view_definitions().await.unwrap().len(),
            plan.views.len(),
            "each registry has a project"
        );
        let views = leader.view_definitions().await.unwrap();
        for wanted in &plan.views {
            let there = views.iter().find(|there| there.view.name == wanted.view.name).unwrap();
            assert_eq!(FeatureView { id: ViewId::default(), ..there.view.clone() }, wanted.view);
            assert_eq!(there.details, wanted.details);
        }
    }

    let put = leader.put_view(&route_daily()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = sample(dir.path());
    let options = Options { in_flight: 3, batch_rows: 2_000, ..Options::new("route_daily") };
    let report = ingest(&file, &leader, &options, &mut Silent).await.unwrap();
    assert_eq!(report.rows_sent, report.rows);
    assert!(ingest(&file, &leader, &options, &mut Silent).await.unwrap().was_finished);

    let demand = Demand { at_least: report.token.clone(), wait_ms: Some(10_000), ..Demand::default() };
    let read = Read::features(["route_daily:distance_miles", "route_daily:mean_delay_7d"])
        .entity("origin", ["ABE", "ATL"])
        .entity("destination", ["ATL", "ZZZ"])
        .demand(demand);
    let answer = edge.read(&read).await.unwrap();
    let distance = answer.column("distance_miles").unwrap();
    assert_eq!((&distance.values[0], distance.statuses[1]), (&json!(692), Status::NotFound));

    // The last row of each key, sent through the edge, changes nothing: the whole history resulted in the same state.
    let latest = Options { latest_only: true, restart: true, ..options };
    let report = ingest(&file, &edge, &latest, &mut Silent).await.unwrap();
    assert_eq!(report.rows_sent, ROUTES);
    let demand = Demand { at_least: report.token, wait_ms: Some(10_000), ..Demand::default() };
    let again = edge.read(&read.demand(demand)).await.unwrap();
    assert_eq!(again.columns[0].values, answer.columns[0].values);
    assert_eq!(leader.catalogue().await.unwrap().views, edge.catalogue().await.unwrap().views);
    assert!(put.view.id > ViewId::default());

    let held = held_rows(&leader).await;
    assert_eq!((held.len() as u64, &held), (ROUTES, &held_rows(&edge).await));
    cluster.edges[0].stop();
}

/// Returns every route that a node holds, page by page.
async fn held_rows(client: &Client) -> Vec<HeldRow> {
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.row_page("route_daily", 1_000, cursor.as_deref()).await.unwrap();
        rows.extend(page.rows);
        cursor = page.cursor;
        if cursor.is_none() {
            return rows;
        }
    }
}
