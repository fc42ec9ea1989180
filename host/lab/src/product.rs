//! The product's own commands, run as a user runs them: with this same executable and `--json`.

use crate::failure::Failure;
use serde_json::Value;
use std::{path::Path, process::Stdio};

/// What was applied.
pub struct Applied {
    /// In words, such as `2 feature views, 1 push source`.
    pub description: String,
    /// How many feature views.
    pub views: usize,
    /// The freshness token of the last change.
    pub token: String,
}

/// What a load reported.
#[derive(serde::Deserialize)]
pub struct Loaded {
    /// Rows that were written.
    pub rows_sent: u64,
    /// How many of them a second.
    pub rows_per_second: f64,
    /// How long the load took until everything was durable, in milliseconds.
    pub elapsed_ms: u64,
    /// The freshness token of the last write.
    pub token: String,
}

/// Applies all that a file defines, definitions that others refer to first.
///
/// # Errors
/// When the file defines no views, services or push sources, or a command fails.
pub async fn apply(file: &Path, node: &str) -> Result<Applied, Failure> {
    let (mut views, mut token, mut parts) = (0, None, Vec::new());
    for (command, one, many) in [
        ("view", "feature view", "feature views"),
        ("service", "feature service", "feature services"),
        ("push-source", "push source", "push sources"),
    ] {
        let changed = run(&[command, "apply", &file.display().to_string(), "--to", node]).await?;
        let changed = changed.as_array().map(Vec::as_slice).unwrap_or_default();
        if command == "view" {
            views = changed.len();
        }
        token = changed.last().and_then(|last| last["token"].as_str()).map(str::to_owned).or(token);
        parts.push(format!("{} {}", changed.len(), if changed.len() == 1 { one } else { many }));
    }
    let token = token.ok_or_else(|| Failure::rejected(format!("{} defines nothing", file.display())))?;
    Ok(Applied { description: parts.join(", "), views, token })
}

/// Loads a Parquet file into a view; `state` is the file in which the load records its progress.
///
/// # Errors
/// When the command fails, or its report is not as expected.
pub async fn ingest(file: &Path, view: &str, state: &Path, node: &str) -> Result<Loaded, Failure> {
    let (file, state) = (file.display().to_string(), state.display().to_string());
    let report = run(&["ingest", "parquet", &file, "--view", view, "--state", &state, "--to", node]).await?;
    serde_json::from_value(report)
        .map_err(|error| Failure::rejected(format!("the report of `littoral ingest` has changed: {error}")))
}

/// Runs a command to its end and returns the JSON that it prints.
async fn run(arguments: &[&str]) -> Result<Value, Failure> {
    let command = arguments.join(" ");
    let cannot = |error: std::io::Error| Failure::rejected(format!("cannot run `littoral {command}`: {error}"));
    let output = tokio::process::Command::new(std::env::current_exe().map_err(cannot)?)
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(cannot)?;
    if !output.status.success() {
        let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
        let printed = String::from_utf8_lossy(&output.stderr);
        let message = error["error"].as_str().unwrap_or(&printed);
        return Err(Failure::rejected(format!("`littoral {command}` failed: {message}")));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::rejected(format!("`littoral {command}` printed no JSON: {error}")))
}
