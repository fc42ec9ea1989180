//! The generated Rust code of the WIT package, in each version that components may be built for.
#![allow(missing_docs, reason = "generated; the documentation is in the WIT package")]

/// The version of the current SDK.
pub(crate) mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "feature-module",
        imports: {
            "littoral:feature/feature-reader.lookup": async | trappable,
            "littoral:feature/logging.log": async | trappable,
        },
        exports: { default: async },
    });

    pub(crate) use littoral::feature::{feature_reader, logging, types};
}

/// The version without a status for unknown rows. Its components still run.
pub(crate) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "feature-module",
        imports: {
            "littoral:feature/feature-reader.lookup": async | trappable,
            "littoral:feature/logging.log": async | trappable,
        },
        exports: { default: async },
    });

    pub(crate) use littoral::feature::{feature_reader, logging, types};
}
