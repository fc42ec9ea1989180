//! The OpenAPI document. It is built from the table of routes and from the types that requests and answers are parsed
//! into and written from, so it cannot differ from them.

mod headers;
mod operation;

pub(crate) use operation::Operation;

use crate::routes::ROUTES;
use bytes::Bytes;
use littoral_api::{Problem, problem};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(build().to_string()));

/// Returns the OpenAPI document that every door serves.
#[must_use]
pub fn document() -> Bytes {
    DOCUMENT.clone()
}

/// The schemas of the types that the document names.
pub(crate) struct Schemas {
    /// Describes what is parsed: a member with a default is optional.
    requests: SchemaGenerator,
    /// Describes what is written: a member that is always written is required.
    answers: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(plain));
        settings.definitions_path = "/components/schemas".into();
        let requests = settings.clone().for_deserialize().into_generator();
        let answers = settings.for_serialize().with_transform(RecursiveTransform(without_default)).into_generator();
        Self { requests, answers }
    }

    /// Returns the schema of a type of a request, or a reference to it.
    fn request<T: JsonSchema>(&mut self) -> Schema {
        self.requests.subschema_for::<T>()
    }

    /// Returns the schema of a type of an answer, or a reference to it.
    fn answer<T: JsonSchema>(&mut self) -> Schema {
        self.answers.subschema_for::<T>()
    }

    /// Returns the schemas to which the document refers, by name. A type that is in requests and in answers has one
    /// schema.
    fn finish(mut self) -> Map<String, Value> {
        let mut schemas = self.requests.take_definitions(true);
        schemas.extend(self.answers.take_definitions(true));
        schemas
    }
}

/// Writes a description, which is the doc comment of a Rust type, for readers of JSON.
fn plain(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n").replace("`None`", "null");
    }
}

/// Removes a default, which is for clients that read answers of older nodes.
fn without_default(schema: &mut Schema) {
    schema.remove("default");
}

fn build() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let operation = (route.describe)(Operation::new(route, &mut schemas)).finish();
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation;
    }
    let problem = schemas.answer::<Problem>();
    let of_errors = headers::references(&headers::OF_ERRORS);
    let (parameters, headers) = (headers::parameters(&mut schemas), headers::of_answers(&mut schemas));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Littoral",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Features close to the people they describe: Feast's protocol and the native API, on one port, at leaders \
                            and at edges. Every answer to a read reports its freshness, and every read may demand it.",
        },
        "tags": [
            { "name": "native", "description": "The native API. Errors are `application/problem+json`." },
            { "name": "feast", "description": "The protocol of Feast's feature server." },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": {
                "Problem": {
                    "description": "The request was rejected, or it failed.",
                    "headers": of_errors,
                    "content": { problem::MEDIA_TYPE: { "schema": problem } },
                },
                "FeastError": {
                    "description": "The request was rejected, or it failed. Errors have Feast's forms: a JSON string that holds \
                                    the JSON of `{module, class, message}`, or `{detail}`. The status is 4xx if a retry of the \
                                    same request can only fail again. A fault of the node itself is a problem.",
                    "headers": of_errors,
                    "content": { "application/json": { "schema": {} }, problem::MEDIA_TYPE: { "schema": problem } },
                },
            },
            "parameters": parameters,
            "headers": headers,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn read() -> Value {
        serde_json::from_slice(&document()).unwrap()
    }

    /// Visits every value of the document.
    fn visit(value: &Value, path: &str, seen: &mut impl FnMut(&str, &Value)) {
        seen(path, value);
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| visit(value, &format!("{path}/{name}"), seen))
            }
            Value::Array(list) => list.iter().for_each(|value| visit(value, &format!("{path}/-"), seen)),
            _ => {}
        }
    }

    #[test]
    fn the_api_document_has_every_route_and_no_other() {
        let document = read();
        let described: BTreeSet<(String, String)> = (document["paths"].as_object().unwrap().iter())
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routes = ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn the_api_document_refers_only_to_what_it_has() {
        let document = read();
        visit(&document, "", &mut |path, value| {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{path}: {reference}");
            }
        });
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_a_summary() {
        let document = read();
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["responses"].as_object().unwrap().len() >= 2, "{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
                let names = operation["parameters"].as_array().into_iter().flatten();
                let has_name = names.filter(|parameter| parameter["in"] == "path").count() == 1;
                assert_eq!(path.contains("{name}"), has_name, "{method} {path}");
            }
        }
    }

    #[test]
    fn a_type_of_requests_and_answers_has_one_schema() {
        let mut schemas = Schemas::new();
        for route in &ROUTES {
            (route.describe)(Operation::new(route, &mut schemas)).finish();
        }
        let (requests, answers) = (schemas.requests.take_definitions(true), schemas.answers.take_definitions(true));
        for (name, schema) in &requests {
            assert!(answers.get(name).is_none_or(|other| other == schema), "{name}: {schema} {:?}", answers.get(name));
        }
        // A number at the end sets two types of one name apart.
        let numbered = |name: &&String| name.ends_with(|last: char| last.is_ascii_digit());
        let numbered: Vec<&String> = requests.keys().chain(answers.keys()).filter(numbered).collect();
        assert!(numbered.is_empty(), "{numbered:?}");
    }

    #[test]
    fn everything_is_described_for_readers_of_json() {
        let document = read();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(schema["description"].is_string(), "{name}");
            for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
                assert!(schema["description"].is_string(), "{name}.{member}");
            }
        }
        visit(&document, "", &mut |path, value| {
            if let (true, Value::String(text)) = (path.ends_with("/description"), value) {
                for rust in ["[`", "::", "None", "crate", "\n "] {
                    assert!(!text.contains(rust), "{path}: {text}");
                }
            }
        });
    }
}
