//! Projects at the doors: names, the place where a request names its project, quotas, and the residency rule.

use crate::{
    node::MemoryNode,
    stand::{Answer, Door},
};
use littoral_model::{
    catalogue::CatalogueChange,
    merge::MergePolicy,
    project::Project,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde_json::{Value, json};
use std::sync::Mutex;

/// A door with two projects, each of which has a view `driver_stats` with one row, and a service and a push source for
/// it.
async fn door() -> Door {
    let door = Door::open(MemoryNode::default()).await;
    ok(&door.put("/v1/projects/fraud", &json!({"description": "the fraud team"})).await);
    for (prefix, trips) in [("", 1), ("/p/fraud", 2)] {
        let view = json!({"entities": [{"name": "driver_id", "value_type": "int64"}],
            "features": [{"name": "trips", "value_type": "int64"}]});
        ok(&door.put(&format!("{prefix}/v1/views/driver_stats"), &view).await);
        let service = json!({"projections": [{"view": "driver_stats", "alias": null, "features": ["trips"]}]});
        ok(&door.put(&format!("{prefix}/v1/services/model"), &service).await);
        ok(&door.put(&format!("{prefix}/v1/push-sources/stream"), &json!({"views": ["driver_stats"]})).await);
        let rows = json!({"rows": [{"key": {"driver_id": 7}, "values": {"trips": trips}}]});
        ok(&door.post(&format!("{prefix}/v1/views/driver_stats/rows"), &rows).await);
    }
    door
}

fn ok(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// The value of the first feature in an answer at Feast's door.
fn trips(answer: &Answer) -> Value {
    ok(answer);
    answer.json()["results"][1]["values"][0].clone()
}

fn by_features() -> Value {
    json!({"features": ["driver_stats:trips"], "entities": {"driver_id": [7]}})
}

async fn quotas(door: &Door, quotas: Value) {
    ok(&door.put("/v1/projects/fraud", &json!({ "quotas": quotas })).await);
}

#[tokio::test]
async fn two_projects_have_a_view_of_one_name_and_each_reads_its_own() {
    let door = door().await;
    assert_eq!(trips(&door.post("/get-online-features", &by_features()).await), 1);
    assert_eq!(trips(&door.post("/p/default/get-online-features", &by_features()).await), 1);
    assert_eq!(trips(&door.post("/p/fraud/get-online-features", &by_features()).await), 2);
    let header = [("littoral-project", "fraud")];
    let answer = door.send("POST", "/get-online-features", &header, by_features().to_string()).await;
    assert_eq!(trips(&answer), 2);
    let by_service = json!({"feature_service": "model", "entities": {"driver_id": [7]}});
    assert_eq!(trips(&door.post("/p/fraud/get-online-features", &by_service).await), 2);
    let push = json!({"push_source_name": "stream", "df": {"driver_id": [7], "trips": [3]}, "to": "online"});
    ok(&door.post("/p/fraud/push", &push).await);
    let write = json!({"feature_view_name": "driver_stats", "df": {"driver_id": [7], "trips": [4]}});
    assert_eq!(trips(&door.post("/p/fraud/get-online-features", &by_features()).await), 3);
    ok(&door.post("/p/fraud/write-to-online-store", &write).await);
    assert_eq!(trips(&door.post("/p/fraud/get-online-features", &by_features()).await), 4);
    assert_eq!(trips(&door.post("/get-online-features", &by_features()).await), 1, "the other project is unchanged");
    let names = |answer: Answer| {
        answer.json()["views"].as_array().unwrap().iter().map(|view| view["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(door.get("/v1/views").await), ["driver_stats"]);
    assert_eq!(names(door.get("/p/fraud/v1/views").await), ["driver_stats"]);
    let page = door.get("/p/fraud/v1/views/driver_stats/rows").await.json();
    assert_eq!(page["rows"][0]["values"]["trips"], 4);
}

#[tokio::test]
async fn a_module_reads_the_view_of_its_own_project() {
    let door = door().await;
    let input = json!({"view": "driver_stats", "feature": "score", "value_type": "double", "join_key_map": []});
    let manifest = json!({"inputs": [input], "params": [{"name": "add", "value_type": "int64"}],
        "outputs": [{"name": "sum", "value_type": "double"}], "lookups": []});
    let view = json!({"entities": [{"name": "driver_id", "value_type": "int64"}],
        "features": [{"name": "trips", "value_type": "int64"}, {"name": "score", "value_type": "double"}]});
    ok(&door.put("/p/fraud/v1/views/driver_stats", &view).await);
    let rejected = door.put("/v1/modules/risk?release=1", &manifest).await;
    assert_eq!(
        (rejected.status, rejected.code().as_str()),
        (422, "invalid"),
        "the view of `default` has no such feature"
    );
    ok(&door.put("/p/fraud/v1/modules/risk?release=1", &manifest).await);
    let rows = json!({"rows": [{"key": {"driver_id": 7}, "values": {"trips": 1, "score": 0.5}}]});
    ok(&door.post("/p/fraud/v1/views/driver_stats/rows", &rows).await);
    let read = json!({"features": ["risk:sum"], "entities": {"driver_id": [7]}, "params": {"add": [2]}});
    let answer = door.post("/p/fraud/v1/read", &read).await;
    ok(&answer);
    assert_eq!(answer.json()["columns"][1]["values"][0], 2.5);
    assert_eq!(door.post("/v1/read", &read).await.code(), "unknown_view");
    // The sandbox receives the stored name, for logs and metrics. The client receives the name in its project.
    ok(&door.put("/p/fraud/v1/modules/faulty?release=1", &manifest).await);
    let read = json!({"features": ["faulty:sum"], "entities": {"driver_id": [7]}, "params": {"add": [2]}});
    let trapped = door.post("/p/fraud/v1/read", &read).await;
    assert!(trapped.json()["detail"].as_str().unwrap().contains("module 'faulty' trapped"), "{}", trapped.json());
    ok(&door.send("DELETE", "/p/fraud/v1/modules/faulty", &[], "").await);
    let foreign = json!({"inputs": [], "params": [], "outputs": [{"name": "x", "value_type": "double"}],
        "lookups": ["fraud/driver_stats"]});
    let rejected = door.put("/v1/modules/spy?release=1", &foreign).await;
    assert_eq!(rejected.status, 422, "a lookup that leaves its project");
    let used = door.send("DELETE", "/p/fraud/v1/views/driver_stats", &[], "").await;
    let detail = used.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("'driver_stats' is still used by module 'risk'"), "{detail}");
}

#[tokio::test]
async fn a_request_that_names_no_or_two_projects_is_rejected() {
    let door = door().await;
    let unknown = door.get("/p/nope/v1/views").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "unknown_project"));
    let feast = door.post("/p/nope/get-online-features", &by_features()).await;
    assert_eq!((feast.status, feast.header("littoral-error")), (404, "unknown_project"));
    assert!(String::from_utf8_lossy(&feast.body).contains("ProjectObjectNotFoundException"));
    let two = door.send("GET", "/p/fraud/v1/views", &[("littoral-project", "default")], "").await;
    assert_eq!((two.status, two.code().as_str()), (400, "project_conflict"));
    let long = "a".repeat(300);
    for name in ["a%2Fb", "a__b", "", "..", ".", "%2e%2e", "%66raud", "fr%C3%A4ud", "a.b", "-a", "a%00", &long] {
        let path = format!("/p/{name}/v1/views");
        let rejected = door.get(&path).await;
        assert_eq!((rejected.status, rejected.code().as_str()), (400, "invalid_project"), "{path}");
        let detail = rejected.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("the path: ") && detail.contains("use 1 to 128 letters") && detail.len() < 300,
            "{detail}"
        );
        let by_header = door.send("GET", "/v1/views", &[("littoral-project", name)], "").await;
        assert_eq!(by_header.code(), "invalid_project", "{name}");
        if !name.is_empty() && !name.starts_with('.') && !name.contains("%2") {
            let put = door.put(&format!("/v1/projects/{name}"), &json!({})).await;
            assert!(put.status == 422 || name == "%66raud" && put.status == 200, "{name}: {}", put.status);
        }
    }
    let slash = door.send("GET", "/v1/views", &[("littoral-project", "fraud/v1")], "").await;
    assert_eq!(slash.code(), "invalid_project");
    let repeated = [("littoral-project", "fraud"), ("littoral-project", "default")];
    assert_eq!(door.send("GET", "/v1/views", &repeated, "").await.code(), "project_conflict");
    let slash = door.put("/v1/projects/a%2Fb", &json!({})).await;
    assert_eq!(slash.status, 422);
    assert!(slash.json()["detail"].as_str().unwrap().contains("'a/b' is not a project name"), "{}", slash.json());
    let view = json!({"entities": [], "features": [{"name": "x", "value_type": "int64"}]});
    assert_eq!(
        door.put("/v1/views/fraud%2Fstolen", &view).await.status,
        422,
        "a name cannot lead into another project"
    );
    assert_eq!(door.get("/v1/views/fraud%2Fdriver_stats").await.code(), "unknown_view");
    let read = json!({"features": ["fraud/driver_stats:trips"], "entities": {"driver_id": [7]}});
    assert_eq!(door.post("/v1/read", &read).await.status, 404);
    ok(&door.get("/p/fraud/health").await);
}

#[tokio::test]
async fn an_error_names_the_view_as_its_project_does() {
    let door = door().await;
    let view = json!({"entities": [{"name": "driver_id", "value_type": "int64"}],
        "features": [{"name": "trips", "value_type": "string"}]});
    let rejected = door.put("/p/fraud/v1/views/driver_stats", &view).await;
    let detail = rejected.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("view 'driver_stats' cannot change") && !detail.contains("fraud/"), "{detail}");
    let read = json!({"features": ["nope:trips"], "entities": {"driver_id": [7]}});
    let feast = door.post("/p/fraud/get-online-features", &read).await;
    let body = String::from_utf8_lossy(&feast.body).into_owned();
    assert!(
        body.contains("FeatureViewNotFoundException")
            && body.contains("Feature view nope does not exist in project fraud")
            && !body.contains("fraud/"),
        "{body}"
    );
}

