//! The native API.

pub(crate) mod conflicts;
pub(crate) mod names;
mod node;
mod one_write;
mod projects;
pub(crate) mod rows;
pub(crate) mod tails;
mod views;

pub(crate) use node::rendered;

use crate::{
    answer::{self, Answer},
    failure::Failure,
    openapi,
    routes::Endpoint,
    state::State,
};
use bytes::Bytes;
use http::request::Parts;
use littoral_api::code;
use serde::{Serialize, de::DeserializeOwned};

/// Answers requests other than reads.
pub(crate) async fn answer(
    state: &State,
    endpoint: Endpoint,
    name: &str,
    parts: &Parts,
    body: Bytes,
) -> Result<Answer, Failure> {
    match endpoint {
        Endpoint::Metrics => node::metrics(state),
        Endpoint::OpenApi => Ok(answer::json(openapi::document())),
        Endpoint::Status => node::status(state),
        Endpoint::Ready => node::ready(state),
        Endpoint::Fresh => node::fresh(state),
        Endpoint::Verify => match state.node.verify() {
            Some(verified) => json(&verified.await?),
            None => {
                let message =
                    "this node is not an edge; send this to an edge, which compares its rows with its leader's";
                Err(Failure::not_found(code::NOT_AN_EDGE, message))
            }
        },
        Endpoint::Adopt => node::adopt(state, parts.uri.query()),
        Endpoint::Catalogue => node::catalogue(state),
        Endpoint::ListConflicts => conflicts::list(state, parts.uri.query()),
        Endpoint::ReplayConflict => conflicts::replay(state, name, &parts.headers).await,
        Endpoint::ListTails => tails::list(state).await,
        Endpoint::ShowTail => tails::show(state, name, parts.uri.query()).await,
        Endpoint::MergeTail => tails::merge(state, name).await,
        Endpoint::DropTail => tails::drop(state, name).await,
        Endpoint::ListViews => views::list(state),
        Endpoint::GetView => views::get(state, name),
        Endpoint::PutView => views::put(state, name, &body).await,
        Endpoint::DropView => views::drop(state, name).await,
        Endpoint::PageRows => rows::page(state, name, parts.uri.query()).await,
        Endpoint::WriteRows => rows::write_view(state, name, &parts.headers, body).await,
        Endpoint::WriteViews => rows::write_views(state, &parts.headers, body).await,
        Endpoint::ListModules => names::list_modules(state),
        Endpoint::GetModule => names::get_module(state, name),
        Endpoint::PutModule => names::put_module(state, name, parts.uri.query(), body).await,
        Endpoint::DropModule => names::drop_module(state, name).await,
        Endpoint::ListServices => names::list_services(state),
        Endpoint::GetService => names::get_service(state, name),
        Endpoint::PutService => names::put_service(state, name, &body).await,
        Endpoint::DropService => names::drop_service(state, name).await,
        Endpoint::ListPushSources => names::list_push_sources(state),
        Endpoint::GetPushSource => names::get_push_source(state, name),
        Endpoint::PutPushSource => names::put_push_source(state, name, &body).await,
        Endpoint::DropPushSource => names::drop_push_source(state, name).await,
        Endpoint::ListProjects => projects::list(state),
        Endpoint::GetProject => projects::get(state, name),
        Endpoint::PutProject => projects::put(state, name, &body).await,
        Endpoint::DropProject => projects::drop(state, name).await,
        // The service answers these itself. One that arrives here is a fault of the doors.
        Endpoint::FeastRead | Endpoint::FeastPush | Endpoint::FeastWrite | Endpoint::Health | Endpoint::Read => {
            Err(Failure::internal())
        }
    }
}

fn json(value: &impl Serialize) -> Result<Answer, Failure> {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Failure::internal()
    })?;
    Ok(answer::json(body))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| invalid_body(&error))
}

fn invalid_body(error: &serde_json::Error) -> Failure {
    let code = if error.is_data() { code::INVALID_BODY } else { code::INVALID_JSON };
    Failure::bad_request(code, format!("the body is invalid: {error}"))
}

fn unknown(kind: &str, code: &'static str, name: &str) -> Failure {
    let shown: String = name.chars().take(128).collect();
    Failure::not_found(code, format!("there is no {kind} '{shown}'"))
}
