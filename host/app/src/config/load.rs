//! Loading: the file, then the environment, then flags. Every problem is reported with its place.

use crate::config::{
    check::{Checked, check},
    overrides::Override,
    places::Places,
    problem::{Place, Problem},
};
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::{Table, Value};

/// A value that its type allows, but that is out of bounds or contradicts another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The key, with its sections.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do; empty when `what` contains it.
    pub remedy: String,
}

/// A kind of configuration file; a file names its kind in its key `role`.
pub trait File: DeserializeOwned {
    /// The value of `role`.
    const ROLE: &'static str;
    /// Its sections.
    const SECTIONS: &'static [&'static str];
    /// Its keys at the top, without `role`.
    const TOP: &'static [&'static str];

    /// Returns the values that the types allow but that are out of bounds or contradict each other.
    fn misfits(&self) -> Vec<Misfit> {
        Vec::new()
    }
}

impl Misfit {
    /// Returns the misfit of a section's key; `reason` holds what is wrong and what to do.
    pub fn of(section: &str, key: &str, reason: String) -> Self {
        let key = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        Self { key, what: reason, remedy: String::new() }
    }
}

/// Loads a configuration: the file at `path`, or the defaults without one; then `overrides` in order.
///
/// # Errors
/// [`Problem`], the first one found.
pub fn load<T: File>(path: Option<&Path>, overrides: &[Override]) -> Result<T, Problem> {
    load_with_table(path, overrides).map(|(loaded, _)| loaded)
}

/// Like [`load`]; also returns the settings as a table.
///
/// # Errors
/// As [`load`].
pub fn load_with_table<T: File>(path: Option<&Path>, overrides: &[Override]) -> Result<(T, Table), Problem> {
    let text = match path {
        Some(path) => std::fs::read_to_string(path).map_err(|error| Problem::unreadable(path, &error))?,
        None => String::new(),
    };
    let shown = path.unwrap_or(Path::new("(defaults)"));
    let mut table: Table = toml::from_str(&text).map_err(|error| Problem::in_file(shown, &text, &error))?;
    if path.is_some() {
        check_role::<T>(shown, &table)?;
    } else {
        table.insert("role".to_owned(), Value::String(T::ROLE.to_owned()));
    }
    let mut loaded = match path {
        // Parsed from the text and not from `table`, so that errors have lines.
        Some(path) => toml::from_str::<T>(&text).map_err(|error| Problem::in_file(path, &text, &error))?,
        None => T::deserialize(Value::Table(table.clone())).map_err(|error| Problem::in_file(shown, "", &error))?,
    };
    for setting in overrides {
        (table, loaded) = apply(&table, setting)?;
    }
    match loaded.misfits().into_iter().next() {
        None => Ok((loaded, table)),
        Some(misfit) => Err(placed(misfit, shown, &text, overrides)),
    }
}

/// Misfits, each with the key that resolves it. [`problems`] does not report the misfit if the file lacks that key:
/// nodes may share a file, and `LITTORAL_TLS_CERT` and `LITTORAL_LEADER_NAME` then set the key for each node.
const COMPLETED_BY_ENVIRONMENT: [(&str, (&str, &str)); 2] =
    [("tls.trust", ("tls", "cert")), ("leader.name", ("leader", "name"))];

/// Returns all problems of a file's text, each fault once.
pub fn problems<T: File>(path: &Path, text: &str) -> Vec<Problem> {
    let Checked { value, mut problems, rejected, document } = check::<T>(path, text);
    let Some(loaded) = value else { return problems };
    let sets = |(section, key)| {
        let section = document.get_ref().get(section).and_then(|section| section.get_ref().as_table());
        section.is_some_and(|section| section.contains_key(key))
    };
    let is_completed =
        |misfit: &Misfit| COMPLETED_BY_ENVIRONMENT.iter().any(|(key, by)| misfit.key == *key && !sets(*by));
    let is_consequence = |misfit: &Misfit| rejected.iter().any(|entry| entry.explains(misfit));
    let misfits = loaded.misfits().into_iter().filter(|misfit| !is_completed(misfit) && !is_consequence(misfit));
    problems.extend(misfits.map(|misfit| placed(misfit, path, text, &[])));
    problems
}

