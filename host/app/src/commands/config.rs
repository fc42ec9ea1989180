//! `littoral config`: checks configuration files.

use crate::{
    config::{self, Problem, dev, edge, leader, load::role_of, overrides::Override, router},
    definitions_file,
    failure::Failure,
    output::{self, Paint},
};
use clap::Subcommand;
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
    /// Check files: each says by its `role`, or by its definitions, what it configures.
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
    problem: Option<String>,
}

/// Checks every file and says what is wrong with each.
///
/// # Errors
/// When a file is at fault.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Check { files } = &args.action;
    let checked: Vec<_> = files.iter().map(|file| check(file)).collect();
    output::answer(json, &checked, |checked| checked.iter().map(describe).collect())?;
    let bad = checked.iter().filter(|file| !file.fine).count();
    if bad == 0 {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::usage(format!("{bad} of {} files need mending", checked.len())))
    }
}

fn describe(checked: &Checked) -> String {
    match &checked.problem {
        None => format!("{} {} ({})\n", "ok".green(), checked.file.display(), checked.configures),
        Some(problem) => format!("{} {problem}\n", "bad".red()),
    }
}

fn check(file: &Path) -> Checked {
    let (configures, problem) = match check_file(file) {
        Ok(configures) => (configures, None),
        Err(problem) => (String::new(), Some(problem.to_string())),
    };
    Checked { file: file.to_owned(), fine: problem.is_none(), configures, problem }
}

/// What the file configures.
///
/// # Errors
/// [`Problem`]: the first thing that is wrong with it.
pub fn check_file(file: &Path) -> Result<String, Problem> {
    let text = std::fs::read_to_string(file).map_err(|error| Problem::unreadable(file, &error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| Problem::in_file(file, &text, &error))?;
    if !table.contains_key("role") && definitions_file::is_one(&table) {
        return Ok(definitions_file::parse(file, &text)?.describe());
    }
    let none: &[Override] = &[];
    let role = role_of(file, &table)?;
    match role.as_str() {
        "leader" => config::load::<leader::File>(Some(file), none).map(drop)?,
        "edge" => config::load::<edge::File>(Some(file), none).map(drop)?,
        "dev" => config::load::<dev::File>(Some(file), none).map(drop)?,
        "router" => config::load::<router::File>(Some(file), none).map(drop)?,
        "topology" => config::load::<littoral_router::Topology>(Some(file), none).map(drop)?,
        _ => {
            return Err(Problem {
                place: config::problem::Place::File { path: file.to_owned(), line: None },
                key: "role".to_owned(),
                what: format!("there is no role '{role}'"),
                remedy: "use \"leader\", \"edge\", \"router\", \"topology\" or \"dev\"".to_owned(),
            });
        }
    }
    Ok(role)
}
