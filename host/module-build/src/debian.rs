//! Debian's compiler for WebAssembly: a `rustc` of its own, and the source of the standard library, which is built
//! together with the guest.

use crate::{
    error::Error,
    toolchain::{Toolchain, output},
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const RUSTC: &str = "/usr/bin/rustc";
/// Rust 1.85 is the first version that supports the guests' edition.
const MINOR_MIN: u32 = 85;

/// Returns Debian's compiler. Installs it if it is missing.
pub(crate) fn find(rustup_sysroot: &Path) -> Result<Toolchain, Error> {
    if !is_there() {
        install()?;
    }
    if !is_there() {
        return Err(Error::NoToolchain(format!(
            "{RUSTC} is older than 1.{MINOR_MIN}, or has no source of the standard library beside it"
        )));
    }
    let host = output(Command::new(RUSTC).arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("x86_64-unknown-linux-gnu");
    // Debian's linker needs another package to link wasm; rustup's toolchain includes a linker that can.
    let linker = rustup_sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
    if !linker.exists() {
        return Err(Error::NoToolchain(format!("{} is not there", linker.display())));
    }
    let variable = |name: &str, value: &Path| (name.to_owned(), OsString::from(value));
    Ok(Toolchain {
        variables: vec![
            variable("RUSTC", Path::new(RUSTC)),
            variable("RUSTC_BOOTSTRAP", Path::new("1")),
            variable("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker),
        ],
        arguments: vec!["-Zbuild-std=std,panic_abort".into()],
    })
}

fn is_there() -> bool {
    let Ok(version) = output(Command::new(RUSTC).arg("--version")) else { return false };
    // The package `rustc` installs the same path, and may be too old for guests.
    if minor_version(&version).is_none_or(|minor| minor < MINOR_MIN) {
        return false;
    }
    let Ok(sysroot) = output(Command::new(RUSTC).args(["--print", "sysroot"])) else { return false };
    // cargo builds the standard library from there.
    PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").exists()
}

/// Returns 96 for `rustc 1.96.0 (…)`.
fn minor_version(text: &str) -> Option<u32> {
    text.split_whitespace().nth(1)?.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

fn install() -> Result<(), Error> {
    let packages = PACKAGES.join(" ");
    eprintln!("No wasm32-unknown-unknown target is installed. Installing Debian's {packages} to build guests with …");
    let apt_get = |arguments: &[&str]| {
        let mut command = if rustix::process::geteuid().is_root() {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "apt-get"]);
            sudo
        };
        // This process may print JSON on standard output.
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Error::NoToolchain(format!("apt-get {} ended with {status}", arguments.join(" ")))),
            Err(error) => Err(Error::NoToolchain(format!("apt-get cannot be run: {error}"))),
        }
    };
    apt_get(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(PACKAGES);
    apt_get(&arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_version_is_read() {
        assert_eq!(minor_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some(96));
        assert_eq!(minor_version("rustc 1.63.0"), Some(63));
        assert_eq!(minor_version("bash: rustc: not found"), None);
    }
}
