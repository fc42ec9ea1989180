//! What is said about definitions, as people and programs read it.

use crate::output::Paint;
use littoral_model::{details::About, document::AboutDocument};
use serde_json::{Value, json};

/// Adds what is said about a definition to its document.
pub fn add_to(document: &mut Value, about: &About) {
    if let (Some(members), Value::Object(about)) = (document.as_object_mut(), json!(AboutDocument::from(about.clone())))
    {
        members.extend(about);
    }
}

/// A definition's document with what is said about it.
pub fn document(definition: &impl serde::Serialize, about: &About) -> Value {
    let mut document = json!(definition);
    add_to(&mut document, about);
    document
}

/// The description, tags and owner of a definition, one per line; empty if it has none.
pub fn lines(about: &About) -> String {
    let said = [("description", line(&about.description)), ("owner", line(&about.owner)), ("tags", tags(about))];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(what, text)| format!("{} {text}\n", what.dim())).collect()
}

/// The same on one line.
pub fn brief(about: &About) -> String {
    let parts = [line(&about.description), tags(about), line(&about.owner)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A text on one line, without what a terminal would obey.
pub fn line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn tags(about: &About) -> String {
    let tags: Vec<_> = about.tags.iter().map(|(name, value)| line(&format!("{name}={value}"))).collect();
    tags.join(", ")
}
