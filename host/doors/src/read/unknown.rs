//! Rows that this host does not hold and could not ask for, on Feast's doors: their protocol has no status for them.

use crate::{
    failure::Failure,
    plan::{Output, Plan},
};
use littoral_model::{
    catalogue::Catalogue,
    column::Status,
    module_outputs::ModuleOutputs,
    read::{ReadAnswer, ReadError},
};

/// Fails when a value of the answer is unknown. A row that only a module has read does not count, as the module has decided what
/// comes of it.
pub(super) fn refuse(
    plan: &Plan,
    answer: &ReadAnswer,
    made: &[ModuleOutputs],
    catalogue: &Catalogue,
) -> Result<(), Failure> {
    let view_name = |lookup: usize| {
        let view = plan.lookups.get(lookup).and_then(|lookup| catalogue.view_by_id(lookup.view));
        view.map_or_else(String::new, |view| view.name.clone())
    };
    for output in &plan.outputs {
        match output {
            Output::Feature(cell) => {
                if let Some(error) = answer.unknown_error(cell.lookup, view_name) {
                    return Err(error.into());
                }
            }
            Output::Made { call, output } => {
                let rows = made.get(*call).and_then(|made| made.output(*output));
                if rows.is_some_and(|rows| rows.statuses.contains(&Status::Unknown)) {
                    let module = plan.calls.get(*call).map_or("", |call| &*call.name);
                    let why = format!("module '{module}' needs rows that are not held here");
                    return Err(ReadError::LeaderUnavailable(why).into());
                }
            }
            Output::Key(_) | Output::Unneeded(_) => {}
        }
    }
    Ok(())
}
