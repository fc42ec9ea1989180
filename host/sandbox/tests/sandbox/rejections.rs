//! Rejected components, and the handling of compiled code.

use crate::support::{Module, compiler, component, config};
use bytes::Bytes;
use littoral_model::{
    module::ModuleDigest,
    ports::{ModuleError, ModuleRuntime as _},
};
use littoral_sandbox::{Config, Runtime};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

async fn rejection(config: Config, component: impl Into<Bytes>) -> String {
    match Runtime::new(config).unwrap().inspect(component.into()).await {
        Err(ModuleError::Rejected(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn bytes_that_are_not_a_component_are_rejected_with_the_reason() {
    for (bytes, expected) in [
        (Vec::new(), "it is empty"),
        (b"#!/bin/sh".to_vec(), "it is not WebAssembly"),
        (wat("(module)"), "a core WebAssembly module, not a component"),
        (b"\0asm\x0d\0\x01\0garbage".to_vec(), ""),
    ] {
        let why = rejection(config(), bytes).await;
        assert!(why.contains(expected), "{why}");
    }
}

#[tokio::test]
async fn another_world_and_forbidden_imports_are_rejected() {
    let why = rejection(config(), wat("(component)")).await;
    assert!(why.contains("littoral:feature/feature-module@0.2.0"), "{why}");
    let wasi = r#"(component (import "wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func)))))"#;
    let why = rejection(config(), wat(wasi)).await;
    assert!(why.contains("imports what a module may not") && why.contains("wasi:cli/environment"), "{why}");
}

#[tokio::test]
async fn a_component_that_needs_too_much_at_its_start_is_rejected() {
    let memory = "(component (core module $m (memory 1024)) (core instance (instantiate $m)))";
    let why = rejection(config(), wat(memory)).await;
    assert!(why.contains("memory"), "{why}");
    let large = Config { component_bytes: 1_000, ..config() };
    let why = rejection(large, component("misbehaving/deeds")).await;
    assert!(why.contains("at most 1000 are allowed"), "{why}");
}

#[tokio::test]
async fn a_describe_that_does_not_end_is_ended() {
    let why = rejection(Config { deadline_ms: 20, ..config() }, component("misbehaving/endless_describe")).await;
    assert!(why.contains("describe() failed") && why.contains("longer than its deadline of 20 ms"), "{why}");
}

#[tokio::test]
async fn compiling_is_bounded_in_memory() {
    let component = component("misbehaving/deeds");
    // The memory that compiling needs depends on the processor. The component's own size is too little for the compiler
    // on any of them. From there the bound doubles until it suffices, so that memory runs out at several points.
    let mut bound = component.len() as u64;
    let mut refused = 0;
    loop {
        let bounded = Config { compile_memory_bytes: bound, cache_dir: None, ..config() };
        match Runtime::new(bounded).unwrap().inspect(component.clone()).await {
            Ok(_) => break,
            Err(ModuleError::Rejected(why)) => {
                assert!(why.contains(&format!("did not stay within {bound} bytes")), "{why}");
                refused += 1;
            }
            Err(error) => panic!("{bound}: {error:?}"),
        }
        bound *= 2;
        assert!(bound <= config().compile_memory_bytes, "the default bound is too little");
    }
    assert!(refused > 0, "{bound} bytes are enough to compile {} bytes", component.len());
}

#[tokio::test]
async fn compiling_is_bounded_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let endless = dir.path().join("endless");
    fs::write(&endless, "#!/bin/sh\nexec /bin/sleep 3600\n").unwrap();
    fs::set_permissions(&endless, fs::Permissions::from_mode(0o700)).unwrap();
    let endless = Config { compile_seconds: 1, compile_command: Some(endless), cache_dir: None, ..config() };
    let refused = rejection(endless, component("misbehaving/deeds"));
    let why = tokio::time::timeout(Duration::from_secs(600), refused).await.expect("the sandbox does not wait for it");
    assert!(why.contains("longer than 1 s"), "{why}");
}

#[tokio::test]
async fn a_missing_compiler_is_named() {
    let missing = Config { compile_command: Some("/nonexistent/littoral".into()), cache_dir: None, ..config() };
    let why = rejection(missing, component("misbehaving/deeds")).await;
    assert!(why.contains("/nonexistent/littoral"), "{why}");
}

#[tokio::test]
async fn bytes_with_another_digest_are_rejected() {
    let runtime = Runtime::new(config()).unwrap();
    let error = runtime.prepare(ModuleDigest([7; 32]), component("misbehaving/deeds")).await.unwrap_err();
    assert!(error.to_string().contains("are not those of 0707"), "{error}");
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn compiled_code_is_cached_unless_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let cache_dir = dir.path().join("compiled");
    let with = |program| Config { cache_dir: Some(cache_dir.clone()), compile_command: Some(program), ..config() };
    let nobody = || "/nonexistent/littoral".into();

    let module = Module::start("misbehaving/deeds", with(compiler())).await;
    assert_eq!(module.deed("behave", 1).await, Ok(1.0));
    let kept = files(&cache_dir);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::metadata(&cache_dir).unwrap().permissions().mode() & 0o777, 0o700);

    let again = Module::start("misbehaving/deeds", with(nobody())).await;
    assert_eq!(again.deed("behave", 2).await, Ok(2.0), "no compiler was needed");

    for damage in [100_000_usize, 16, 0] {
        let mut code = fs::read(&kept[0]).unwrap();
        if damage == 0 {
            code.truncate(10)
        } else {
            code[damage] ^= 0x40
        }
        fs::write(&kept[0], code).unwrap();
        let why = rejection(with(nobody()), component("misbehaving/deeds")).await;
        assert!(why.contains("/nonexistent/littoral"), "damaged code was used: {why}");
        let mended = Module::start("misbehaving/deeds", with(compiler())).await;
        assert_eq!(mended.deed("behave", 3).await, Ok(3.0));
    }

    module.runtime.retire(module.digest);
    assert!(files(&cache_dir).is_empty());
}

#[tokio::test]
async fn a_component_that_is_only_inspected_is_not_cached() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { cache_dir: Some(dir.path().join("compiled")), ..config() };
    Runtime::new(config).unwrap().inspect(component("modules/delay_risk")).await.unwrap();
    assert!(files(&dir.path().join("compiled")).is_empty());
}
