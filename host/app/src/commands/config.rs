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
    let invalid = |what: String| {
        let place = config::problem::Place::File { path: file.to_owned(), line: None };
        vec![Problem { place, key: "auth".to_owned(), what, remedy: String::new() }]
    };
    if table.contains_key("grants") {
        return Policy::parse(file, &text).map(|_| "policy".to_owned()).map_err(invalid);
    }
    if table.contains_key("tokens") {
        return Tokens::parse(file, &text).map(|_| "tokens".to_owned()).map_err(invalid);
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
