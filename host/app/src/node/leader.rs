//! WIRE
use crate::{config::leader::File, failure::Failure, node::process::Tasks};
pub async fn start(config: File, tasks: Tasks, json: bool) -> Result<littoral_runtime::Supervisor, Failure> {
    let _ = (config, json);
    Ok(tasks.supervisor)
}