#[tokio::test]
async fn a_used_up_quota_is_a_429_with_the_time_of_a_retry_and_concerns_one_project() {
    let door = door().await;
    let over = |answer: &Answer| {
        assert_eq!((answer.status, answer.header("littoral-error")), (429, "over_quota"), "{}", answer.json());
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    };
    let rows = json!({"rows": [{"key": {"driver_id": 7}, "values": {"trips": 5}}]});
    let (read, write) = ("/p/fraud/get-online-features", "/p/fraud/v1/views/driver_stats/rows");
    quotas(&door, json!({"requests_per_s": 0})).await;
    over(&door.post(read, &by_features()).await);
    over(&door.get("/p/fraud/v1/views").await);
    assert_eq!(trips(&door.post("/get-online-features", &by_features()).await), 1, "another project is not limited");
    ok(&door.get("/p/fraud/health").await);
    quotas(&door, json!({"concurrent_requests": 0})).await;
    over(&door.post(read, &by_features()).await);
    quotas(&door, json!({"rows_written_per_s": 0})).await;
    over(&door.post(write, &rows).await);
    assert_eq!(trips(&door.post(read, &by_features()).await), 2);
    quotas(&door, json!({"rows_read_per_s": 0})).await;
    over(&door.post(read, &by_features()).await);
    ok(&door.post(write, &rows).await);
    quotas(&door, json!({"modules": 0})).await;
    let manifest =
        json!({"inputs": [], "params": [], "outputs": [{"name": "x", "value_type": "double"}], "lookups": []});
    let full = door.put("/p/fraud/v1/modules/m?release=1", &manifest).await;
    assert_eq!((full.status, full.code().as_str()), (507, "quota_full"));
    assert_eq!(full.header("retry-after"), "", "a retry does not help");
    quotas(&door, json!({})).await;
    ok(&door.put("/p/fraud/v1/modules/m?release=1", &manifest).await);
}