fn placed(misfit: Misfit, path: &Path, text: &str, overrides: &[Override]) -> Problem {
    let Misfit { key, what, remedy } = misfit;
    Problem { place: place_of(&key, path, text, overrides), key, what, remedy }
}

/// Returns the file's role.
///
/// # Errors
/// [`Problem`] when the file has none.
pub fn role_of(path: &Path, table: &Table) -> Result<String, Problem> {
    match table.get("role") {
        Some(Value::String(role)) => Ok(role.clone()),
        _ => Err(Problem {
            place: Place::File { path: path.to_owned(), line: None },
            key: "role".to_owned(),
            what: "the file has no role".to_owned(),
            remedy: "begin it with role = and one of \"leader\", \"edge\", \"router\", \"topology\", \"dev\""
                .to_owned(),
        }),
    }
}

fn check_role<T: File>(path: &Path, table: &Table) -> Result<(), Problem> {
    let role = role_of(path, table)?;
    if role == T::ROLE {
        return Ok(());
    }
    Err(Problem {
        place: Place::File { path: path.to_owned(), line: None },
        key: "role".to_owned(),
        what: format!("the file configures a '{role}', but a '{}' is needed", T::ROLE),
        remedy: format!("give another file, or begin it with role = \"{}\"", T::ROLE),
    })
}

