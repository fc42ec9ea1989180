//! Loads the flight sample: views, rows and the `delay_risk` module, with the product's own commands.

use crate::bench::{
    failure::Failure,
    http_load,
    setup::{self, Setup},
};
use bytes::Bytes;
use littoral_provision::{modules, project};
use serde_json::{Map, Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

/// The module.
const MODULE: &str = "delay_risk";

/// How many routes the requests read.
const ROUTES: usize = 1_000;

/// Loads views, rows and the module, and waits until every edge has them.
///
/// # Errors
/// When the project's files are not found, or a command fails.
pub fn load(setup: &Setup) -> Result<(), Failure> {
    let workspace = project::with(&["guest", "wit", "edge-config/feature-views.toml", "tests/fixtures/flights"])?;
    let to = setup.cluster.leader.url();
    let views = workspace.join("edge-config/feature-views.toml");
    littoral(setup, &["view", "apply", &text(&views), "--to", &to])?;
    for view in ["airport_hourly", "route_daily"] {
        let file = workspace.join(format!("tests/fixtures/flights/{view}_last_week.parquet"));
        littoral(setup, &["ingest", "parquet", &text(&file), "--view", view, "--to", &to])?;
    }
    let component = setup.cluster.dir().join("delay_risk.wasm");
    std::fs::write(&component, modules::build_with(&setup::executable()?, &format!("modules/{MODULE}"))?)?;
    let push = ["module", "push", &text(&component), "--name", MODULE, "--release", "1.0.0", "--to", &to];
    littoral(setup, &push)?;
    setup.catch_up()
}

/// Returns requests through the module, each for one route.
///
/// # Errors
/// When the node does not know the module or its routes.
pub fn requests(setup: &Setup) -> Result<Arc<[Bytes]>, Failure> {
    let mut client = setup.cluster.leader.client();
    let module = client.get(&format!("/v1/modules/{MODULE}"))?.json();
    let names = |list: &str| -> Vec<String> {
        let fields = module["manifest"][list].as_array().cloned().unwrap_or_default();
        fields.iter().filter_map(|field| field["name"].as_str().map(str::to_owned)).collect()
    };
    let features: Vec<_> = names("outputs").iter().map(|output| format!("{MODULE}:{output}")).collect();
    let params: Map<_, _> = names("params").into_iter().map(|name| (name, json!([17]))).collect();
    let routes = client.get(&format!("/v1/views/route_daily/rows?limit={ROUTES}"))?.json();
    let routes = routes["rows"].as_array().cloned().unwrap_or_default();
    if features.is_empty() || routes.is_empty() {
        return Err(Failure::new(format_args!("the module {MODULE}"), module));
    }
    let request = |row: &Value| {
        let key = &row["key"];
        let mut entities = params.clone();
        entities.insert("origin".to_owned(), json!([key["origin"]]));
        entities.insert("destination".to_owned(), json!([key["destination"]]));
        http_load::post("/get-online-features", &json!({ "features": features, "entities": entities }).to_string())
    };
    Ok(routes.iter().map(request).collect())
}

fn littoral(setup: &Setup, arguments: &[&str]) -> Result<(), Failure> {
    let done = Command::new(setup::executable()?)
        .args(arguments)
        .current_dir(setup.cluster.dir())
        .stdin(Stdio::null())
        .output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(Failure::new(format_args!("littoral {}", arguments.join(" ")), String::from_utf8_lossy(&done.stderr)))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