#[tokio::test]
async fn pages_and_reads_that_fail_use_up_the_rows_that_a_project_may_read() {
    let door = door().await;
    let page = "/p/fraud/v1/views/driver_stats/rows?limit=1000";
    let is_over = |answer: &Answer| (answer.status, answer.header("littoral-error")) == (429, "over_quota");
    quotas(&door, json!({"rows_read_per_s": 1})).await;
    ok(&door.get(page).await);
    assert!(is_over(&door.get(page).await));
    assert!(is_over(&door.post("/p/fraud/get-online-features", &by_features()).await));

    let door = self::door().await;
    let input = json!({"view": "driver_stats", "feature": "trips", "value_type": "int64", "join_key_map": []});
    let manifest = json!({"inputs": [input], "params": [{"name": "add", "value_type": "int64"}],
        "outputs": [{"name": "sum", "value_type": "double"}], "lookups": []});
    ok(&door.put("/p/fraud/v1/modules/faulty?release=1", &manifest).await);
    quotas(&door, json!({"rows_read_per_s": 1})).await;
    let many = |value: i64| vec![value; 1_000];
    let read = json!({"features": ["faulty:sum"], "entities": {"driver_id": many(7)}, "params": {"add": many(2)}});
    assert_eq!(door.post("/p/fraud/v1/read", &read).await.code(), "module_trap");
    assert!(is_over(&door.post("/p/fraud/v1/read", &read).await));
}

#[tokio::test]
async fn a_read_that_a_worker_executes_is_paid_for_once() {
    let door = door().await;
    let features = ["a", "b", "c", "d", "e", "f"];
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}],
        "features": features.map(|name| json!({"name": name, "value_type": "int64"}))});
    ok(&door.put("/p/fraud/v1/views/v", &view).await);
    quotas(&door, json!({"rows_read_per_s": 4_000})).await;
    // The thread of the connection begins it, and leaves it to a worker because of its number of values.
    let many = json!({"features": features.map(|name| format!("v:{name}")), "entities": {"id": vec![7; 3_500]}});
    assert!(many.to_string().len() < 8_000);
    ok(&door.post("/p/fraud/get-online-features", &many).await);
    ok(&door.post("/p/fraud/get-online-features", &by_features()).await);
}

