//! `littoral token`: creates static tokens.

use crate::{
    failure::Failure,
    output::{self, Paint},
};
use littoral_auth::{
    Grant,
    tokens::{self, Token, Tokens},
};
use littoral_model::{
    event_time::EventTime,
    project::{self, ProjectName},
};
use littoral_runtime::replace_file;
use serde::Serialize;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// `littoral token ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a token, add its hash to a file of tokens, and print it once. Nodes reload the file when it changes.
    New(New),
}

#[derive(Debug, clap::Args)]
struct New {
    /// The token's name, for policies and audits.
    name: String,
    /// The file of tokens, as `auth.tokens` names it. Created if it does not exist.
    #[arg(long, value_name = "FILE", env = "LITTORAL_AUTH_TOKENS", default_value = "tokens.toml")]
    file: PathBuf,
    /// A grant, as read, write:fraud or read:default/driver_*. Repeat it for more. Without one, only the policy file
    /// grants scopes.
    #[arg(long = "scope", value_name = "SCOPE[:PROJECT[/PATTERN]]")]
    scopes: Vec<String>,
    /// The project of requests that name none, and of grants that name none.
    #[arg(long)]
    project: Option<ProjectName>,
    /// The number of days until the token expires.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=3_650))]
    days: i64,
}

/// The result of `littoral token new`. It contains the secret, so it has no `Debug` form.
#[derive(Serialize)]
struct Created {
    name: String,
    token: String,
    expires: String,
    file: String,
}

/// Runs the command.
///
/// # Errors
/// If a grant is invalid, the name is in use, or the file cannot be read or written.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::New(new) = &args.action;
    let created = create(new, littoral_runtime::clock::wall())?;
    output::answer(json, &created, |created| {
        format!(
            "{}\n{} token '{}' until {}; its hash is in {}. Store the token now: it is not shown again.",
            created.token,
            "created".green(),
            created.name,
            created.expires,
            created.file
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn create(new: &New, now: EventTime) -> Result<Created, Failure> {
    tokens::check_name(&new.name).map_err(Failure::usage)?;
    let project = new.project.as_ref().map_or(project::DEFAULT, ProjectName::as_str);
    for scope in &new.scopes {
        Grant::parse(scope, project).map_err(|error| Failure::usage(format!("--scope: {error}")))?;
    }
    let before = read(&new.file)?;
    let secret = tokens::create().map_err(Failure::rejected)?;
    let second = now.0.div_euclid(1_000_000_000) + new.days * DAY_S;
    let token = Token {
        name: new.name.clone(),
        sha256: secret.sha256,
        expires: EventTime(second * 1_000_000_000).to_string(),
        scopes: new.scopes.clone(),
        project: new.project.clone(),
    };
    let expires = token.expires.clone();
    let entry = toml::to_string(&Tokens { tokens: vec![token] })
        .map_err(|error| Failure::rejected(format!("the token cannot be written as TOML: {error}")))?;
    let separator = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let text = format!("{before}{separator}{entry}");
    Tokens::parse(&new.file, &text).map_err(Failure::usage)?;
    // In one step, so that a node never reads half of it.
    let replaced = replace_file(&new.file, text.as_bytes(), 0o600);
    replaced.map_err(|error| Failure::usage(format!("cannot write {}: {error}; set --file", new.file.display())))?;
    Ok(Created { name: new.name.clone(), token: secret.secret, expires, file: new.file.display().to_string() })
}

fn read(file: &Path) -> Result<String, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::usage(format!("cannot read {}: {error}; set --file", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_auth::{Scope, tokens::Hash};

    fn new(file: &Path, name: &str, scopes: &[&str]) -> New {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        New { name: name.to_owned(), file: file.to_owned(), scopes, project: None, days: 1 }
    }

    #[test]
    fn a_token_is_added_to_its_file_as_a_hash_and_comments_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens.toml");
        fs::write(&file, "# ours").unwrap();
        let now = EventTime(1_700_000_000_000_000_000);
        let first = create(&new(&file, "a", &["read:default/x_*"]), now).unwrap();
        let second = create(&new(&file, "b", &[]), now).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# ours\n[[tokens]]\n") && !text.contains(&first.token), "{text}");
        let tokens = Tokens::parse(&file, &text).unwrap();
        let at = 1_700_000_000;
        let identity = tokens.verify(&Hash::of(&first.token), at).unwrap();
        assert!(identity.grants[0].scopes.contains(Scope::Read));
        assert_eq!((identity.subject.as_str(), identity.expires_s), ("a", at + 86_400));
        assert_eq!(tokens.verify(&Hash::of(&second.token), at).unwrap().subject, "b");
        let failed = |new: &New| create(new, now).err().unwrap().to_string();
        assert!(failed(&new(&file, "a", &[])).contains("two tokens have this name"));
        assert!(failed(&new(&file, "c", &["raed"])).contains("use read, write"));
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "a failure changes nothing");
    }
}
