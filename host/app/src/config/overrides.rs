//! Settings from the environment and from flags.

use crate::config::problem::Place;

/// The prefix of every variable of Littoral.
const PREFIX: &str = "LITTORAL_";

/// One setting from outside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Where it came from.
    pub place: Place,
    /// Its section, a dotted path; none for a key at the top.
    pub section: Option<String>,
    /// Its key.
    pub key: String,
    /// Its text.
    pub text: String,
}

impl Override {
    /// Returns a flag's value for a key such as `edge.leader.addresses`.
    pub fn flag(name: &str, path: &str, value: impl ToString) -> Self {
        let (section, key) = match path.rsplit_once('.') {
            Some((section, key)) => (Some(section.to_owned()), key),
            None => (None, path),
        };
        Self { place: Place::Flag(name.to_owned()), section, key: key.to_owned(), text: value.to_string() }
    }

    /// Returns the key with its section.
    pub fn path(&self) -> String {
        match &self.section {
            Some(section) => format!("{section}.{}", self.key),
            None => self.key.clone(),
        }
    }

    /// Returns the values that the text may stand for: as TOML first, then as a plain string.
    pub fn readings(&self) -> impl Iterator<Item = toml::Value> {
        let parsed = toml::from_str::<toml::Table>(&format!("value = {}", self.text)).ok();
        let parsed = parsed.and_then(|mut table| table.remove("value"));
        parsed.into_iter().chain(std::iter::once(toml::Value::String(self.text.clone())))
    }
}

/// Returns the settings among environment variables: `LITTORAL_<SECTION>_<KEY>`, or `LITTORAL_<KEY>` for a key at the
/// top. A variable that begins with no known section or key is ignored: container platforms set such variables for
/// every service.
pub fn from_environment(
    variables: impl Iterator<Item = (String, String)>,
    sections: &[&str],
    top: &[&str],
) -> Vec<Override> {
    let mut found: Vec<_> = variables
        .filter_map(|(name, text)| {
            let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
            let place = Place::Environment(name);
            if top.contains(&path.as_str()) {
                return Some(Override { place, section: None, key: path, text });
            }
            let (section, key) = sections
                .iter()
                .filter_map(|section| {
                    Some((*section, path.strip_prefix(&section.replace('.', "_"))?.strip_prefix('_')?))
                })
                .max_by_key(|(section, _)| section.len())?;
            Some(Override { place, section: Some(section.to_owned()), key: key.to_owned(), text })
        })
        .collect();
    // The environment has no order; sorted, the first error is always the same.
    found.sort_by_key(Override::path);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_section_and_key_and_others_are_ignored() {
        let variables = [
            ("LITTORAL_DOOR_LISTEN", "127.0.0.1:0"),
            ("LITTORAL_LISTEN", "127.0.0.1:1"),
            ("LITTORAL_EDGE_LEADER_CALL_TIMEOUT_MS", "9"),
            ("LITTORAL_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ];
        let variables = variables.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
        let found = from_environment(variables, &["door", "edge", "edge.leader"], &["listen"]);
        let paths: Vec<_> = found.iter().map(Override::path).collect();
        assert_eq!(paths, ["door.listen", "edge.leader.call_timeout_ms", "listen"]);
    }

    #[test]
    fn a_text_is_parsed_as_toml_first() {
        let values = |text: &str| Override::flag("--x", "x", text).readings().collect::<Vec<_>>();
        assert_eq!(values("5"), [toml::Value::Integer(5), toml::Value::String("5".into())]);
        assert_eq!(values("eu-1"), [toml::Value::String("eu-1".into())]);
    }
}
