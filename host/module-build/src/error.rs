//! Why a guest cannot be built.

use std::{io, path::PathBuf};

/// Why a guest cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder contains no crate.
    #[error("{0} has no Cargo.toml: name the folder of a guest crate")]
    NoCrate(PathBuf),
    /// A program cannot be run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// No compiler is installed, and none could be installed.
    #[error(
        "there is no compiler for WebAssembly here, and none could be installed ({0}).\n\
         Either:  rustup target add wasm32-unknown-unknown\n\
         or, on Debian:  apt-get install rustc-web rust-web-src"
    )]
    NoToolchain(String),
    /// The guest's own code does not compile.
    #[error("cargo could not build the guest in {0}; what it said stands above")]
    Build(PathBuf),
    /// The crate is not a guest: it builds no WebAssembly module.
    #[error("{0} builds no WebAssembly module: give it\n[lib]\ncrate-type = [\"cdylib\"]")]
    NoModule(PathBuf),
    /// The core module cannot be converted to a component.
    #[error("{path} cannot be made a component: {reason}; is the module exported with littoral_guest::export! ?")]
    NotAComponent {
        /// The core module.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
