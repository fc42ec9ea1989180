//! Finds every fault of a file's text, and reports each once.

use crate::config::{
    load::Misfit,
    places::{Places, covers},
    problem::{self, Place, Problem},
};
use serde::de::DeserializeOwned;
use std::{ops::Range, path::Path};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, Deserializer, Error},
};

/// The value of a file's text, and what is wrong with the text.
pub struct Checked<'a, T> {
    /// The value without the rejected entries; `None` if the rest has none.
    pub value: Option<T>,
    /// The faults, in the order of the text.
    pub problems: Vec<Problem>,
    /// The entries that were removed because their types reject them.
    pub rejected: Vec<Rejected>,
    /// The entries that are left.
    pub document: Spanned<DeTable<'a>>,
}

/// An entry that was removed because its type rejects it.
pub struct Rejected {
    /// Its keys from the top. A table of a list is selected by its name, as `'us'`, if it has one.
    path: Vec<String>,
    /// The key of the list that holds it, or its own key, with its sections.
    key: String,
    /// Whether `key` is the key of a list of tables.
    in_list: bool,
    /// The place of the table that held it.
    container: Range<usize>,
}

/// How many entries of one text may be rejected before the search ends: each costs another pass over the text.
const REJECTED_MAX: usize = 200;

/// Parses a text, and parses it again without each entry that its type rejects, so that all of them are found. A table
/// that lacks an entry because it was removed is removed too, without another problem.
pub fn check<'a, T: DeserializeOwned>(path: &Path, text: &'a str) -> Checked<'a, T> {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    let (mut problems, mut rejected) = (syntax(path, text, document.get_ref(), &errors), Vec::new());
    let value = loop {
        if !errors.is_empty() || rejected.len() >= REJECTED_MAX {
            break None;
        }
        let error = match T::deserialize(Deserializer::from(document.clone())) {
            Ok(value) => break Some(value),
            Err(error) => error,
        };
        if !rejected.iter().any(|entry: &Rejected| entry.causes(&error)) {
            problems.push(Problem::in_file(path, text, &error));
        }
        let whole = document.span();
        let within = Within { meant: problem::meant(&error), ..Within::default() };
        let Some(entry) = error.span().and_then(|at| remove(document.get_mut(), whole, &at, within)) else {
            break None;
        };
        rejected.push(entry);
    };
    // An entry is found when the tables before it, in the order of the fields, are valid.
    problems.sort_by_key(|problem| problem.place.line());
    Checked { value, problems, rejected, document }
}

/// Returns the faults of a text that is not TOML, one for each line. The parser goes on after a fault, so what follows
/// a bracket that is never closed appears to be wrong too: only the bracket is reported.
fn syntax(path: &Path, text: &str, table: &DeTable<'_>, errors: &[Error]) -> Vec<Problem> {
    let start = |error: &&Error| error.span().map_or(0, |span| span.start);
    let mut errors: Vec<&Error> = errors.iter().collect();
    errors.sort_by_key(start);
    let is_unclosed = |error: &&&Error| {
        ["unclosed array,", "unclosed inline table,"].iter().any(|kind| error.message().starts_with(kind))
    };
    let unclosed = errors.iter().find(is_unclosed).and_then(|error| Some((*error, opening(table, start(error))?)));
    if let Some((_, open)) = unclosed {
        errors.retain(|error| start(error) < open);
    }
    let mut problems: Vec<_> = errors.iter().map(|error| Problem::in_file(path, text, error)).collect();
    problems.dedup_by(|later, earlier| later.place == earlier.place);
    if let Some((error, open)) = unclosed {
        let places = Places::of(text);
        let place = Place::File { path: path.to_owned(), line: Some(places.line_at(open)) };
        let key = places.key_at(&(open..open + 1));
        problems.push(Problem { place, key, ..Problem::in_file(path, text, error) });
    }
    problems
}

/// Returns where the outermost list or inline table begins that ends at this place.
fn opening(table: &DeTable<'_>, end: usize) -> Option<usize> {
    fn within(value: &Spanned<DeValue<'_>>, end: usize) -> Option<usize> {
        let is_open = value.span().end == end && (value.get_ref().is_array() || value.get_ref().is_table());
        match value.get_ref() {
            _ if is_open => Some(value.span().start),
            DeValue::Table(table) => opening(table, end),
            DeValue::Array(items) => items.iter().find_map(|item| within(item, end)),
            _ => None,
        }
    }
    table.iter().find_map(|(_, value)| within(value, end))
}

/// Where a search has arrived.
#[derive(Clone, Default)]
struct Within {
    path: Vec<String>,
    list: Option<String>,
    /// The key that was meant, if the searched one is misspelt.
    meant: Option<String>,
}

impl Within {
    fn key(&self, key: &str) -> Self {
        let path = self.path.iter().cloned().chain([key.to_owned()]).collect();
        Self { path, list: self.list.clone(), meant: self.meant.clone() }
    }

