//! Builds a Rust guest crate to a component.
//!
//! Where `rustup target add wasm32-unknown-unknown` has been done, that target is used. Elsewhere Debian's `rustc-web` and
//! `rust-web-src` build the standard library along with the guest; they are installed when they are missing and that is
//! allowed. Either way the core module that comes out is wrapped into a component in this process.

#![warn(clippy::unwrap_used)]

mod cargo;
mod component;
mod debian;
mod error;
mod toolchain;

pub use error::Error;

use std::path::Path;

/// A module, built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The crate's name.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Builds the guest crate in `dir`. What cargo and package installation say goes to standard error.
///
/// # Errors
/// [`Error`], saying what is missing and how to get it.
pub fn build(dir: &Path) -> Result<Built, Error> {
    let manifest = cargo::manifest(dir)?;
    let toolchain = toolchain::find()?;
    let built = cargo::build(&manifest, &toolchain)?;
    Ok(Built { name: built.name, version: built.version, bytes: component::wrap(&built.wasm)? })
}

/// Runs the guest crate's own tests, natively, without WebAssembly. Says whether they passed.
///
/// # Errors
/// [`Error`] when cargo cannot be run there.
pub fn test(dir: &Path) -> Result<bool, Error> {
    cargo::test(&cargo::manifest(dir)?)
}
