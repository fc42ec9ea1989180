//! Components that are built to do harm: at their start, in their answers, by their content.

use crate::{
    rows::{Answers, Rows},
    support::{Module, component, config, present},
};
use bytes::Bytes;
use littoral_model::{
    column::ColumnData,
    module::ModuleDigest,
    ports::{ModuleError, ModuleRuntime as _},
};
use littoral_sandbox::{Config, Instances, Runtime};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

/// Returns a section of a component: its kind, its length, its bytes.
fn section(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
    out
}

/// Returns the number of core modules at the top of a component.
fn core_modules(component: &[u8]) -> u8 {
    let (mut at, mut count) = (8, 0);
    while at < component.len() {
        count += u8::from(component[at] == 1);
        let (mut len, mut shift) = (0, 0);
        loop {
            at += 1;
            len |= usize::from(component[at] & 0x7f) << shift;
            shift += 7;
            if component[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + len;
    }
    count
}

/// Returns the misbehaving guest with one more core module, which is instantiated with it.
fn with_core_module(text: &str) -> Bytes {
    let guest = component("misbehaving/deeds");
    let instantiate = [1, 0, core_modules(&guest), 0];
    [&guest[..], &section(1, &wat::parse_str(text).unwrap()), &section(2, &instantiate)].concat().into()
}

/// Returns the misbehaving guest as another release, by a section without meaning.
fn release(number: u8) -> Bytes {
    [&component("misbehaving/deeds")[..], &section(0, &[1, b'n', number])].concat().into()
}

async fn started(runtime: &Arc<Runtime>, component: Bytes) -> Module {
    let digest = ModuleDigest::of(&component);
    let manifest = Arc::new(runtime.inspect(component.clone()).await.unwrap());
    runtime.prepare(digest, component).await.unwrap();
    Module { runtime: runtime.clone(), digest, manifest, name: "deeds".into() }
}

#[tokio::test]
async fn a_start_function_that_does_not_end_is_ended() {
    let endless = with_core_module("(module (func $f (loop (br 0))) (start $f))");
    let begun = Instant::now();
    let error = Runtime::new(config()).unwrap().inspect(endless).await.unwrap_err();
    let ModuleError::Rejected(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("cannot be instantiated") && why.contains("interrupt"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_time_limit_covers_the_start() {
    // It would compute for a long time, but the time limit is shorter.
    let endless = with_core_module("(module (func $f (loop (br 0))) (start $f))");
    let bounds = Config { deadline_ms: 600_000, wall_ms: 50, ..config() };
    let error = Runtime::new(bounds).unwrap().inspect(endless).await.unwrap_err();
    assert!(error.to_string().contains("longer than its deadline of 50 ms"), "{error}");
}

#[tokio::test]
async fn a_straight_line_of_host_calls_is_ended_too() {
    let straight = |calls: usize| -> Bytes {
        let logs = "i32.const 1 i32.const 0 i32.const 8388000 call $log\n".repeat(calls);
        wat::parse_str(include_str!("straight.wat").replace(";; LOGS", &logs)).unwrap().into()
    };
    let runtime = Runtime::new(Config { deadline_ms: 20, wall_ms: 600_000, ..config() }).unwrap();
    let nobody = || Rows::new(Answers::Now);
    let few = started(&runtime, straight(1)).await.call(1, Vec::new(), Vec::new(), nobody()).await.unwrap();
    assert_eq!(few, [present(ColumnData::Double(vec![7.0]))]);
    let module = started(&runtime, straight(3_000)).await;
    let other = tokio::spawn(async {
        let mut turns = 0;
        loop {
            tokio::task::yield_now().await;
            turns += 1;
            if turns == 5 {
                return;
            }
        }
    });
    let error = module.call(1, Vec::new(), Vec::new(), nobody()).await.unwrap_err();
    assert!(matches!(error, ModuleError::Timeout { deadline_ms: 20, .. }), "{error}");
    assert!(other.is_finished(), "it yields in between, on the only thread here");
}

#[tokio::test]
async fn a_start_function_that_traps_and_a_describe_that_traps_are_rejected_with_the_reason() {
    let runtime = Runtime::new(config()).unwrap();
    let trapping = with_core_module("(module (func $f unreachable) (start $f))");
    let why = runtime.inspect(trapping).await.unwrap_err().to_string();
    assert!(why.contains("cannot be instantiated") && why.contains("unreachable"), "{why}");
    let why = runtime.inspect(component("misbehaving/trapping_describe")).await.unwrap_err().to_string();
    assert!(why.contains("describe() failed") && why.contains("no words for it"), "{why}");
}

#[tokio::test]
async fn a_guest_that_handles_rejected_growth_is_answered_and_its_memory_released() {
    let module = Module::deeds(Instances::Warm).await;
    let pages = module.deed("memory, and continues", 0).await.unwrap();
    assert!(pages > 16.0 && pages <= 512.0, "{pages} pages of 64 KiB are within 32 MiB");
    // If the large instance were kept, this would be its second call, and the growth would fail at once.
    assert_eq!(module.deed("count", 0).await, Ok(1.0), "an instance that has grown large is not kept");
}

#[tokio::test]
async fn values_that_share_memory_count_as_often_as_they_are_passed() {
    let module = Module::deeds(Instances::Warm).await;
    for (deed, n) in [("aliased strings", 100_000), ("overlapping lists", 50_000)] {
        let error = module.deed(deed, n).await.unwrap_err();
        let ModuleError::WrongShape { reason, .. } = &error else { panic!("{deed}: {error:?}") };
        assert!(reason.contains("8388608 bytes"), "{deed}: {reason}");
        assert_eq!(module.deed("behave", 7).await, Ok(7.0), "after '{deed}'");
    }
    // Few enough to be accepted: then their type is wrong, and the damage that the guest did to itself ends with the
    // call.
    for deed in ["aliased strings", "overlapping lists"] {
        assert!(module.deed(deed, 2).await.is_err(), "{deed}");
        assert_eq!(module.deed("behave", 7).await, Ok(7.0), "after '{deed}'");
    }
}

#[tokio::test]
async fn idle_instances_of_others_are_dropped_when_the_pool_is_full() {
    let bounds = Config { instances: Instances::Warm, instances_max: 2, ..config() };
    let runtime = Runtime::new(bounds).unwrap();
    let mut modules = Vec::new();
    for number in 0..4 {
        modules.push(started(&runtime, release(number)).await);
    }
    // Twice as many releases as slots: each call finds the pool full of others' idle instances.
    for round in 0..3 {
        for module in &modules {
            assert_eq!(module.deed("behave", round).await, Ok(round as f64), "round {round}");
        }
    }
}

#[tokio::test]
async fn a_compiler_with_endless_output_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("endless");
    for (script, expected) in [
        ("#!/bin/sh\nexec /bin/cat /dev/zero\n", "native code is larger than"),
        ("#!/bin/sh\nexec /bin/cat /dev/zero >&2\n", "did not stay within"),
    ] {
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let guest = component("misbehaving/deeds");
        let bounds = Config {
            compile_seconds: 600,
            component_bytes: guest.len() as u64,
            compile_command: Some(program.clone()),
            cache_dir: None,
            ..config()
        };
        let begun = Instant::now();
        let why = Runtime::new(bounds).unwrap().inspect(guest).await.unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    }
}
