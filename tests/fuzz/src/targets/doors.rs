//! Requests to the doors: every endpoint, its headers and its body.

use super::{arrow, catalogue};
use crate::{
    Target,
    corpus::{files, fixtures},
    fixture::memory::{MemoryNode, Modules},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use littoral_doors::{Config, Process};
use littoral_model::{
    catalogue::CatalogueChange,
    column::{Column, Status},
    module_outputs::ModuleOutputs,
    ports::{ModuleCall, ModuleError, ModuleRuntime},
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, runtime, time};
use tokio_util::sync::CancellationToken;

pub(super) const TARGET: Target = Target { name: "doors", run: doors, seeds, memory: (48 << 20, 1_024) };

/// A request as text: method and path, headers, an empty line, the body. It is answered in time, with a text if it is
/// rejected, and never with an internal error. The door continues to serve.
fn doors(input: &[u8]) {
    let Some(request) = parse(input) else { return };
    let line = format!("{} {}", request.method(), request.uri());
    // A runtime for each input, so that everything it allocated and spawned ends with it.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answered = time::timeout(Duration::from_secs(30), exchange(request)).await;
        let (status, body) = answered.unwrap_or_else(|_| panic!("{line}: no answer")).expect("an answer");
        assert_ne!(status, 500, "{line}: {}", String::from_utf8_lossy(&body));
        if status >= 400 && !line.starts_with("HEAD") && status != 431 {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            assert!(json.is_ok(), "{line}: {status} {}", String::from_utf8_lossy(&body));
            assert!(body.len() < 64 << 10, "{line}: a rejection of {} bytes", body.len());
        }
    });
}

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Failure> {
    let mut answers = exchange_with(node(), Arc::new(Modules(nulls)), vec![request]).await?;
    answers.pop().ok_or_else(|| "no answer".into())
}

/// Sends requests to a node's door one after the other, and checks that it continues to serve.
pub(super) async fn exchange_with(
    node: MemoryNode,
    modules: Arc<dyn ModuleRuntime>,
    requests: Vec<Request<Full<Bytes>>>,
) -> Result<Vec<(u16, Bytes)>, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let shutdown = CancellationToken::new();
    let config = Config { read_rows_max: 1_000, read_values_max: 10_000, write_rows_max: 1_000, ..Config::default() };
    let serving = tokio::spawn(littoral_doors::serve(
        listener,
        config,
        Process::default(),
        Arc::new(node),
        modules,
        shutdown.clone(),
    ));
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        answers.push(whole(send(address, request).await?).await?);
    }
    let health = Request::get("/v1/views").header("host", "localhost").body(Full::default())?;
    let (after, _) = whole(send(address, health).await?).await?;
    assert_eq!(after, 200, "the door continues to serve");
    shutdown.cancel();
    serving.await?;
    Ok(answers)
}

