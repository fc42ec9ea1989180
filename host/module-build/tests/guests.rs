//! Builds valid and invalid guests with the compiler that this machine has.

use littoral_module_build::{Error, build, test};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The first bytes of a component; a core module has a `1` where the `13` stands.
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];

fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest").canonicalize().unwrap()
}

/// A crate that shares the guests' target directory and profile, so that the standard library is built only once.
fn lone_crate(crate_type: &str, code: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"lone\"\nversion = \"0.2.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"{crate_type}\"]\n\
         [profile.release]\nopt-level = 3\nlto = true\ncodegen-units = 1\npanic = \"abort\"\nstrip = \"debuginfo\"\n\
         [workspace]\n"
    );
    let config = format!("[build]\ntarget-dir = {:?}\n", guest().join("target"));
    for (path, text) in [("Cargo.toml", manifest.as_str()), (".cargo/config.toml", &config), ("src/lib.rs", code)] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

#[test]
fn an_example_becomes_a_component_and_the_same_one_each_time() {
    let built = build(&guest().join("modules/delay_risk")).unwrap();
    assert_eq!((built.name.as_str(), built.version.as_str()), ("delay_risk", "0.1.0"));
    assert_eq!(built.bytes.first_chunk(), Some(&COMPONENT));
    assert_eq!(build(&guest().join("modules/delay_risk")).unwrap(), built);
}

#[test]
fn code_that_does_not_compile_is_the_crates_fault() {
    let dir = lone_crate("cdylib", "compile_error!(\"on purpose\");");
    let error = build(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Build(_)), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_crate_that_makes_no_module_is_told_how_to() {
    let error = build(lone_crate("rlib", "").path()).unwrap_err();
    assert!(matches!(error, Error::NoModule(_)) && error.to_string().contains("cdylib"), "{error}");
}

#[test]
fn an_import_that_no_component_may_have_is_rejected() {
    let code = r#"
        #[link(wasm_import_module = "env")]
        unsafe extern "C" { fn system(command: *const u8) -> i32; }
        #[unsafe(no_mangle)]
        pub extern "C" fn run() -> i32 { unsafe { system(std::ptr::null()) } }
    "#;
    let error = build(lone_crate("cdylib", code).path()).unwrap_err();
    assert!(matches!(error, Error::NotAComponent { .. }), "{error}");
}

#[test]
fn a_guests_own_tests_pass_or_fail() {
    assert!(test(&guest().join("modules/delay_risk")).unwrap());
    let dir = lone_crate("rlib", "#[test]\nfn fails() {\n    assert_eq!(1, 2);\n}\n");
    assert!(!test(dir.path()).unwrap());
}
