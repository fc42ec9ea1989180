//! Builds a Rust guest crate to a component.
//!
//! If rustup's target `wasm32-unknown-unknown` is installed, it is used. Otherwise Debian's `rustc-web` and
//! `rust-web-src` build the standard library together with the guest; they are installed if they are missing and this
//! process may install them. In both cases, this process then converts the core module to a component.

#![warn(clippy::unwrap_used)]

mod cargo;
mod component;
mod debian;
mod error;
mod toolchain;

pub use error::Error;

use std::path::Path;

/// A module that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The crate's name.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// The component.
    pub bytes: Vec<u8>,
}

/// Builds the guest crate in `dir`. The output of cargo and of the package installation goes to standard error.
///
/// # Errors
/// [`Error`], which states what is missing and how to install it.
pub fn build(dir: &Path) -> Result<Built, Error> {
    let manifest = cargo::manifest(dir)?;
    let toolchain = toolchain::find()?;
    let built = cargo::build(&manifest, &toolchain)?;
    Ok(Built { name: built.name, version: built.version, bytes: component::wrap(&built.wasm)? })
}

/// Runs the guest crate's own tests natively, without WebAssembly. Returns whether they passed.
///
/// # Errors
/// [`Error`] when cargo cannot be run there.
pub fn test(dir: &Path) -> Result<bool, Error> {
    cargo::test(&cargo::manifest(dir)?)
}
