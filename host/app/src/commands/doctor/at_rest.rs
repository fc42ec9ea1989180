//! Checks of the key ring, and of the keys that stored files need.

use super::finding::Finding;
use littoral_at_rest::{Config, Encryption, FileKind, KeyRing, Standing, survey};
use std::{collections::BTreeMap, io, path::PathBuf};

const SUBJECT: &str = "encryption at rest";

/// The stored files of a node.
pub struct Stored {
    /// How they are encrypted.
    pub config: Config,
    /// The data directory.
    pub data_dir: Option<PathBuf>,
    /// The directory of compiled modules.
    pub compiled: Option<PathBuf>,
}

/// Checks that the key ring can be used and has the key of every stored file. A node that encrypts nothing and has no
/// encrypted file has no finding.
pub fn check(stored: &Stored) -> Vec<Finding> {
    let encryption = match Encryption::load(&stored.config) {
        Ok(encryption) => encryption,
        Err(error) => return vec![Finding::problem(SUBJECT, format!("[at_rest]: {error}"), "")],
    };
    match standings(stored) {
        Ok(standings) => compare(encryption.keys().as_deref(), &standings),
        Err(error) => {
            vec![Finding::problem(
                SUBJECT,
                format!("the stored files cannot be listed: {error}"),
                "check the permissions",
            )]
        }
    }
}

/// Returns the number of files by their standing's label, without native code, which is compiled again if its key is
/// missing.
fn standings(stored: &Stored) -> io::Result<BTreeMap<String, Count>> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut add = |kind, standing: &Standing| {
        let count = counts.entry(standing.label().to_owned()).or_default();
        count.all += 1;
        count.needed += u64::from(kind != FileKind::CompiledModule && *standing != Standing::Damaged);
    };
    if let Some(directory) = &stored.data_dir {
        littoral_edge::stored_files(directory)?.values().for_each(|(kind, standing)| add(*kind, standing));
    }
    if let Some(directory) = &stored.compiled {
        let found = survey(directory, |name| name.ends_with(".module").then_some(FileKind::CompiledModule))?;
        found.values().for_each(|(kind, standing)| add(*kind, standing));
    }
    Ok(counts)
}

/// How many files have one standing.
#[derive(Clone, Copy, Default)]
struct Count {
    all: u64,
    /// Those that cannot be made again by the node alone.
    needed: u64,
}

fn compare(keys: Option<&KeyRing>, counts: &BTreeMap<String, Count>) -> Vec<Finding> {
    let all = |label: &str| counts.get(label).map_or(0, |count| count.all);
    let known: Vec<&str> = keys.into_iter().flat_map(KeyRing::ids).map(|id| id.as_str()).collect();
    let mut findings = Vec::new();
    for (label, Count { needed, .. }) in counts.iter().filter(|(_, count)| count.needed > 0) {
        if label != "plain" && !known.contains(&&**label) {
            let what = format!("the key '{label}' is in no key ring of this node; files that need it: {needed}");
            findings.push(Finding::problem(SUBJECT, what, "add it to the key ring ([at_rest]), after the first key"));
        }
    }
    let Some((first, others)) = known.split_first() else { return findings };
    if all("plain") > 0 {
        let what = format!("plain files: {}", all("plain"));
        findings.push(Finding::warning(SUBJECT, what, "start the node: it encrypts them"));
    }
    findings.extend(others.iter().map(|id| match all(id) {
        0 => Finding::ok(SUBJECT, format!("no file needs the key '{id}': it can be removed from the key ring")),
        count => Finding::ok(
            SUBJECT,
            format!("files that the node will encrypt again, as they need the key '{id}': {count}"),
        ),
    }));
    findings.push(Finding::ok(SUBJECT, format!("files encrypted with the first key, '{first}': {}", all(first))));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use littoral_at_rest::{FileId, KeyId};
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    fn entry(id: &str) -> String {
        KeyRing::new_entry(&KeyId::parse(id).unwrap()).unwrap().to_string()
    }

    fn levels(stored: &Stored) -> Vec<(Level, String)> {
        check(stored).into_iter().map(|finding| (finding.level, finding.what)).collect()
    }

    fn write_ring(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn files_are_compared_with_the_key_ring() {
        let dir = tempfile::tempdir().unwrap();
        let (ring, data) = (dir.path().join("ring"), dir.path().join("data"));
        fs::create_dir(&data).unwrap();
        let plain = Stored { config: Config::default(), data_dir: Some(data.clone()), compiled: None };
        assert_eq!(levels(&plain), [], "nothing is encrypted, and nothing has to be");
        let on = Stored { config: Config { key_ring: Some(ring.clone()), ..Config::default() }, ..plain };
        assert!(matches!(&levels(&on)[..], [(Level::Problem, what)] if what.contains("cannot be read")));
        let (old, new) = (entry("old"), entry("new"));
        let id = FileId { kind: FileKind::LocalSnapshot, name: "replica.snapshot" };
        let stored = Encryption::with(KeyRing::parse(&old).unwrap()).encode(id, b"rows").unwrap();
        fs::write(data.join("replica.snapshot"), stored).unwrap();
        fs::write(data.join("tail-1-2.rows"), b"plain").unwrap();
        write_ring(&ring, &new);
        let found = levels(&on);
        assert!(
            found.iter().any(|(level, what)| *level == Level::Problem && what.contains("the key 'old'")),
            "{found:?}"
        );
        assert!(found.iter().any(|(level, what)| *level == Level::Warning && what == "plain files: 1"), "{found:?}");
        write_ring(&ring, &format!("{new}\n{old}"));
        let found = levels(&on);
        assert!(found.iter().all(|(level, _)| *level != Level::Problem), "{found:?}");
        assert!(found.iter().any(|(_, what)| what.ends_with("the key 'old': 1")), "{found:?}");
        let off = Stored { config: Config::default(), data_dir: Some(data), compiled: None };
        assert!(matches!(&levels(&off)[..], [(Level::Problem, what)] if what.contains("the key 'old'")));
    }
}
