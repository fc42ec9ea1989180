//! Converts a core module to a component. The guest's bindings have embedded its WIT in the core module.

use crate::error::Error;
use std::{fs, path::Path};
use wit_component::ComponentEncoder;

/// Returns the component.
pub(crate) fn wrap(wasm: &Path) -> Result<Vec<u8>, Error> {
    let module = fs::read(wasm).map_err(|source| Error::Read { path: wasm.to_owned(), source })?;
    let encoded = ComponentEncoder::default().validate(true).module(&module).and_then(|encoder| encoder.encode());
    encoded.map_err(|error| Error::NotAComponent { path: wasm.to_owned(), reason: format!("{error:#}") })
}