async fn send(address: std::net::SocketAddr, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn whole(answer: Response<Incoming>) -> Result<(u16, Bytes), Failure> {
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

fn parse(input: &[u8]) -> Option<Request<Full<Bytes>>> {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let head = std::str::from_utf8(&input[..end]).ok()?;
    let body = input.get(end + 2..).unwrap_or_default();
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    if !path.starts_with('/') || method == "CONNECT" {
        return None;
    }
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for line in lines.take(32) {
        let (name, value) = line.split_once(':')?;
        // These belong to the connection, which hyper manages.
        if ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            continue;
        }
        request = request.header(name, value.trim());
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).ok()
}

/// Returns a node with a view of every type, a module, a service and a push source.
fn node() -> MemoryNode {
    let node = MemoryNode::default();
    let catalogue = catalogue::small();
    let views = catalogue.view_definitions().map(CatalogueChange::from);
    let modules = catalogue.modules().cloned().map(CatalogueChange::PutModule);
    let services = catalogue.service_definitions().map(CatalogueChange::from);
    let sources = catalogue.push_source_definitions().map(CatalogueChange::from);
    for change in views.chain(modules).chain(services).chain(sources) {
        node.apply(change).expect("the small catalogue is valid");
    }
    node
}

/// Runs modules whose outputs are null.
fn nulls(call: &ModuleCall) -> Result<ModuleOutputs, ModuleError> {
    let null = |value_type| {
        let mut column = Column::with_capacity(value_type, call.rows);
        (0..call.rows).for_each(|_| column.push_absent(Status::NullValue));
        column
    };
    Ok(call.manifest.outputs.iter().map(|output| null(output.value_type)).collect::<Vec<_>>().into())
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = recorded();
    let mut seed = |name: &str, head: &str, body: &[u8]| {
        seeds.push((name.to_owned(), [head.as_bytes(), b"\n\n", body].concat()));
    };
    let keys = r#""entities":{"id":[1,2],"name":["a","b"],"other":[3,4],"add":[5,6]}"#;
    seed("read", "POST /v1/read", format!(r#"{{"features":["all:f_double","sums:sum"],{keys}}}"#).as_bytes());
    seed("read-service", "POST /v1/read", format!(r#"{{"feature_service":"service",{keys}}}"#).as_bytes());
    seed(
        "read-demand",
        "POST /v1/read\nlittoral-max-staleness-ms: 5\nlittoral-at-least: eu@0000000000000abc:1\nlittoral-consistency: leader",
        format!(r#"{{"features":["all:f_int64_list","all:f_bytes"],{keys},"full_feature_names":true}}"#).as_bytes(),
    );
    let row = r#"{"key":{"id":1,"name":"a"},"values":{"f_double":NaN,"f_bytes":"AP8=","f_int64_list":[1,2],"f_bool":true},"event_timestamp":"2026-01-01T00:00:00Z"}"#;
    seed(
        "rows",
        "POST /v1/views/all/rows\nidempotency-key: once\nlittoral-write-concern: regions=1",
        format!(r#"{{"rows":[{row},{{"key":{{"id":2,"name":"b"}},"delete":true}}]}}"#).as_bytes(),
    );
    seed("rows-of-views", "POST /v1/rows", format!(r#"{{"views":{{"all":[{row}]}}}}"#).as_bytes());
    seed("arrow", "POST /v1/views/all/rows\ncontent-type: application/vnd.apache.arrow.stream", &arrow::stream(2));
    seed("push", "POST /push", br#"{"push_source_name":"source","df":{"id":[1],"name":["a"],"f_float":[0.5],"event_timestamp":["2026-02-01T00:00:00"]},"to":"online"}"#);
    seed("write", "POST /write-to-online-store", br#"{"feature_view_name":"all","df":{"id":[1],"name":["a"],"f_string_list":[["x"]],"event_timestamp":[1700000000]}}"#);
    seed("feast-read", "POST /get-online-features", format!(r#"{{"feature_service":"service",{keys}}}"#).as_bytes());
    seed("put-view", "PUT /v1/views/new", br#"{"entities":[{"name":"id","value_type":"int64"}],"features":[{"name":"f","value_type":"string_list"}],"ttl_seconds":60,"merge":"latest_write"}"#);
    seed(
        "put-service",
        "PUT /v1/services/s",
        br#"{"projections":[{"view":"all","features":["f_double"],"alias":"a","join_key_map":{"id":"x"}}]}"#,
    );
    seed("put-push-source", "PUT /v1/push-sources/p", br#"{"views":["all"]}"#);
    seed("put-module", "PUT /v1/modules/m?version=2", br#"{"inputs":[{"view":"all","feature":"f_double","value_type":"double","join_key_map":{}}],"params":[],"outputs":[{"name":"o","value_type":"double"}],"lookups":["all"]}"#);
    for path in
        ["/v1/views/all/rows?limit=2&cursor=AAA", "/v1/catalogue", "/v1/status", "/v1/modules/sums", "/v1/views/%ff"]
    {
        seed(&format!("get-{}", path.len()), &format!("GET {path}"), b"");
    }
    seed("delete", "DELETE /v1/services/service", b"");
    seeds
}

/// Returns the recorded exchanges with a real Feast.
fn recorded() -> Vec<(String, Vec<u8>)> {
    (files(fixtures().join("feast/golden"), ".json").into_iter())
        .filter_map(|(name, bytes)| {
            let recorded: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            let request = &recorded["request"];
            let head = format!("{} {}", request["method"].as_str()?, request["path"].as_str()?);
            Some((name, format!("{head}\n\n{}", request["body_text"].as_str().unwrap_or_default()).into_bytes()))
        })
        .collect()
}