#[tokio::test]
async fn a_replayed_conflict_counts_for_the_project_of_its_view() {
    let door = Door::open(MemoryNode { is_edge: true, ..MemoryNode::default() }).await;
    let replay = "/v1/conflicts/20000-us_10000-eu/replay";
    ok(&door.put("/v1/projects/fraud", &json!({})).await);
    let view = json!({"entities": [{"name": "driver_id", "value_type": "int64"}],
        "features": [{"name": "score", "value_type": "double"}]});
    ok(&door.put("/p/fraud/v1/views/scores", &view).await);
    ok(&door.send("POST", replay, &[], "").await);
    quotas(&door, json!({"rows_written_per_s": 0})).await;
    let over = door.send("POST", replay, &[], "").await;
    assert_eq!((over.status, over.code().as_str()), (429, "over_quota"));
}

#[tokio::test]
async fn a_read_that_waits_for_its_project_is_rejected_by_a_node_outside_its_regions() {
    let view = FeatureView {
        id: ViewId(0),
        name: "elsewhere/driver_stats".into(),
        join_keys: vec![JoinKey { name: "driver_id".into(), entity: "driver_id".into(), value_type: ValueType::Int64 }],
        features: vec![Feature { name: "trips".into(), value_type: ValueType::Int64 }],
        ttl_ms: None,
        merge: MergePolicy::LatestEvent,
    };
    let project = Project { name: "elsewhere".into(), regions: vec!["us".parse().unwrap()], ..Project::default() };
    let arriving = vec![CatalogueChange::PutProject(Box::new(project)), CatalogueChange::PutView(view)];
    let door = Door::open(MemoryNode { arriving: Mutex::new(arriving), ..MemoryNode::default() }).await;
    let other = json!({"entities": [], "features": [{"name": "x", "value_type": "int64"}]});
    let token = door.put("/v1/views/other", &other).await.json()["token"].as_str().unwrap().to_owned();
    let headers = [("littoral-at-least", token.as_str())];
    let path = "/p/elsewhere/get-online-features";
    let read = door.send("POST", path, &headers, by_features().to_string()).await;
    assert_eq!((read.status, read.header("littoral-error")), (421, "outside_regions"));
}

#[tokio::test]
async fn a_node_outside_the_regions_of_a_project_serves_none_of_its_rows() {
    let door = door().await;
    for (name, regions, status) in [("here", json!(["eu", "us"]), 200), ("elsewhere", json!(["us"]), 421)] {
        ok(&door.put(&format!("/v1/projects/{name}"), &json!({ "regions": regions })).await);
        let prefix = format!("/p/{name}");
        let view = json!({"entities": [{"name": "driver_id", "value_type": "int64"}],
            "features": [{"name": "trips", "value_type": "int64"}]});
        ok(&door.put(&format!("{prefix}/v1/views/driver_stats"), &view).await);
        let rows = json!({"rows": [{"key": {"driver_id": 7}, "values": {"trips": 5}}]});
        let written = door.post(&format!("{prefix}/v1/views/driver_stats/rows"), &rows).await;
        let read = door.post(&format!("{prefix}/get-online-features"), &by_features()).await;
        let page = door.get(&format!("{prefix}/v1/views/driver_stats/rows")).await;
        for answer in [written, read, page] {
            let code = if status == 421 { "outside_regions" } else { "" };
            assert_eq!((answer.status, answer.header("littoral-error")), (status, code), "{name}");
        }
        let changed = door.put(&format!("/v1/projects/{name}"), &json!({})).await;
        assert_eq!(changed.status, 422, "the rule of a project with views is fixed");
    }
    let listed = door.get("/v1/projects").await.json();
    assert_eq!(listed["projects"].as_array().unwrap().len(), 3);
    assert_eq!(door.get("/v1/projects/default").await.json()["regions"], json!([]));
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_its_project() {
    let door = door().await;
    let longest = "k".repeat(256);
    let rows = json!({"rows": [{"key": {"driver_id": 7}, "values": {"trips": 5}}]}).to_string();
    for (key, prefix) in [("once", ""), ("once", "/p/fraud"), (longest.as_str(), "/p/fraud")] {
        let headers = [("idempotency-key", key)];
        let answer = door.send("POST", &format!("{prefix}/v1/views/driver_stats/rows"), &headers, rows.clone()).await;
        ok(&answer);
    }
}
