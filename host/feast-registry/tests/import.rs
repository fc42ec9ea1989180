//! Importing into a node: what is sent, what a second run leaves alone, and what waits for a module.

#[path = "../../client/tests/support/server.rs"]
mod server;

use bytes::Bytes;
use littoral_client::{Client, Config};
use littoral_feast_registry::{ImportReport, Kind, Outcome, Plan, import};
use serde_json::{Map, Value, json};
use server::Server;
use std::sync::{Arc, Mutex};

const ANCHOR: &[u8] = include_bytes!("../../../tests/fixtures/feast/registry/anchor.db");

/// What the node holds: collection -> name -> body; and every change, in order.
#[derive(Default)]
struct Node {
    held: Map<String, Value>,
    changes: Vec<String>,
    refuse: Option<&'static str>,
}

impl Node {
    fn answer(&mut self, request: &hyper::Request<Bytes>) -> (u16, Value) {
        let path: Vec<&str> = request.uri().path().trim_start_matches("/v1/").split('/').collect();
        let collection = path[0].replace('-', "_");
        let held = self.held.entry(collection.clone()).or_insert_with(|| json!({}));
        let Some(held) = held.as_object_mut() else { return (500, Value::Null) };
        match path[1..] {
            [] => {
                let named = held.iter().map(|(name, body)| {
                    let mut body = body.clone();
                    body["name"] = json!(name);
                    body
                });
                let named: Vec<Value> = named.collect();
                (200, json!({ collection: named }))
            }
            [name] if request.method() == "PUT" => {
                if self.refuse == Some(name) {
                    return (422, json!({"status": 422, "code": "invalid_view", "detail": "no, not like this"}));
                }
                let body: Value = serde_json::from_slice(request.body()).unwrap();
                held.insert(name.to_owned(), body.clone());
                self.changes.push(format!("{collection} {name}"));
                let lsn = self.changes.len();
                (200, json!({"position": {"incarnation": 1, "lsn": lsn}, "token": format!("t{lsn}"), "view": body}))
            }
            _ => (404, json!({"status": 404})),
        }
    }
}

async fn node() -> (Server, Client, Arc<Mutex<Node>>) {
    let node = Arc::new(Mutex::new(Node::default()));
    let answering = Arc::clone(&node);
    let server = Server::start(move |request| {
        let (status, body) = answering.lock().unwrap().answer(&request);
        (status, serde_json::to_vec(&body).unwrap().into())
    })
    .await;
    let client = Client::new(&server.url, Config::default()).unwrap();
    (server, client, node)
}

fn outcome<'a>(report: &'a ImportReport, kind: Kind, name: &str) -> &'a Outcome {
    &report.items.iter().find(|item| item.kind == kind && item.name == name).unwrap().outcome
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_a_module_completes_what_waited() {
    let (server, client, node) = node().await;
    let plan = Plan::read(ANCHOR, None).unwrap();

    let dry = import(&plan, &client, None, true).await.unwrap();
    assert_eq!(outcome(&dry, Kind::View, "driver_types"), &Outcome::Planned);
    assert!(node.lock().unwrap().changes.is_empty());

    let first = import(&plan, &client, None, false).await.unwrap();
    assert!(!first.is_complete());
    let Outcome::Pending { reason, command } = outcome(&first, Kind::Service, "driver_activity_v1") else {
        panic!("{first:?}")
    };
    assert!(reason.contains("needs module 'transformed_conv_rate'"), "{reason}");
    let wanted = "littoral module push COMPONENT.wasm --name transformed_conv_rate --release 1.0.0 --to";
    assert_eq!(command, &format!("{wanted} {}", server.url));
    let changes = node.lock().unwrap().changes.clone();
    assert_eq!(changes.len(), 6 + 1 + 3, "{changes:?}");
    let last_view = changes.iter().rposition(|change| change.starts_with("views")).unwrap();
    assert!(changes[last_view + 1..].iter().all(|change| !change.starts_with("views")), "{changes:?}");
    assert_eq!(first.token.as_deref(), Some("t10"));

    let second = import(&plan, &client, None, false).await.unwrap();
    assert_eq!(node.lock().unwrap().changes.len(), 10);
    assert_eq!(outcome(&second, Kind::View, "driver_types"), &Outcome::Unchanged);
    assert_eq!(second.token, None);

    let mut modules = json!({});
    for binding in &plan.bindings {
        modules[&binding.name] = json!({"digest": "00", "manifest": binding.manifest});
    }
    node.lock().unwrap().held.insert("modules".into(), modules);
    let third = import(&plan, &client, None, false).await.unwrap();
    assert_eq!(outcome(&third, Kind::Service, "driver_activity_v1"), &Outcome::Created);
    assert!(third.is_complete());
}

#[tokio::test]
async fn a_rejection_is_told_and_the_rest_goes_on() {
    let (_server, client, node) = node().await;
    node.lock().unwrap().refuse = Some("driver_hourly_stats_fresh");
    let report = import(&Plan::read(ANCHOR, None).unwrap(), &client, None, false).await.unwrap();
    let Outcome::Rejected { reason } = outcome(&report, Kind::View, "driver_hourly_stats_fresh") else {
        panic!("{report:?}")
    };
    assert!(reason.contains("no, not like this"));
    let Outcome::Rejected { reason } = outcome(&report, Kind::PushSource, "driver_stats_push_source") else {
        panic!("{report:?}")
    };
    assert!(reason.contains("'driver_hourly_stats_fresh' was refused"));
    assert_eq!(outcome(&report, Kind::Service, "bench_v1"), &Outcome::Created);
}
