//! The details of definitions (description, tags, owner), as text and as JSON.

use crate::output::Paint;
use littoral_model::{details::About, document::AboutDocument};
use serde_json::{Value, json};

/// Adds the details of a definition to its document.
pub fn add_to(document: &mut Value, about: &About) {
    if let (Some(members), Value::Object(about)) = (document.as_object_mut(), json!(AboutDocument::from(about.clone())))
    {
        members.extend(about);
    }
}

/// Returns a definition's document with its details.
pub fn document(definition: &impl serde::Serialize, about: &About) -> Value {
    let mut document = json!(definition);
    add_to(&mut document, about);
    document
}

/// Returns the description, tags and owner of a definition, one per line; empty if it has none.
pub fn lines(about: &About) -> String {
    let said = [("description", line(&about.description)), ("owner", line(&about.owner)), ("tags", tags(about))];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(what, text)| format!("{} {text}\n", what.dim())).collect()
}

/// Like [`lines`], but on one line.
pub fn brief(about: &About) -> String {
    let parts = [line(&about.description), tags(about), line(&about.owner)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Returns a text on one line, without terminal control characters.
pub fn line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn tags(about: &About) -> String {
    let tags: Vec<_> = about.tags.iter().map(|(name, value)| line(&format!("{name}={value}"))).collect();
    tags.join(", ")
}
