//! Generated Rust bindings of the WIT package.
#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit/0.2.0",
    world: "feature-module",
    pub_export_macro: true,
    default_bindings_module: "littoral_guest::bindings",
    export_macro_name: "export_component",
});
