//! `littoral config`: checks configuration files.

use crate::{
    config::{
        self, Problem,
        check::check as check_text,
        dev, edge, leader,
        load::{problems, role_of},
        router,
    },
    definitions_file,
    failure::Failure,
    output::{self, Paint},
};
use clap::Subcommand;
use littoral_auth::{policy::Policy, tokens::Tokens};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `littoral config ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check files: configurations (by their `role`), definitions, policies, and static tokens.
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    fine: bool,
    configures: String,
    /// The first of the problems. Programs written for earlier versions read this key.
    problem: Option<String>,
    problems: Vec<String>,
}

/// Checks every file and prints the problems of each.
///
/// # Errors
/// If a file is invalid.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Check { files } = &args.action;
    let checked: Vec<_> = files.iter().map(|file| check(file)).collect();
    output::answer(json, &checked, |checked| checked.iter().map(describe).collect())?;
    let bad = checked.iter().filter(|file| !file.fine).count();
    if bad == 0 {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::usage(format!("{bad} of {} files are invalid", checked.len())))
    }
}

fn describe(checked: &Checked) -> String {
    if checked.fine {
        return format!("{} {} ({})\n", "ok".green(), checked.file.display(), checked.configures);
    }
    checked.problems.iter().map(|problem| format!("{} {problem}\n", "bad".red())).collect()
}

fn check(file: &Path) -> Checked {
    let (configures, problems) = match check_file(file) {
        Ok(configures) => (configures, Vec::new()),
        Err(problems) => (String::new(), problems.iter().map(ToString::to_string).collect()),
    };
    Checked {
        file: file.to_owned(),
        fine: problems.is_empty(),
        configures,
        problem: problems.first().cloned(),
        problems,
    }
}

/// Returns the problems of a file of tokens.
fn tokens_problems(file: &Path, text: &str) -> Vec<Problem> {
    let config::check::Checked { value, mut problems, document, .. } = check_text::<Tokens>(file, text);
    let Some(tokens) = value else { return problems };
    let listed = document.get_ref().get("tokens").and_then(|tokens| tokens.get_ref().as_array());
    for (at, token) in listed.into_iter().flat_map(|tokens| tokens.iter()).enumerate() {
        let name = token.get_ref().as_table().and_then(|token| token.get("name"));
        let line = name.map(|name| config::places::Places::of(text).line_at(name.span().start));
        let place = config::problem::Place::File { path: file.to_owned(), line };
        let (key, remedy) = ("tokens.name".to_owned(), String::new());
        problems.extend(tokens.repeats(at).map(|what| Problem { place, key, what, remedy }));
    }
    problems.sort_by_key(|problem| problem.place.line());
    problems
}

/// Returns what the file configures.
///
/// # Errors
/// All problems of the file.
pub fn check_file(file: &Path) -> Result<String, Vec<Problem>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![Problem::unreadable(file, &error)])?;
    let parsed = check_text::<toml::Table>(file, &text);
    let Some(table) = parsed.value else { return Err(parsed.problems) };
    if !table.contains_key("role") && definitions_file::is_one(&table) {
        return definitions_file::parse(file, &text).map(|found| found.describe());
    }
    let auth = match (table.contains_key("grants"), table.contains_key("tokens")) {
        (true, _) => Some(("policy", check_text::<Policy>(file, &text).problems)),
        (_, true) => Some(("tokens", tokens_problems(file, &text))),
        _ => None,
    };
    if let Some((configures, problems)) = auth {
        return if problems.is_empty() { Ok(configures.to_owned()) } else { Err(problems) };
    }
    let role = role_of(file, &table).map_err(|problem| vec![problem])?;
    let problems = match role.as_str() {
        "leader" => problems::<leader::File>(file, &text),
        "edge" => problems::<edge::File>(file, &text),
        "dev" => problems::<dev::File>(file, &text),
        "router" => problems::<router::File>(file, &text),
        "topology" => problems::<littoral_router::Topology>(file, &text),
        _ => vec![Problem {
            place: config::problem::Place::File { path: file.to_owned(), line: None },
            key: "role".to_owned(),
            what: format!("there is no role '{role}'"),
            remedy: "use \"leader\", \"edge\", \"router\", \"topology\" or \"dev\"".to_owned(),
        }],
    };
    if problems.is_empty() { Ok(role) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let problems = check_file(&file).unwrap_err();
        let shown = format!("{}/", dir.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&shown, "")).collect()
    }

    fn assert_found(found: &[String], expected: &[(&str, &str)]) {
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, (place, what)) in found.iter().zip(expected) {
            assert!(found.starts_with(place) && found.contains(what), "{place} {what}: {found}");
        }
    }

    #[test]
    fn every_fault_of_a_policy_is_reported_once_in_the_order_of_the_text() {
        let text = "[[grants]]\nto = [\"user:me\", \"anyone\", \"team:us\"]\nscopes = [\"raed\", \"read\", \"wriet\"]\n\
                    [[grants]]\nto = [\"anyone\"]\nscopes = []\nveiws = [\"a\"]\nproject = \"a/b\"\n\
                    [[grants]]\nscopes = []\nnames = [\"a/b\", \"c\", \"d/e\"]\n";
        assert_found(
            &found("policy.toml", text),
            &[
                ("policy.toml:2: ", "'user:me' names no caller"),
                ("policy.toml:2: ", "'team:us' names no caller"),
                ("policy.toml:3: ", "there is no scope 'raed'"),
                ("policy.toml:3: ", "there is no scope 'wriet'"),
                ("policy.toml:7: ", "there is no key 'veiws'"),
                ("policy.toml:8: ", "'a/b' stands for no project"),
                ("policy.toml:9: ", "'to'"),
                ("policy.toml:11: ", "'a/b' has a '/'"),
                ("policy.toml:11: ", "'d/e' has a '/'"),
            ],
        );
    }

    #[test]
    fn every_fault_of_a_tokens_file_is_reported_once_in_the_order_of_the_text() {
        let hash = "0".repeat(64);
        let text = format!(
            "[[tokens]]\nname = \"ci\"\nsha256 = \"lit_secret\"\nexpires = \"soon\"\n\
             [[tokens]]\nname = \"ci\"\nsha256 = \"{hash}\"\nexpires = \"2027-01-01T00:00:00Z\"\n\
             scopes = [\"raed\", \"read\", \"write:a/b/c\"]\nproject = \"a/b\"\n\
             [[tokens]]\nname = \"ci\"\nsha256 = \"{hash}\"\nexpires = \"2027-01-01T00:00:00Z\"\n"
        );
        let found = found("tokens.toml", &text);
        assert!(!found.iter().any(|problem| problem.contains("lit_secret")), "{found:?}");
        assert_found(
            &found,
            &[
                ("tokens.toml:3: ", "'sha256' is not a hash"),
                ("tokens.toml:4: ", "'expires' is not a time"),
                ("tokens.toml:9: ", "there is no scope 'raed'"),
                ("tokens.toml:9: ", "'write:a/b/c' has a second '/'"),
                ("tokens.toml:10: ", "'a/b' is not a project name"),
                ("tokens.toml:12: ", "two tokens have this name"),
            ],
        );
    }
}