fn apply<T: File>(table: &Table, setting: &Override) -> Result<(Table, T), Problem> {
    let mut first_error = None;
    for value in setting.readings() {
        let mut changed = table.clone();
        let home =
            setting.section.iter().flat_map(|section| section.split('.')).try_fold(&mut changed, |home, part| {
                home.entry(part).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
            });
        if let Some(home) = home {
            home.insert(setting.key.clone(), value);
        }
        match T::deserialize(Value::Table(changed.clone())) {
            Ok(loaded) => return Ok((changed, loaded)),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let error = first_error.unwrap_or_else(|| serde::de::Error::custom("the value cannot be parsed"));
    Err(Problem::in_value(setting.place.clone(), &setting.path(), &error))
}

/// Returns the source of a key's value: the last override that sets it, otherwise its line in the file.
fn place_of(key: &str, path: &Path, text: &str, overrides: &[Override]) -> Place {
    if let Some(setting) = overrides.iter().rev().find(|setting| setting.path() == key) {
        return setting.place.clone();
    }
    Place::File { path: path.to_owned(), line: Places::of(text).line_of(key) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{dev, edge, leader, overrides, router};

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn problem(text: &str) -> String {
        let file = file(text);
        let problem = load::<leader::File>(Some(file.path()), &[]).unwrap_err().to_string();
        problem.replace(&file.path().display().to_string(), "leader.toml")
    }

    #[test]
    fn an_unknown_key_names_file_line_key_and_remedy() {
        let text = problem("role = \"leader\"\n\n\n[feed]\n# bounds\nheartbeat = 5\n");
        assert!(text.starts_with("leader.toml:6: key 'feed.heartbeat': there is no key 'heartbeat'"), "{text}");
        assert!(text.contains("did you mean 'heartbeat_ms'?"), "{text}");
    }

    #[test]
    fn every_problem_of_a_file_is_reported_with_its_line() {
        let text = "role = \"leader\"\nlisten = \"here\"\n[leader]\nregion = \"eu\"\nshards = 0\nrow_bytes_max = 1\n\
                    [door]\nconnections_max = 0\nhosts = [\"a:1\"]\nread_rows_max = \"many\"\n[fede]\na = 1\nb = 2\n\
                    [feed]\nsubscribers_max = 99999999\n[[regions]]\nname = \"us\"\nport = 7\n[modules]\nwall_ms = -1\n";
        let found = problems::<leader::File>(Path::new("leader.toml"), text);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        for expected in [
            "leader.toml:2: key 'listen'",
            "leader.toml:5: key 'leader.shards'",
            "leader.toml:6: key 'leader.row_bytes_max'",
            "leader.toml:8: key 'door.connections_max': is 0",
            "leader.toml:9: key 'door.hosts'",
            "leader.toml:10: key 'door.read_rows_max'",
            "leader.toml:11: key 'fede'",
            "leader.toml:15: key 'feed.subscribers_max': is 99999999",
            "leader.toml:18: key",
            "leader.toml:20: key 'modules.wall_ms'",
        ] {
            assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}: {found:#?}");
        }
        let text = "role = \"leader\"\n[door]\nconnections_max = 1\n[feed]\nconnections_max = 0\n";
        let found: Vec<_> = problems::<leader::File>(Path::new("f"), text).iter().map(ToString::to_string).collect();
        assert!(found.len() == 1 && found[0].starts_with("f:5: key 'feed.connections_max'"), "{found:?}");
        let fine = "role = \"leader\"\n[door]\nconnections_max = 1\n";
        assert_eq!(problems::<leader::File>(Path::new("leader.toml"), fine), []);
    }

    #[test]
    fn what_follows_from_a_fault_is_no_further_problem() {
        let regions = "[leader]\nregion = \"eu\"\n[[regions]]\nname = \"us\"\npeers = [\"a:1\"]\n";
        let members = "[lease]\nstore = \"dir:/x\"\n[[members]]\nname = \"leader\"\npeer = \"a:1\"\n";
        let file = format!(
            "role = \"leader\"\ncatalogue_home = \"us\"\n{regions}{members}[tls]\ncert = \"c\"\ntrust = \"t\"\n"
        );
        for (right, wrong, line) in [
            // A table that then lacks a required key, the only one that another key may name.
            ("name = \"us\"", "name = 5", 6),
            ("peers = [\"a:1\"]", "peers = [5]", 7),
            ("name = \"leader\"", "name = 5", 11),
            ("peer = \"a:1\"", "pear = \"a:1\"", 12),
            // A default that contradicts another key.
            ("region = \"eu\"", "region = 5", 4),
            ("store = \"dir:/x\"", "store = 5", 9),
            ("store = \"dir:/x\"", "stor = \"dir:/x\"", 9),
            ("cert = \"c\"", "cert = 5", 14),
            ("trust = \"t\"", "trust = 5", 15),
            ("region = \"eu\"", "region = \"eu\"\nrequest_bytes_max = 0.5\nrow_bytes_max = 40_000_000", 5),
        ] {
            let text = file.replace(right, wrong);
            assert_ne!(text, file, "{right}");
            let found: Vec<_> =
                problems::<leader::File>(Path::new("f"), &text).iter().map(ToString::to_string).collect();
            assert!(found[0].starts_with(&format!("f:{line}: ")), "{wrong}: {found:#?}");
            // A misspelt key is one fault, and the required key that is therefore missing belongs to it.
            assert_eq!(found.len(), 1, "{wrong}: {found:#?}");
        }
        assert_eq!(problems::<leader::File>(Path::new("f"), &file), []);
    }

    #[test]
    fn several_faults_of_one_list_are_all_reported() {
        let text = "role = \"leader\"\ncatalogue_home = \"asia\"\n[leader]\nregion = \"eu\"\n[[regions]]\nname = \"eu\"\npeers = [\"a:1\"]\n\
                    [[regions]]\nname = \"us\"\npeers = []\n";
        let found: Vec<_> = problems::<leader::File>(Path::new("f"), text).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        for words in ["own region", "no peers for 'us'", "is 'asia', which is neither"] {
            assert!(found.iter().any(|problem| problem.contains(words)), "{words}: {found:#?}");
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_rejected_in_every_role() {
        let found = |key: &str, role: &str| {
            let (section, name) = key.rsplit_once('.').unwrap();
            let text = format!("role = \"{role}\"\n[{section}]\n{name} = 0\n");
            let path = Path::new("file.toml");
            let found = match role {
                "leader" => problems::<leader::File>(path, &text),
                "edge" => problems::<edge::File>(path, &text),
                _ => problems::<router::File>(path, &text),
            };
            assert!(found.iter().any(|problem| problem.key == key), "{role} {key}: {found:?}");
        };
        for role in ["leader", "edge"] {
            let keys = [
                "door.connections_max",
                "door.requests_max",
                "door.header_timeout_ms",
                "door.write_bytes_max",
                "feed.connections_max",
                "feed.subscribers_max",
                "feed.heartbeat_ms",
                "feed.subscribers_bytes_max",
                "modules.instances_max",
                "modules.deadline_ms",
            ];
            keys.iter().for_each(|key| found(key, role));
        }
        for key in ["router.gateway.connections_max", "router.gateway.requests_max", "router.health.interval_ms"] {
            found(key, "router");
        }
    }

    #[test]
    fn a_problem_is_reported_at_its_own_table_and_not_at_the_first_line_that_sets_such_a_key() {
        let regions = "[[regions]]\nname = \"us\"\npeers = [\"a:1\"]\n";
        let text = problem(&format!("role = \"leader\"\n{regions}[leader] # this one\nname = \"\"\nregion = \"eu\"\n"));
        assert!(text.starts_with("leader.toml:6: key 'leader.name': "), "{text}");
        let text = problem(&format!("role = \"leader\"\nleader = {{ name = \"\", region = \"eu\" }}\n{regions}"));
        assert!(text.starts_with("leader.toml:2: key 'leader.name': "), "{text}");
        let text = problem(&format!("role = \"leader\"\nleader.region = \"eu\"\nleader.name = \"\"\n{regions}"));
        assert!(text.starts_with("leader.toml:3: key 'leader.name': "), "{text}");
    }

    #[test]
    fn an_older_name_of_a_key_is_still_accepted() {
        let file = file("role = \"edge\"\n[edge]\nready_lag_ms_max = 800\n");
        let edge = load::<edge::File>(Some(file.path()), &[]).unwrap();
        assert_eq!(edge.edge.fresh_lag_ms_max, 800);
    }

    #[test]
    fn an_unknown_section_and_a_bad_value_are_named_too() {
        let text = problem("role = \"leader\"\n[fede]\nheartbeat_ms = 5\n");
        assert!(text.starts_with("leader.toml:2: key 'fede'") && text.contains("did you mean 'feed'?"), "{text}");
        let text = problem("role = \"leader\"\n[feed]\nheartbeat_ms = \"often\"\n");
        assert!(text.starts_with("leader.toml:3: key 'feed.heartbeat_ms'"), "{text}");
        assert!(text.contains("a whole number that is not negative, without quotes"), "{text}");
        let text = problem("role = \"leader\"\nlisten = \"here\"\n");
        assert!(text.starts_with("leader.toml:2: key 'listen'") && text.contains("127.0.0.1:6566"), "{text}");
        let text = problem("role = \"leader\"\n[leader]\nregion = \"Übersee\"\n");
        assert!(text.contains("leader.toml:3") && text.contains("a-z"), "{text}");
    }

    #[test]
    fn invalid_toml_and_a_file_for_another_role_are_rejected() {
        assert!(problem("role = \"leader\"\nname = \n").starts_with("leader.toml:2: "));
        assert!(problem("role = \"edge\"\n").contains("a 'leader' is needed"));
        assert!(problem("name = \"a\"\n").contains("begin it with role"));
    }

    #[test]
    fn flags_override_the_environment_which_overrides_the_file() {
        let file = file(
            "role = \"leader\"\nlisten = \"127.0.0.1:1\"\npeer_listen = \"127.0.0.1:1\"\n[leader]\nname = \"file\"\n",
        );
        let variables = [
            ("LITTORAL_LISTEN", "127.0.0.1:2"),
            ("LITTORAL_PEER_LISTEN", "127.0.0.1:2"),
            ("LITTORAL_FEED_HEARTBEAT_MS", "7"),
        ];
        let variables = variables.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        let mut all = overrides::from_environment(variables, leader::File::SECTIONS, leader::File::TOP);
        all.push(Override::flag("--peer-listen", "peer_listen", "127.0.0.1:3"));
        let loaded: leader::File = load(Some(file.path()), &all).unwrap();
        assert_eq!((loaded.leader().name.as_str(), loaded.listen.port(), loaded.peer_listen.port()), ("file", 2, 3));
        assert_eq!(loaded.feed.heartbeat_ms, 7);
    }

    #[test]
    fn a_bad_variable_and_a_bad_flag_are_named() {
        let bad = |setting| load::<leader::File>(None, &[setting]).unwrap_err().to_string();
        let variable = overrides::from_environment(
            [("LITTORAL_FEED_HEARTBEET_MS".to_owned(), "7".to_owned())].into_iter(),
            leader::File::SECTIONS,
            leader::File::TOP,
        );
        let text = bad(variable[0].clone());
        assert!(text.contains("LITTORAL_FEED_HEARTBEET_MS") && text.contains("did you mean 'heartbeat_ms'?"), "{text}");
        let text = bad(Override::flag("--region", "leader.region", "Mars!"));
        assert!(text.starts_with("flag --region: key 'leader.region'"), "{text}");
    }

    #[test]
    fn a_name_that_looks_like_a_number_stays_a_name() {
        let loaded: edge::File = load(None, &[Override::flag("--name", "edge.name", "7")]).unwrap();
        assert_eq!(loaded.edge.name, "7");
    }

    fn example(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../edge-config").join(name)
    }

    #[test]
    fn every_example_file_is_valid() {
        let listed =
            |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let top = listed(&example("."));
        let mut files: Vec<_> = top.iter().filter(|path| path.is_dir()).flat_map(|dir| listed(dir)).collect();
        files.extend(top);
        files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        for file in &files {
            crate::commands::config::check_file(file).unwrap_or_else(|problems| panic!("{problems:?}"));
        }
        assert!(files.len() >= 4, "{files:?}");
    }

    #[test]
    fn the_environment_may_name_the_certificate_of_a_file_that_several_nodes_share() {
        let shared = "role = \"edge\"\n[tls]\ntrust = \"/tls/trust.pem\"\n";
        let file = file(shared);
        crate::commands::config::check_file(file.path()).unwrap();
        let text = load::<edge::File>(Some(file.path()), &[]).unwrap_err().to_string();
        assert!(text.contains("key 'tls.trust'") && text.contains("needs 'cert'"), "{text}");
        let variable = ("LITTORAL_TLS_CERT".to_owned(), "/tls/edge-0.pem".to_owned());
        let variable = overrides::from_environment([variable].into_iter(), edge::File::SECTIONS, edge::File::TOP);
        let loaded: edge::File = load(Some(file.path()), &variable).unwrap();
        assert_eq!(loaded.tls.cert.as_deref(), Some(Path::new("/tls/edge-0.pem")));
    }

    #[test]
    fn the_examples_contain_the_defaults() {
        assert_eq!(load::<leader::File>(Some(&example("leader.toml")), &[]), load(None, &[]));
        assert_eq!(load::<edge::File>(Some(&example("edge.toml")), &[]), load(None, &[]));
        assert_eq!(load::<router::File>(Some(&example("router.toml")), &[]), load(None, &[]));
        let mut shown: dev::File = load(Some(&example("dev.toml")), &[]).unwrap();
        shown.definitions.clear();
        assert_eq!(Ok(shown), load(None, &[]));
    }

    #[test]
    fn the_examples_contain_every_key() {
        check_complete::<leader::File>("leader.toml");
        check_complete::<edge::File>("edge.toml");
        check_complete::<dev::File>("dev.toml");
        check_complete::<router::File>("router.toml");
    }

    /// Checks that the example file has every key of a section. The error for an unknown key lists all of them.
    fn check_complete<F: File + std::fmt::Debug>(name: &str) {
        let text = std::fs::read_to_string(example(name)).unwrap();
        for section in F::SECTIONS.iter().copied().chain([""]) {
            let path = if section.is_empty() { "nonsense".to_owned() } else { format!("{section}.nonsense") };
            let problem = load::<F>(None, &[Override::flag("--nonsense", &path, "1")]).unwrap_err();
            let known = problem.remedy.split(": ").last().unwrap();
            let lines = section_lines(&text, section);
            for key in known.split(", ") {
                let shown =
                    lines.iter().any(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} =")));
                let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
                let (header, of_many) = (format!("[{path}]"), format!("[[{path}]]"));
                let headed = text.lines().any(|line| line == header || line.trim_start_matches(['#', ' ']) == of_many);
                assert!(shown || headed, "{name} lacks '{section}' '{key}'");
            }
        }
    }

    /// Returns the lines below a section's header; for the top, those before the first header.
    fn section_lines<'a>(text: &'a str, section: &str) -> Vec<&'a str> {
        let mut lines = text.lines();
        if !section.is_empty() {
            lines.find(|line| *line == format!("[{section}]")).unwrap_or_else(|| panic!("no section [{section}]"));
        }
        lines.take_while(|line| !line.starts_with('[')).collect()
    }
}
