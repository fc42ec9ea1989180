//! Exit codes and errors: 1 rejected or a check failed, 2 usage or configuration, 3 no node could be reached.

use crate::support::{littoral, run, text};

#[test]
fn a_configuration_at_fault_is_2_and_names_file_key_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    std::fs::write(&file, "role = \"edge\"\n[logging]\nlvel = \"info\"\n").unwrap();
    let path = file.to_str().unwrap();
    for arguments in [vec!["config", "check", path], vec!["edge", "--config", path]] {
        let output = run(&arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{path}:3: key 'logging.lvel'")) && said.contains("'level'"), "{said}");
    }
}

#[test]
fn config_check_says_every_problem_and_a_start_the_first() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), "role = \"edge\"\nlisten = 5\n[door]\nconnections_max = 0\n[feed]\nheartbeat = 1\n")
        .unwrap();
    let path = file.path().to_str().unwrap();
    let output = run(&["config", "check", path]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for line in [2, 4, 6] {
        assert!(said.contains(&format!("bad {path}:{line}: ")), "{line}: {said}");
    }
    let output = run(&["config", "check", path, "--json"]);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked[0]["problems"].as_array().map(Vec::len), Some(3), "{checked}");
    assert_eq!(run(&["edge", "--config", path]).status.code(), Some(2));
}

#[test]
fn config_check_reports_every_fault_of_a_definitions_file_and_of_invalid_toml_once() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let path = file.path().to_str().unwrap();
    for (text, lines) in [
        ("[[view]]\nname = 5\nfeatures = []\n[[service]]\nname = \"s\"\nprojections = 5\n", &[2, 6][..]),
        ("role = \"edge\"\nlisten = \n[door]\nconnections_max = 7\n[feed\nheartbeat_ms = 1\n", &[2, 5]),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let output = run(&["config", "check", path]);
        let said = crate::support::text(&output.stdout);
        let bad: Vec<_> = said.lines().filter(|line| line.starts_with("bad ")).collect();
        assert_eq!(bad.len(), lines.len(), "{said}");
        for (line, bad) in lines.iter().zip(bad) {
            assert!(bad.starts_with(&format!("bad {path}:{line}: ")), "{line}: {said}");
        }
    }
}

#[test]
fn a_configuration_that_needs_more_descriptors_than_there_may_be_is_rejected() {
    for (role, key) in [("leader", "door.connections_max"), ("router", "router.gateway.connections_max")] {
        let script = "ulimit -n 900; exec \"$0\" \"$@\"";
        let output =
            std::process::Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_littoral"), role]).output();
        let output = output.unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{key} = 10000")) && said.contains("900 file descriptors"), "{said}");
    }
}

#[test]
fn the_version_is_the_builds() {
    for arguments in [&["--version"][..], &["version"], &["version", "--formats"]] {
        let said = text(&run(arguments).stdout);
        assert!(said.starts_with(&format!("littoral {}", env!("CARGO_PKG_VERSION"))), "{said}");
    }
    let formats: serde_json::Value =
        serde_json::from_str(&text(&run(&["version", "--formats", "--json"]).stdout)).unwrap();
    let protocol = &formats["formats"][0];
    assert_eq!(protocol["name"], "protocol between nodes");
    assert_eq!(protocol["reads_from"].as_u64().map(|previous| previous + 1), protocol["writes"].as_u64(), "{formats}");
}

#[test]
fn a_variable_at_fault_is_2_and_is_named() {
    let output = littoral(&["leader"]).env("LITTORAL_LEADER_SHARDS", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("LITTORAL_LEADER_SHARDS"), "{}", text(&output.stderr));
}

#[test]
fn a_node_that_is_not_there_is_3_also_for_programs() {
    let output = run(&["view", "list", "--to", "http://127.0.0.1:9", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["kind"], "unreachable");
    assert!(error["error"].as_str().unwrap().contains("127.0.0.1:9"), "{error}");
}

#[test]
fn what_is_no_component_is_1_and_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("module.wasm");
    std::fs::write(&file, b"not wasm at all").unwrap();
    let output = run(&["module", "inspect", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("not WebAssembly"), "{}", text(&output.stderr));
}

#[test]
fn an_error_code_is_explained() {
    let output = run(&["errors", "token_lost"]);
    let printed = text(&output.stdout);
    assert!(output.status.success() && printed.contains("412") && printed.contains("Discard the token."), "{printed}");
    let all: serde_json::Value = serde_json::from_slice(&run(&["errors", "--json"]).stdout).unwrap();
    assert!(all.as_array().is_some_and(|codes| codes.iter().any(|code| code["code"] == "overloaded")), "{all}");
    let output = run(&["errors", "no_such_code"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no error code 'no_such_code'"), "{}", text(&output.stderr));
}
