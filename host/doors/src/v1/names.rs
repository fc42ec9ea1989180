//! Modules, feature services and push sources.

use super::{json, parse, unknown};
use crate::{access, answer::Answer, failure::Failure, state::State};
use bytes::Bytes;
use littoral_api::{
    ChangeReceipt, code,
    modules::{Edges, ModuleInfo, ModulePut, Modules},
    names::{PushSources, Service, Services, Source},
};
use littoral_http::query::parameter;
use littoral_model::{
    catalogue::CatalogueChange,
    details::{PushSourceDefinition, ServiceDefinition},
};
use std::time::Duration;

/// The longest time that an upload waits for edges to be able to call the release.
const SPREAD_WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest name of a release, in bytes.
pub(crate) const RELEASE_BYTES_MAX: usize = 128;

async fn change(state: &State, change: CatalogueChange) -> Result<Answer, Failure> {
    json(&ChangeReceipt::from(&state.node.change(change).await?))
}

pub(super) fn list_modules(state: &State) -> Result<Answer, Failure> {
    json(&Modules {
        modules: state
            .catalogue()
            .modules()
            .filter(|module| access::sees(&module.name))
            .map(ModuleInfo::from)
            .collect(),
    })
}

pub(super) fn get_module(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.catalogue();
    json(&ModuleInfo::from(catalogue.module(name).ok_or_else(|| unknown("module", code::UNKNOWN_MODULE, name))?))
}

/// Returns the release that a query names, as `release` or under its former name `version`.
fn release(query: Option<&str>) -> Result<String, Failure> {
    let (release, older) = (parameter(query, "release"), parameter(query, "version"));
    if let (Some(release), Some(older)) = (&release, &older)
        && release != older
    {
        let message = "'release' and 'version', its former name, differ; send only 'release'";
        return Err(Failure::bad_request(code::INVALID_VERSION, message));
    }
    let release = release.or(older).unwrap_or_default();
    if release.is_empty() || release.len() > RELEASE_BYTES_MAX {
        let message = format!(
            "the release has {} bytes; name it with ?release= in 1 to {RELEASE_BYTES_MAX} bytes",
            release.len()
        );
        return Err(Failure::bad_request(code::INVALID_VERSION, message));
    }
    Ok(release.into_owned())
}

pub(super) async fn put_module(
    state: &State,
    name: &str,
    query: Option<&str>,
    component: Bytes,
) -> Result<Answer, Failure> {
    let release = release(query)?;
    if component.is_empty() {
        return Err(Failure::bad_request(code::EMPTY_MODULE, "the body is empty; send the component's bytes"));
    }
    let wait_ms = parameter(query, "wait_ms").map_or(Ok(0), |ms| ms.parse::<u64>());
    let wait_ms = wait_ms
        .map_err(|_| Failure::bad_request(code::INVALID_WAIT, "'wait_ms' is not a whole number of milliseconds"))?;
    let put = state.node.put_module(state.qualify(name)?, release, component).await;
    let put = put.map_err(|error| state.rejected(error, "modules"))?;
    let spread = state.node.rollout(&put, Duration::from_millis(wait_ms).min(SPREAD_WAIT_MAX)).await;
    json(&ModulePut {
        digest: put.digest.to_string(),
        manifest: put.manifest,
        receipt: ChangeReceipt::from(&put.receipt),
        edges: Edges { ready: spread.ready as u64, of: spread.of as u64 },
    })
}

pub(super) async fn drop_module(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.catalogue().module(name).is_none() {
        return Err(unknown("module", code::UNKNOWN_MODULE, name));
    }
    change(state, CatalogueChange::DropModule(state.qualify(name)?)).await
}

pub(super) fn list_services(state: &State) -> Result<Answer, Failure> {
    json(&Services {
        services: state
            .catalogue()
            .service_definitions()
            .map(Service::from)
            .filter(|service| access::sees(&service.name))
            .collect(),
    })
}

pub(super) fn get_service(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.catalogue();
    let definition = catalogue.service_definition(name);
    json(&Service::from(definition.ok_or_else(|| unknown("feature service", code::UNKNOWN_SERVICE, name))?))
}

pub(super) async fn put_service(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    let service = Service { name: state.qualify(name)?, body: parse(body)? };
    change(state, ServiceDefinition::from(service).into()).await
}

pub(super) async fn drop_service(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.catalogue().service(name).is_none() {
        return Err(unknown("feature service", code::UNKNOWN_SERVICE, name));
    }
    change(state, CatalogueChange::DropService(state.qualify(name)?)).await
}

pub(super) fn list_push_sources(state: &State) -> Result<Answer, Failure> {
    let push_sources = state
        .catalogue()
        .push_source_definitions()
        .map(Source::from)
        .filter(|source| access::sees(&source.name))
        .collect();
    json(&PushSources { push_sources })
}

pub(super) fn get_push_source(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.catalogue();
    let definition = catalogue.push_source_definition(name);
    json(&Source::from(definition.ok_or_else(|| unknown("push source", code::UNKNOWN_PUSH_SOURCE, name))?))
}

pub(super) async fn put_push_source(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    let source = Source { name: state.qualify(name)?, body: parse(body)? };
    change(state, PushSourceDefinition::from(source).into()).await
}

pub(super) async fn drop_push_source(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.catalogue().push_source(name).is_none() {
        return Err(unknown("push source", code::UNKNOWN_PUSH_SOURCE, name));
    }
    change(state, CatalogueChange::DropPushSource(state.qualify(name)?)).await
}
