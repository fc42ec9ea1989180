//! Converts a guest's declaration to the catalogue's form.

use crate::bindings::v0_2::types::{Field as GuestField, Manifest as GuestManifest, ValueType as GuestType};
use littoral_model::{
    module::{Field, Input, ModuleManifest},
    value::ValueType,
};

/// The most columns that a module may declare.
const COLUMNS_MAX: usize = 1_024;

/// Converts the declaration, or returns why it is rejected.
pub(crate) fn from_guest(guest: GuestManifest) -> Result<ModuleManifest, String> {
    let columns = guest.inputs.len() + guest.params.len() + guest.outputs.len() + guest.lookups.len();
    if columns > COLUMNS_MAX {
        return Err(format!(
            "it declares {columns} inputs, parameters, outputs and lookups; at most {COLUMNS_MAX} are allowed"
        ));
    }
    let fields = |fields: Vec<GuestField>| {
        fields.into_iter().map(|field| Field { name: field.name, value_type: value_type(field.value_type) }).collect()
    };
    Ok(ModuleManifest {
        inputs: (guest.inputs.into_iter())
            .map(|input| Input {
                view: input.view,
                feature: input.feature,
                value_type: value_type(input.value_type),
                join_key_map: input.join_keys.into_iter().map(|alias| (alias.join_key, alias.column)).collect(),
            })
            .collect(),
        params: fields(guest.params),
        outputs: fields(guest.outputs),
        lookups: guest.lookups,
        row_wise: guest.row_wise,
    })
}

fn value_type(guest: GuestType) -> ValueType {
    match guest {
        GuestType::Bool => ValueType::Bool,
        GuestType::Int32 => ValueType::Int32,
        GuestType::Int64 => ValueType::Int64,
        GuestType::Float => ValueType::Float,
        GuestType::Double => ValueType::Double,
        GuestType::String => ValueType::String,
        GuestType::Bytes => ValueType::Bytes,
        GuestType::UnixTimestamp => ValueType::UnixTimestamp,
        GuestType::BoolList => ValueType::BoolList,
        GuestType::Int32List => ValueType::Int32List,
        GuestType::Int64List => ValueType::Int64List,
        GuestType::FloatList => ValueType::FloatList,
        GuestType::DoubleList => ValueType::DoubleList,
        GuestType::StringList => ValueType::StringList,
        GuestType::BytesList => ValueType::BytesList,
        GuestType::UnixTimestampList => ValueType::UnixTimestampList,
    }
}
