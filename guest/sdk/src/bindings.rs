//! The WIT package as Rust, generated.
#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "feature-module",
    pub_export_macro: true,
    default_bindings_module: "littoral_guest::bindings",
    export_macro_name: "export_component",
});
