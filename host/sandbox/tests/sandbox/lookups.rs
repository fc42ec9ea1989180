//! What a guest may look up, and the errors that it gets.

use crate::{
    rows::{Answers, Rows},
    support::{Module, config},
};
use littoral_model::{ports::ModuleError, read::ReadError};
use littoral_sandbox::{Config, Instances};

async fn error_of(module: &Module, deed: &str, n: i64) -> String {
    match module.deed(deed, n).await {
        Err(ModuleError::Failed { message, .. }) => message,
        other => panic!("'{deed}': {other:?}"),
    }
}

#[tokio::test]
async fn a_row_is_found_at_once_or_after_a_remote_request() {
    let module = Module::deeds(Instances::Warm).await;
    for answers in [Answers::Now, Answers::Later] {
        assert_eq!(module.deed_on(Rows::new(answers), "lookup", 0).await, Ok(12.5));
    }
}

#[tokio::test]
async fn waiting_for_rows_does_not_count_as_computing() {
    let module = Module::hurried(Instances::Warm, 20).await;
    let rows = Rows::new(Answers::Slowly);
    assert_eq!(module.deed_on(rows.clone(), "lookups one by one", 40).await, Ok(40.0));
    let error = module.deed_on(rows, "loop", 0).await.unwrap_err();
    assert_eq!(error, ModuleError::Timeout { module: module.name.to_string(), deadline_ms: 20 });
}

#[tokio::test]
async fn a_view_that_is_not_declared_is_not_read() {
    let module = Module::deeds(Instances::Warm).await;
    let message = error_of(&module, "lookup other view", 0).await;
    assert_eq!(message, "view 'route_daily' is not among the lookups that the module declares");
}

#[tokio::test]
async fn a_call_looks_up_a_bounded_number_of_keys() {
    let module = Module::deeds(Instances::Warm).await;
    let message = error_of(&module, "lookups", 3_000).await;
    assert_eq!(message, "3000 more keys, but the call has 2000 left");
    assert_eq!(error_of(&module, "lookups of nothing", 30_000).await, "30000 more keys, but the call has 20000 left");
}

#[tokio::test]
async fn an_answer_fits_the_guests_memory() {
    let config = Config { memory_bytes: 4 << 20, ..config() };
    let module = Module::start("misbehaving/deeds", config).await;
    let message = error_of(&module, "lookups of notes", 5_000).await;
    assert!(message.contains("more than the 4194304 bytes"), "{message}");
}

#[tokio::test]
async fn a_read_that_fails_is_the_error_of_the_call() {
    let module = Module::deeds(Instances::Warm).await;
    let error = module.deed_on(Rows::new(Answers::Fails), "lookup", 0).await.unwrap_err();
    let source = ReadError::LeaderUnavailable("it is on fire".into());
    assert_eq!(error, ModuleError::Lookup { module: module.name.to_string(), source });
}