    fn item(&self, item: &DeValue<'_>) -> Self {
        let Some(table) = item.as_table() else { return self.clone() };
        let list = Some(self.list.clone().unwrap_or_else(|| self.path.join(".")));
        let name = table.get("name").and_then(|name| name.get_ref().as_str()).map(|name| format!("'{name}'"));
        Self { path: self.path.iter().cloned().chain(name).collect(), list, meant: self.meant.clone() }
    }

    fn rejected(self, container: Range<usize>) -> Rejected {
        let Self { path, list, meant: _ } = self;
        let (key, in_list) = list.map_or_else(|| (path.join("."), false), |list| (list, true));
        Rejected { path, key, in_list, container }
    }
}

/// Removes the innermost entry whose key or value covers a place. `whole` is the place of the table.
fn remove(table: &mut DeTable<'_>, whole: Range<usize>, at: &Range<usize>, within: Within) -> Option<Rejected> {
    for (key, value) in table.iter_mut() {
        let removed = remove_within(value, at, within.key(key.get_ref()));
        if removed.is_some() {
            return removed;
        }
    }
    let found = table.iter().find(|(key, value)| covers(&key.span(), at) || covers(&value.span(), at));
    let key = found.map(|(key, _)| key.clone())?;
    table.remove(&key)?;
    // A misspelt key stands for the one that was meant, which is missing because of it.
    let meant = within.meant.as_deref().filter(|meant| !table.contains_key(*meant));
    Some(within.key(meant.unwrap_or(key.get_ref())).rejected(whole))
}

fn remove_within(value: &mut Spanned<DeValue<'_>>, at: &Range<usize>, within: Within) -> Option<Rejected> {
    let whole = value.span();
    match value.get_mut() {
        DeValue::Table(table) => remove(table, whole, at, within),
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                let within = within.item(item.get_ref());
                let removed = remove_within(item, at, within);
                if removed.is_some() {
                    return removed;
                }
            }
            let removed = items.iter().find(|item| covers(&item.span(), at))?;
            let removed = within.item(removed.get_ref()).rejected(whole);
            let all = std::mem::replace(items, DeArray::new());
            *items = all.into_iter().filter(|item| !covers(&item.span(), at)).collect();
            Some(removed)
        }
        _ => None,
    }
}

impl Rejected {
    /// Returns whether a table lacks a field only because this entry was removed from it.
    fn causes(&self, error: &Error) -> bool {
        let field = error.message().strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        field.is_some() && field == self.path.last().map(String::as_str) && error.span() == Some(self.container.clone())
    }

    /// Returns whether a misfit may be one only because this entry was removed: it is about the entry, or about a part
    /// or the whole of it, or it names the entry, as the message of a contradiction does.
    pub fn explains(&self, misfit: &Misfit) -> bool {
        let key = misfit.key.split(['.', ' ']).map(|part| part.trim_end_matches(',')).filter(|part| !part.is_empty());
        key.zip(&self.path).all(|(part, own)| part == own)
            || self.is_named_in(&misfit.what)
            || self.is_named_in(&misfit.remedy)
    }

    fn is_named_in(&self, text: &str) -> bool {
        let key = &self.key;
        if self.in_list {
            return text.contains(&format!("[[{key}]]"));
        }
        let last = key.rsplit('.').next().unwrap_or_default();
        let is_word = |word: &str| word == last && last.contains('_') || word == key && key.contains('.');
        let mut words =
            text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').map(|word| word.trim_end_matches('.'));
        let forms = [format!("'{last}'"), format!("[{key}]"), format!("{last} = ")];
        forms.iter().any(|form| text.contains(form)) || words.any(is_word)
    }

    /// Returns whether the entry was in the table of this list and this name, or had its name.
    pub fn is_in(&self, list: &str, name: &str) -> bool {
        let mut path = self.path.iter().map(String::as_str);
        path.next() == Some(list) && (name.is_empty() || path.next() == Some(&format!("'{name}'")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_text_that_is_not_toml_is_reported_at_its_line() {
        for (text, expected) in [
            ("a = \n[b\nc = 1\n", &["f:1: key 'a': ", "f:2: "][..]),
            ("a = yes\nb = no\n", &["f:1: key 'a': ", "f:2: key 'b': "]),
            ("a = 1 b = 2\nc = 3\n", &["f:1: "]),
            ("a = 1\na = 2\nb = 3\nb = 4\n", &["f:2: duplicate key", "f:4: duplicate key"]),
            ("x = yes\na = [1,\nb = 3\n[t]\nc = 4\n", &["f:1: ", "f:2: key 'a': unclosed array; write `]`"]),
            ("[t]\na = { x = 1, y = [2\nb = 3\n", &["f:2: key 't.a': unclosed array"]),
        ] {
            let checked = check::<toml::Table>(Path::new("f"), text);
            let found: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
            assert!(checked.value.is_none() && found.len() == expected.len(), "{text:?}: {found:#?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{expected}: {found}");
            }
        }
    }
}
