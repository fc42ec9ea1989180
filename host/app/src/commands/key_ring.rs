//! `littoral key-ring`: makes the keys that encrypt an edge's stored files.

use crate::{
    failure::Failure,
    output::{self, Paint},
};
use littoral_at_rest::{KeyId, KeyRing};
use littoral_runtime::replace_file;
use serde::Serialize;
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// `littoral key-ring ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a new key before the others, so that it encrypts from now on; the others only decrypt. Running nodes read
    /// the file again when it changes, and then encrypt their files again. The key itself is not shown.
    Add(Add),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The name of the key. Each file that it encrypts contains the name.
    #[arg(value_parser = |text: &str| KeyId::parse(text).map_err(|error| error.to_string()))]
    name: KeyId,
    /// The file of the key ring, as `at_rest.key_ring` names it. Created if it does not exist.
    #[arg(long, value_name = "FILE", env = "LITTORAL_AT_REST_KEY_RING")]
    file: PathBuf,
}

/// The key ring after a key was added. Contains no key.
#[derive(Serialize)]
struct Added {
    key: String,
    file: String,
    /// The names of all keys, in their order.
    keys: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// If the file is invalid, has a key of this name, or cannot be read or written.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let Action::Add(add) = &args.action;
    output::answer(json, &added(add)?, |added| {
        format!(
            "{} key '{}' as the first of {} in {}. Keep a copy where backups of secrets are: files are lost without it.\n",
            "added".green(),
            added.key,
            added.keys.len(),
            added.file
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn added(add: &Add) -> Result<Added, Failure> {
    let Add { name, file } = add;
    let failed = |error: io::Error| Failure::usage(format!("cannot use {}: {error}; set --file", file.display()));
    let (before, mode) = read(file).map_err(failed)?;
    let entry = KeyRing::new_entry(name).map_err(Failure::rejected)?;
    let text = Zeroizing::new(format!("{}\n{}", *entry, *before));
    let ring = KeyRing::parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    // In one step, so that a node never reads half of it.
    replace_file(file, text.as_bytes(), mode).map_err(failed)?;
    let keys = ring.ids().map(KeyId::to_string).collect();
    Ok(Added { key: name.to_string(), file: file.display().to_string(), keys })
}

/// Returns the text and the permissions of the file; of a new one, those that it is to have.
fn read(file: &Path) -> io::Result<(Zeroizing<String>, u32)> {
    match fs::read_to_string(file) {
        Ok(text) => Ok((Zeroizing::new(text), fs::metadata(file)?.permissions().mode() & 0o777)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Zeroizing::new(String::new()), 0o600)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_before_the_others_and_comments_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let add = |name: &str| added(&Add { name: KeyId::parse(name).unwrap(), file: file.clone() });
        assert_eq!(add("a").unwrap().keys, ["a"]);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, format!("# ours\n{}", fs::read_to_string(&file).unwrap())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let second = add("b").unwrap();
        assert_eq!(second.keys, ["b", "a"]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("b:") && text.contains("# ours\na:"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        let shown = serde_json::to_string(&second).unwrap();
        let secrets = text.split([':', '\n']).filter(|part| part.len() > 40);
        assert_eq!(secrets.inspect(|secret| assert!(!shown.contains(secret), "{shown}")).count(), 2);
        let error = add("a").err().unwrap().to_string();
        assert!(error.contains("a second key is named 'a'"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "a failure changes nothing");
        fs::write(&file, "<html>").unwrap();
        assert!(add("c").err().unwrap().to_string().contains("ID:KEY"));
    }
}
