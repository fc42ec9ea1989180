//! Prometheus, to check rules and to fire alerts on purpose.

use crate::{Guarded, apt, guarded, http::Client, missing::Missing};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long it may take to be ready.
const START_MAX: Duration = Duration::from_secs(20);

/// A node that is scraped.
#[derive(Clone, Debug)]
pub struct Target {
    /// The scrape job.
    pub job: &'static str,
    /// The node's region.
    pub region: &'static str,
    /// Its door, or its listener for administration.
    pub door: SocketAddr,
    /// Whether it has TLS. Prometheus accepts any certificate.
    pub tls: bool,
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    _process: Guarded,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Runs `promtool` in a directory; installs its Debian package if needed.
///
/// # Errors
/// When it is missing and cannot be installed, or does not run.
pub fn promtool(dir: &Path, arguments: &[&str], input: &[u8]) -> Result<Output, Missing> {
    let program = apt::program("promtool", "prometheus")?;
    let lacking = |error: io::Error| Missing::io("promtool", &error);
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(lacking)?;
    if let Some(mut stdin) = child.stdin.take() {
        io::Write::write_all(&mut stdin, input).map_err(lacking)?;
    }
    child.wait_with_output().map_err(lacking)
}

impl Prometheus {
    /// Starts one that scrapes these nodes every two seconds and evaluates these rules; installs its Debian package if
    /// needed.
    ///
    /// # Errors
    /// When it is missing and cannot be installed, or does not start.
    pub fn start(dir: &Path, rules: &str, targets: &[Target]) -> Result<Self, Missing> {
        let program = apt::program("prometheus", "prometheus")?;
        let lacking = |error: io::Error| Missing::io("a running Prometheus", &error);
        // Prometheus cannot report a port that it chose itself.
        let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).map_err(lacking)?;
        let (file, rules_file): (PathBuf, _) = (dir.join("prometheus.yml"), dir.join("rules.yml"));
        std::fs::write(rules_file, rules).map_err(lacking)?;
        std::fs::write(&file, config(targets)).map_err(lacking)?;
        let mut command = Guarded::command(&program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.join("prometheus-data").display()));
        command.arg(format!("--web.listen-address={address}"));
        guarded::quiet(&mut command).current_dir(dir);
        let mut process = Guarded::start(command, "prometheus", &dir.join("prometheus.log")).map_err(lacking)?;
        let deadline = Instant::now() + START_MAX;
        while !Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200) {
            if Instant::now() > deadline || !process.is_running() {
                return Err(Missing::new("prometheus", process.log_tail(), "read its log"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { _process: process, address })
    }

    /// Returns the names of the alerts that fire now.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub fn firing(&self) -> io::Result<BTreeSet<String>> {
        let alerts = self.get("/api/v1/alerts", "alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect())
    }

    /// Returns each series of an expression with its value.
    ///
    /// # Errors
    /// When Prometheus does not answer, or rejects the expression.
    pub fn query(&self, expression: &str) -> io::Result<Vec<String>> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let results = self.get(&format!("/api/v1/query?query={encoded}"), "result")?;
        Ok(results.iter().map(|result| format!("{} = {}", result["metric"], result["value"][1])).collect())
    }

    /// Returns a list of an answer's data.
    fn get(&self, path: &str, list: &str) -> io::Result<Vec<Value>> {
        let answer = Client::new(self.address).get(path)?;
        let found = answer.json()["data"][list].as_array().cloned();
        found.ok_or_else(|| io::Error::other(format!("Prometheus answered {}: {}", answer.status, answer.text())))
    }
}

fn config(targets: &[Target]) -> String {
    let mut jobs: BTreeMap<&str, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        jobs.entry(target.job).or_default().push(target);
    }
    let mut text =
        "global:\n  scrape_interval: 2s\n  evaluation_interval: 1s\nrule_files: [rules.yml]\nscrape_configs:\n"
            .to_owned();
    for (job, targets) in jobs {
        let tls = "tls_config: { insecure_skip_verify: true }";
        text += &format!("  - job_name: {job}\n    {tls}\n    static_configs:\n");
        for Target { region, door, tls, .. } in targets {
            let scheme = if *tls { "https" } else { "http" };
            let labels = format!("{{ region: {region}, __scheme__: {scheme} }}");
            text += &format!("      - targets: ['{door}']\n        labels: {labels}\n");
        }
    }
    text
}
