//! The WIT package as Rust, generated.
#![allow(missing_docs, reason = "generated; the documentation is in the WIT package")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "feature-module",
    imports: {
        "littoral:feature/feature-reader.lookup": async | trappable,
        "littoral:feature/logging.log": async | trappable,
    },
    exports: { default: async },
});

pub(crate) use littoral::feature::{feature_reader, logging, types};
