//! Finds keys in a TOML text: the line of a key, and the key of an error's span. The spans come from the parser itself,
//! so comments, quotes, dotted keys and inline tables need no special treatment.

use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The keys of a text with their places. A text that is not TOML has those that the parser could recover.
pub struct Places<'a> {
    text: &'a str,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Places<'a> {
    /// Parses a text.
    pub fn of(text: &'a str) -> Self {
        let (root, _errors) = DeTable::parse_recoverable(text);
        Self { text, root }
    }

    /// Returns the line of a key, from 1. If the text does not set the key, returns the line of the innermost section
    /// that would hold it; `None` if the text has no such section either.
    ///
    /// A key is a path such as `edge.leader.addresses`. In a list of tables, `'us-east'` selects the table of that
    /// name, as in `regions 'us-east' weight`; otherwise the first one is meant.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        let mut parts = key.split(['.', ' ']).filter(|part| !part.is_empty()).peekable();
        let (mut table, mut place) = (self.root.get_ref(), None);
        while let Some(part) = parts.next() {
            let Some((found, value)) = table.get_key_value(part.trim_end_matches(',')) else { break };
            place = Some(found.span());
            let name = parts.next_if(|next| next.starts_with('\'')).map(|name| name.trim_matches('\''));
            let within = match value.get_ref() {
                DeValue::Table(within) => within,
                DeValue::Array(tables) => {
                    let named = |table: &&Spanned<DeValue<'_>>| name.is_none_or(|name| is_named(table.get_ref(), name));
                    let Some(found) = tables.iter().find(named) else { break };
                    let Some(within) = found.get_ref().as_table() else { break };
                    if name.is_some() {
                        place = within.get_key_value("name").map(|(key, _)| key.span()).or(place);
                    }
                    within
                }
                _ => break,
            };
            table = within;
        }
        place.map(|place| self.line_at(place.start))
    }

    /// Returns the line of a place, from 1.
    pub fn line_at(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }

    /// Returns the innermost key, with its sections, whose name or value covers this span; empty when none does.
    pub fn key_at(&self, span: &Range<usize>) -> String {
        key_within(self.root.get_ref(), span).unwrap_or_default()
    }
}

fn is_named(table: &DeValue<'_>, name: &str) -> bool {
    table.as_table().and_then(|table| table.get("name")).and_then(|found| found.get_ref().as_str()) == Some(name)
}

/// A table that a header opens covers only the header, so all tables are searched before their own keys.
fn key_within(table: &DeTable<'_>, at: &Range<usize>) -> Option<String> {
    let inner =
        table.iter().find_map(|(key, value)| Some(format!("{}.{}", key.get_ref(), key_of(value.get_ref(), at)?)));
    inner.or_else(|| {
        let found = table.iter().find(|(key, value)| covers(&key.span(), at) || covers(&value.span(), at));
        found.map(|(key, _)| key.get_ref().clone().into_owned())
    })
}

fn key_of(value: &DeValue<'_>, at: &Range<usize>) -> Option<String> {
    match value {
        DeValue::Table(table) => key_within(table, at),
        DeValue::Array(values) => values.iter().find_map(|value| key_of(value.get_ref(), at)),
        _ => None,
    }
}

/// Returns whether a span contains all of another.
pub fn covers(span: &Range<usize>, at: &Range<usize>) -> bool {
    span.start <= at.start && at.end <= span.end
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"role = "leader" # not a name = "of anything"
[[regions]]
name = "us"
weight = 10
[[regions]]
name = "eu"
edges = [
    { name = "e1", door = "a:1" },
    { name = "e2", door = "b:1" },
]
[ "leader" ] # the leader
# name = "commented out"
region = "eu"
"name" = "a"
lease.store = "dir:/x"
[edge]
leader = { addresses = ["a:1"], name = "inline" }
"#;

    #[test]
    fn a_key_has_the_line_that_sets_it_however_it_is_written() {
        let places = Places::of(TEXT);
        let line = |key: &str| places.line_of(key);
        assert_eq!(line("leader.name"), Some(14), "not the first line that sets some name");
        assert_eq!(line("leader.region"), Some(13));
        assert_eq!(line("leader.lease.store"), Some(15), "a dotted key");
        assert_eq!(line("edge.leader.name"), Some(17), "an inline table");
        assert_eq!(line("regions"), Some(2));
        assert_eq!(line("regions.weight"), Some(4));
        assert_eq!(line("regions 'eu' edges"), Some(7), "the second table of a list");
        assert_eq!(line("regions 'eu' edges 'e2'"), Some(9));
        assert_eq!(line("regions 'us' latitude, longitude"), Some(3), "the table that lacks the key");
        assert_eq!(line("leader.shards"), Some(11), "the section that lacks the key");
        assert_eq!(line("door.connections_max"), None);
    }

    #[test]
    fn a_span_belongs_to_the_innermost_key() {
        let places = Places::of(TEXT);
        let key = |part: &str| {
            let start = TEXT.find(part).unwrap();
            places.key_at(&(start..start + part.len()))
        };
        assert_eq!(key("\"eu\""), "regions.name");
        assert_eq!(key("\"b:1\""), "regions.edges.door");
        assert_eq!(key("region = "), "", "a span beyond one key");
        assert_eq!(key("\"inline\""), "edge.leader.name");
        assert_eq!(key("\"dir:/x\""), "leader.lease.store");
        assert_eq!(key("[ \"leader\" ]"), "leader");
    }
}
