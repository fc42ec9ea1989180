//! Runs the README's commands for routing and regions against the topologies that it starts, on other ports.

use littoral_provision::{Guarded, apt, binary, cache, http::Client, ready::Ready};
use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long the regions may take to connect.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// The port of the router in the README.
const ROUTER_PORT: &str = "6560";

/// Returns the text below a heading of the README, up to the next one.
fn section(heading: &str) -> String {
    let readme = std::fs::read_to_string(cache::workspace().join("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// Returns the commands of a text's console blocks, each with its output.
fn commands(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut all: Vec<(String, String)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), String::new())),
            (None, Some((command, printed))) if command.ends_with('\\') && printed.is_empty() => {
                command.pop();
                command.push_str(line.trim_start());
            }
            (None, Some((_, printed))) => printed.push_str(&format!("{line}\n")),
            (None, None) => panic!("a block begins without a command: {line}"),
        }
    }
    all
}

/// Regions behind a router. Dropping it kills the router and its nodes.
struct Regions {
    _process: Guarded,
    router: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Regions {
    /// Starts the equivalent of `littoral dev --topology FILE`, with free ports in place of the file's.
    fn start(topology: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(cache::workspace().join(topology)).unwrap();
        // All at once, so that no port is returned twice.
        let mut free: Vec<_> = (0..64).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut parts = text.split("\"127.0.0.1:");
        let mut changed = parts.next().unwrap().to_owned();
        for part in parts {
            let (_, rest) = part.split_once('"').unwrap();
            let address = free.pop().unwrap().local_addr().unwrap();
            changed.push_str(&format!("\"{address}\"{rest}"));
        }
        drop(free);
        let file = dir.path().join("topology.toml");
        std::fs::write(&file, changed).unwrap();
        let mut command = Command::new(binary::littoral());
        command.args(["dev", "--listen", "127.0.0.1:0", "--topology"]).arg(&file);
        command.arg("--data-dir").arg(dir.path().join("data"));
        command.current_dir(cache::workspace()).stdout(Stdio::piped());
        let mut process = Guarded::start(command, "dev", &dir.path().join("dev.log")).unwrap();
        let mut line = String::new();
        BufReader::new(process.take_stdout().unwrap()).read_line(&mut line).unwrap();
        let ready: Ready = line.parse().unwrap_or_else(|error| panic!("{error}; {}", process.log_tail()));
        Self { _process: process, router: ready.door, _dir: dir }
    }

    /// Runs a command of the README and returns its output.
    fn run(&self, command: &str) -> String {
        let port = self.router.port().to_string();
        let command = command.replace(&format!("localhost:{ROUTER_PORT}"), &format!("localhost:{port}"));
        let command = command.replace(&format!("127.0.0.1:{ROUTER_PORT}"), &format!("127.0.0.1:{port}"));
        let path = format!("{}:{}", binary::littoral().parent().unwrap().display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-c", &command])
            .env("PATH", path)
            .current_dir(cache::workspace())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        printed
    }
}

/// Waits until every door of the router is healthy.
fn settle(regions: &Regions) {
    let begun = Instant::now();
    let mut client = Client::new(regions.router);
    loop {
        let status = client.get("/router/v1/status").unwrap().json();
        let all = status["regions"].as_array().cloned().unwrap_or_default();
        if !all.is_empty() && all.iter().all(|region| region["readable"] == true && region["writable"] == true) {
            return;
        }
        assert!(begun.elapsed() < SETTLE_MAX, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns the topology that a section starts.
fn topology(text: &str) -> &str {
    let rest = text.split("littoral dev --topology ").nth(1).unwrap();
    rest.split(['`', ' ', '\n']).next().unwrap()
}

#[test]
fn the_routing_section_shows_the_real_output() {
    apt::program("curl", "curl").unwrap();
    apt::program("jq", "jq").unwrap();
    let text = section("Routing");
    let regions = Regions::start(topology(&text));
    settle(&regions);
    let commands = commands(&text);
    assert!(!commands.is_empty());
    for (command, printed) in commands {
        assert_eq!(regions.run(&command), printed, "{command}");
    }
}

#[test]
fn the_regions_section_writes_to_two_regions_as_shown() {
    apt::program("curl", "curl").unwrap();
    let text = section("Regions");
    let regions = Regions::start(topology(&text));
    settle(&regions);
    // The first block starts what runs here already, and drills.
    let commands = commands(&text);
    let ran: Vec<_> = commands.iter().filter(|(command, _)| command.contains(ROUTER_PORT)).collect();
    assert_eq!(ran.len(), 2, "{commands:?}");
    for (command, printed) in ran {
        let output = regions.run(command);
        // A token differs from run to run; the names of headers do not.
        let names = |text: &str| -> Vec<String> {
            let named = text.lines().filter_map(|line| line.split_once(": "));
            named.filter(|(name, _)| name.starts_with("littoral-")).map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(&output), names(printed), "{command}: {output}");
        assert!(printed.is_empty() || output.contains("littoral-concern: regions=1"), "{output}");
    }
}
