//! Reads: from a body to an answer. Both doors read in the same way and differ in the words of the answer.

mod body;
mod columns;
mod demand;
mod freshness;
mod gather;
mod modules;
mod release;
mod scratch;
mod unknown;
mod write;

use crate::{
    answer::{self, Answer},
    failure::Failure,
    lenient,
    place::Place,
    plan::{Plan, Shape},
    service,
    state::State,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use littoral_api::{code, headers::MODULE_DIGEST};
use littoral_model::{
    catalogue::Catalogue,
    freshness::ReadDemand,
    parts,
    read::{ReadAnswer, ReadRequest},
};
use std::{borrow::Cow, sync::Arc};

pub(crate) use freshness::insert_position;

/// Whose words an answer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `/get-online-features`.
    Feast,
    /// `/v1/read`.
    Native,
}

/// Answers a read; gives nothing when it is one of more than `values_max` values.
pub(crate) async fn read(
    state: &State,
    place: &mut Place<'_>,
    headers: &HeaderMap,
    body: Bytes,
    dialect: Dialect,
    values_max: usize,
) -> Result<Option<Answer>, Failure> {
    let as_python;
    let parsed = match body::parse(&body, dialect) {
        // Looked at once more, as Python writes it: nearly nobody sends the words that JSON does not know.
        Err(failure) => match lenient::json(&body) {
            Cow::Borrowed(_) => return Err(failure),
            Cow::Owned(python) => {
                as_python = python;
                body::parse(&as_python, dialect)?
            }
        },
        Ok(parsed) => parsed,
    };
    let demand = demand::of(headers, parsed.demand, state.config.wait_max())?;
    if !demand.is_none() {
        meet(state, place, &demand).await?;
    }
    let names: Vec<&str> = parsed.columns().map(|(name, _)| name).collect();
    let shape = parsed.shape(&names);
    let columns: Vec<&[_]> = parsed.columns().map(|(_, cells)| cells).collect();

    let now = littoral_runtime::clock::wall();
    let mut scratch = scratch::Scratch::take();
    scratch.request.demand = demand;
    let patience = release::Patience::new(&scratch.request.demand);
    let (catalogue, plan, rows, made) = loop {
        let (catalogue, plan) = plan(state, &shape).await?;
        if patience.waits_for_newer(state, &plan).await? {
            continue;
        }
        let rows = parsed.rows(&plan)?;
        state.check_read_size(rows, plan.outputs.len())?;
        if rows.saturating_mul(plan.outputs.len()) > values_max {
            return Ok(None);
        }
        gather::keys(&plan, &columns, &names, rows, &mut scratch.request)?;
        let waits = !scratch.request.demand.is_none();
        if plan.lookups.iter().any(|lookup| lookup.combines) {
            let read = parts::read(&*state.node, &scratch.request, now, &mut scratch.answer);
            if waits { place.wait_for(read).await?? } else { read.await? }
        // Nearly always the replica has it; only what it has not is worth a boxed future.
        } else if !state.node.read_now(&scratch.request, &mut scratch.answer) {
            let read = state.node.read(&scratch.request);
            scratch.answer = if waits { place.wait_for(read).await?? } else { read.await? };
        }
        if !state.node.is_catalogue(&catalogue) {
            continue;
        }
        scratch.describe(&plan, rows, now, dialect);
        if plan.calls.is_empty() {
            break (catalogue, plan, rows, Vec::new());
        }
        match modules::call(state, &plan, &columns, &names, rows, &mut scratch, now).await {
            Ok(made) => break (catalogue, plan, rows, made),
            // The release that the plan names was replaced since.
            Err(failure) if failure.code == code::MODULE_NOT_READY && !state.node.is_catalogue(&catalogue) => {}
            // Or is on its way to be called here.
            Err(failure) if failure.code == code::MODULE_NOT_READY && patience.waits_for_first().await => {}
            Err(failure) => return Err(failure),
        }
    };
    let writing =
        write::Writing { plan: &plan, columns: &columns, names: &names, rows, scratch: &scratch, made: &made };
    if dialect == Dialect::Feast {
        unknown::refuse(&plan, &scratch.answer, &made, &catalogue)?;
    }
    let body = match dialect {
        Dialect::Feast => writing.feast(parsed.view_metadata, state.config.answer_bytes_max)?,
        Dialect::Native => writing.native(state.config.answer_bytes_max)?,
    };
    plan.answered(body.len());
    let mut response = answer::json(body);
    let headers = response.headers_mut();
    freshness::insert(headers, &scratch.answer.freshness);
    if !plan.digests.is_empty()
        && let Ok(digests) = HeaderValue::from_str(&plan.digests)
    {
        headers.insert(MODULE_DIGEST, digests);
    }
    scratch.give_back();
    Ok(Some(response))
}

/// The plan under the node's catalogue. A name that is not there may have come meanwhile, as when the first data do.
async fn plan(state: &State, shape: &Shape<'_>) -> Result<(Arc<Catalogue>, Arc<Plan>), Failure> {
    loop {
        let catalogue = state.node.catalogue();
        match state.plans.plan(&catalogue, shape) {
            Ok(plan) => return Ok((catalogue, plan)),
            Err(failure) => {
                // Whether there are data is asked first: their catalogue is there before they are.
                let failure = service::or_not_ready(state, failure).await;
                if state.node.is_catalogue(&catalogue) {
                    return Err(failure);
                }
            }
        }
    }
}

/// Waits until the demand is met, before names are looked up: the view, service or module release that the token stands
/// for may be what the replica lacks.
async fn meet(state: &State, place: &mut Place<'_>, demand: &ReadDemand) -> Result<(), Failure> {
    let nothing = ReadRequest { reads: Vec::new(), demand: demand.clone() };
    if !state.node.read_now(&nothing, &mut ReadAnswer::default()) {
        place.wait_for(state.node.read(&nothing)).await??;
    }
    Ok(())
}
