//! The description of one route.

use super::{Schemas, headers};
use crate::routes::Route;
use http::HeaderName;
use littoral_api::{Problem, problem};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

/// An operation of the document, under construction.
pub(crate) struct Operation<'a> {
    schemas: &'a mut Schemas,
    members: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
}

impl<'a> Operation<'a> {
    pub(super) fn new(route: &Route, schemas: &'a mut Schemas) -> Self {
        let (tag, error) = if route.endpoint.is_feast() { ("feast", "FeastError") } else { ("native", "Problem") };
        let mut members = Map::new();
        members.insert("operationId".to_owned(), route.id.into());
        members.insert("tags".to_owned(), json!([tag]));
        let error = json!({ "$ref": format!("#/components/responses/{error}") });
        let responses = Map::from_iter([("default".to_owned(), error)]);
        let new = Self { schemas, members, parameters: Vec::new(), responses };
        if route.endpoint.is_in_project() { new.header_parameters(&headers::OF_PROJECTS) } else { new }
    }

    pub(super) fn finish(self) -> Value {
        let Self { mut members, parameters, responses, .. } = self;
        if !parameters.is_empty() {
            members.insert("parameters".to_owned(), parameters.into());
        }
        members.insert("responses".to_owned(), responses.into());
        members.into()
    }

    /// Sets the sentence that describes the operation.
    pub(crate) fn summary(self, text: &str) -> Self {
        self.member("summary", text.into())
    }

    /// Sets further sentences.
    pub(crate) fn description(self, text: &str) -> Self {
        self.member("description", text.into())
    }

    /// Adds the name in the path.
    pub(crate) fn name(self, description: &str) -> Self {
        self.parameter(json!({
            "name": "name", "in": "path", "required": true, "description": description, "schema": { "type": "string" },
        }))
    }

    /// Adds a parameter of the query. `schema` also has members of the parameter: `required` and `deprecated`.
    pub(crate) fn query(self, name: &str, description: &str, mut schema: Value) -> Self {
        let mut parameter = json!({ "name": name, "in": "query", "description": description });
        for member in ["required", "deprecated"] {
            if let Some(value) = schema.as_object_mut().and_then(|schema| schema.remove(member)) {
                parameter[member] = value;
            }
        }
        parameter["schema"] = schema;
        self.parameter(parameter)
    }

    /// Adds the query's `limit`.
    pub(crate) fn limit(self, description: &str, default: usize, max: usize) -> Self {
        self.query("limit", description, json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default }))
    }

    /// Adds the headers by which a read demands freshness.
    pub(crate) fn demand_headers(self) -> Self {
        self.header_parameters(&headers::OF_READS)
    }

    /// Adds the headers of a write of rows.
    pub(crate) fn write_headers(self) -> Self {
        self.header_parameters(&headers::OF_WRITES)
    }

    /// Sets the type of the body.
    pub(crate) fn body<T: JsonSchema>(self) -> Self {
        let schema = self.schemas.request::<T>().into();
        self.body_as("application/json", schema)
    }

    /// Adds a media type of the body.
    pub(crate) fn body_as(mut self, media_type: &str, schema: Value) -> Self {
        let body = self.members.entry("requestBody").or_insert_with(|| json!({ "required": true, "content": {} }));
        body["content"][media_type] = json!({ "schema": schema });
        self
    }

    /// Sets the type of the answer.
    pub(crate) fn answer<T: JsonSchema>(self, description: &str) -> Self {
        let schema = self.schemas.answer::<T>().into();
        self.answer_as("application/json", schema, description)
    }

    /// Sets the media type and the schema of the answer.
    pub(crate) fn answer_as(self, media_type: &str, schema: Value, description: &str) -> Self {
        self.response("200", json!({ "description": description, "content": { media_type: { "schema": schema } } }))
    }

    /// Describes an answer without a body.
    pub(crate) fn empty_answer(self, description: &str) -> Self {
        self.response("200", json!({ "description": description }))
    }

    /// Adds the headers of an answer to a read.
    pub(crate) fn fresh(self) -> Self {
        self.answer_headers(&headers::OF_READ_ANSWERS)
    }

    /// Adds the headers of an answer to a write of rows.
    pub(crate) fn reached(self) -> Self {
        self.answer_headers(&headers::OF_WRITE_ANSWERS)
    }

    /// Describes an error that has a status of its own.
    pub(crate) fn problem(self, status: &str, description: &str) -> Self {
        let schema = self.schemas.answer::<Problem>();
        let content = json!({ problem::MEDIA_TYPE: { "schema": schema } });
        self.response(status, json!({ "description": description, "content": content }))
    }

    fn member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    fn header_parameters(mut self, names: &[&str]) -> Self {
        let reference = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
        self.parameters.extend(names.iter().map(reference));
        self
    }

    fn response(mut self, status: &str, mut response: Value) -> Self {
        let names: &[HeaderName] = if status == "200" { &headers::OF_ANSWERS } else { &headers::OF_ERRORS };
        response["headers"] = headers::references(names).into();
        self.responses.insert(status.to_owned(), response);
        self
    }

    fn answer_headers(mut self, names: &[HeaderName]) -> Self {
        if let Some(described) = self.responses.get_mut("200").and_then(|response| response["headers"].as_object_mut())
        {
            described.extend(headers::references(names));
        }
        self
    }
}
