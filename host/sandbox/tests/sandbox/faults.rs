//! Each way in which a guest can fail has its own error, and ends with the call.

use crate::support::{Module, config};
use littoral_model::ports::ModuleError;
use littoral_sandbox::{Config, Instances};

/// Checks that a deed fails, and that the next call is served.
async fn fails(module: &Module, deed: &str, n: i64) -> ModuleError {
    let error = module.deed(deed, n).await.unwrap_err();
    assert_eq!(module.deed("behave", 7).await, Ok(7.0), "after '{deed}'");
    error
}

#[tokio::test]
async fn a_trap_a_timeout_and_out_of_memory_are_different_errors() {
    for instances in [Instances::Fresh, Instances::Warm] {
        let module = Module::deeds(instances).await;
        let name = || module.name.to_string();
        let hurried = Module::hurried(instances, 20).await;
        assert_eq!(fails(&hurried, "loop", 0).await, ModuleError::Timeout { module: name(), deadline_ms: 20 });
        let limit_bytes = 32 << 20;
        assert_eq!(fails(&module, "memory", 0).await, ModuleError::OutOfMemory { module: name(), limit_bytes });
        let ModuleError::Trap { reason, .. } = fails(&module, "stack", 0).await else { panic!("no trap") };
        assert!(reason.contains("stack"), "{reason}");
        let ModuleError::Trap { reason, .. } = fails(&module, "panic", 0).await else { panic!("no trap") };
        assert!(reason.contains("unreachable") && reason.contains("on purpose"), "{reason}");
    }
}

#[tokio::test]
async fn the_error_of_a_wrong_shape_names_the_problem() {
    let module = Module::deeds(Instances::Warm).await;
    for (deed, expected) in [
        ("no columns", "0 columns, but 1 outputs are declared"),
        ("two columns", "2 columns, but 1 outputs are declared"),
        ("long column", "output 'out' has 3 values and 3 statuses, but the call has 2 rows"),
        ("few statuses", "output 'out' has 2 values and 0 statuses, but the call has 2 rows"),
        ("strings", "output 'out' is declared as double, but the guest returned string"),
        ("not utf-8", "utf-8"),
    ] {
        let ModuleError::WrongShape { reason, .. } = fails(&module, deed, 0).await else { panic!("'{deed}'") };
        assert!(reason.contains(expected), "{deed}: {reason}");
    }
}

#[tokio::test]
async fn a_result_beyond_the_bound_has_the_wrong_shape() {
    let module = Module::deeds(Instances::Warm).await;
    let error = fails(&module, "output", 2 << 20).await;
    let ModuleError::WrongShape { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("8388608 bytes"), "{reason}");
    // As large, but within the bound: it fails only for its length.
    let error = fails(&module, "output", 100_000).await;
    assert!(error.to_string().contains("100000 values"), "{error}");
}

#[tokio::test]
async fn a_guests_report_is_truncated_and_cleaned() {
    let module = Module::deeds(Instances::Warm).await;
    let name = || module.name.to_string();
    let error = fails(&module, "invalid input", 0).await;
    assert_eq!(error, ModuleError::Failed { module: name(), message: "n is  [31mwrong".into() });
    let ModuleError::Failed { message, .. } = fails(&module, "failure", 100_000).await else { panic!("no failure") };
    assert!(message.len() < 600 && message.ends_with('…'), "{message}");
}

#[tokio::test]
async fn bounds_follow_the_configuration() {
    let hurried = Module::hurried(Instances::Warm, 5).await;
    let error = fails(&hurried, "loop", 0).await;
    assert!(error.to_string().contains("longer than its deadline of 5 ms"), "{error}");
    let module = Module::start("misbehaving/deeds", Config { memory_bytes: 4 << 20, ..config() }).await;
    let error = fails(&module, "memory", 0).await;
    assert!(error.to_string().contains("4194304 bytes"), "{error}");
}

#[tokio::test]
async fn a_retired_release_is_not_called() {
    use littoral_model::ports::ModuleRuntime as _;
    let module = Module::start("misbehaving/deeds", Config { cache_dir: None, ..config() }).await;
    assert!(module.runtime.is_ready(module.digest));
    module.runtime.retire(module.digest);
    let error = module.deed("behave", 0).await.unwrap_err();
    assert!(matches!(error, ModuleError::NotReady { .. }), "{error:?}");
}
