//! Calls do not affect one another.

use crate::{
    rows::{Answers, Rows},
    support::{Module, config},
};
use littoral_model::ports::{ModuleError, ModuleRuntime as _};
use littoral_sandbox::{Config, Instances, Runtime};
use std::sync::Arc;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_fresh_instance_keeps_no_state_of_earlier_calls_and_a_warm_one_does() {
    let fresh = Module::deeds(Instances::Fresh).await;
    let warm = Module::deeds(Instances::Warm).await;
    for call in 1..=3 {
        assert_eq!(fresh.deed("count", 0).await, Ok(1.0));
        assert_eq!(warm.deed("count", 0).await, Ok(f64::from(call)));
    }
}

#[tokio::test]
async fn an_instance_that_failed_is_dropped() {
    let module = Module::hurried(Instances::Warm, 20).await;
    for deed in ["panic", "loop", "stack", "memory"] {
        assert_eq!(module.deed("count", 0).await, Ok(1.0), "before '{deed}'");
        module.deed(deed, 0).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_warm_instance_serves_only_its_own_release() {
    let runtime = Runtime::new(Config { instances: Instances::Warm, ..config() }).unwrap();
    let deeds = Module::on(&runtime, "misbehaving/deeds").await;
    let other = Module::on(&runtime, "modules/transformed_conv_rate").await;
    assert_ne!(deeds.digest, other.digest);
    assert_eq!(deeds.deed("count", 0).await, Ok(1.0));
    runtime.retire(deeds.digest);
    let again = Module::on(&runtime, "misbehaving/deeds").await;
    assert_eq!(again.deed("count", 0).await, Ok(1.0), "a retired release's instances are dropped with it");
}

/// On one thread: a guest that does not yield would stop all others.
#[tokio::test(flavor = "current_thread")]
async fn a_looping_guest_yields_to_other_calls() {
    let config = Config { deadline_ms: 200, ..config() };
    let module = Arc::new(Module::start("misbehaving/deeds", config).await);
    let looping = tokio::spawn({
        let module = module.clone();
        async move { module.deed("loop", 0).await }
    });
    tokio::task::yield_now().await;
    // This is a separate task, because tokio polls a test's main future less often than its tasks.
    let serving = tokio::spawn(async move {
        let mut served = 0;
        while !looping.is_finished() {
            assert_eq!(module.deed("behave", 1).await, Ok(1.0));
            served += 1;
            tokio::task::yield_now().await;
        }
        assert!(matches!(looping.await.unwrap(), Err(ModuleError::Timeout { .. })));
        served
    });
    let served = serving.await.unwrap();
    // One would show it; how many more are served depends on the machine.
    assert!(served >= 2, "only {served} calls were served while one looped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_calls_all_get_their_own_answer() {
    for instances in [Instances::Fresh, Instances::Warm] {
        let config = Config { instances, calls_per_module: 16, deadline_ms: 20, ..config() };
        let module = Arc::new(Module::start("misbehaving/deeds", config).await);
        let mut calls = JoinSet::new();
        for worker in 0..8_i64 {
            let module = module.clone();
            calls.spawn(async move {
                for call in 0..200 {
                    let n = worker * 1_000 + call;
                    if worker == 0 && call % 20 == 0 {
                        for deed in ["loop", "panic", "memory", "stack"] {
                            module.deed(deed, 0).await.unwrap_err();
                        }
                    }
                    assert_eq!(module.deed("behave", n).await, Ok(n as f64));
                }
            });
        }
        while let Some(done) = calls.join_next().await {
            done.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn beyond_its_quota_a_release_is_busy_and_others_are_not() {
    let config = Config { calls_per_module: 2, ..config() };
    let runtime = Runtime::new(config).unwrap();
    let module = Arc::new(Module::on(&runtime, "misbehaving/deeds").await);
    let other = Module::on(&runtime, "modules/transformed_conv_rate").await;
    // Two calls use up the quota until the test releases them: each waits for a lookup.
    let rows = Rows::new(Answers::WhenReleased);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (module, rows) = (module.clone(), rows.clone());
            tokio::spawn(async move { module.deed_on(rows, "lookup", 0).await })
        })
        .collect();
    rows.waiting(2).await;
    let busy = ModuleError::Busy { module: module.name.to_string(), limit: 2 };
    assert_eq!(module.deed("behave", 1).await, Err(busy));
    crate::examples::conv_rate(&other).await;
    rows.release();
    for call in waiting {
        assert_eq!(call.await.unwrap(), Ok(12.5));
    }
    assert_eq!(module.deed("behave", 1).await, Ok(1.0), "the quota is released");
}

/// Idle instances of one release must not prevent another from running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_instances_are_dropped_for_other_releases() {
    let config = Config { instances: Instances::Warm, instances_max: 1, ..config() };
    let runtime = Runtime::new(config).unwrap();
    let deeds = Module::on(&runtime, "misbehaving/deeds").await;
    let other = Module::on(&runtime, "modules/transformed_conv_rate").await;
    for _ in 0..3 {
        assert_eq!(deeds.deed("behave", 1).await, Ok(1.0));
        crate::examples::conv_rate(&other).await;
    }
}

#[tokio::test]
async fn a_call_waits_no_longer_than_its_time_limit() {
    let module = Module::start("misbehaving/deeds", Config { wall_ms: 2_000, ..config() }).await;
    // A lookup that is never answered ends only by the time limit.
    let error = module.deed_on(Rows::new(Answers::Never), "lookup", 0).await.unwrap_err();
    assert_eq!(error, ModuleError::Timeout { module: module.name.to_string(), deadline_ms: 2_000 });
    assert_eq!(module.deed("behave", 1).await, Ok(1.0));
}
