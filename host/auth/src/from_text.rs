//! Values that are written as text. Their errors have the place of the text.

use serde::{
    Deserializer,
    de::{Error, Visitor},
};
use std::fmt;

/// Deserializes a text, and converts it. The conversion is a part of the visitor, because toml gives the place of a
/// value only to errors that the value's visitor returns. Later ones have the place of the list around it.
///
/// # Errors
/// The value is no text, or the conversion fails.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    from: D,
    convert: fn(String) -> Result<T, E>,
) -> Result<T, D::Error> {
    struct Converting<T, E>(fn(String) -> Result<T, E>);

    impl<T, E: fmt::Display> Visitor<'_> for Converting<T, E> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<X: Error>(self, text: &str) -> Result<T, X> {
            (self.0)(text.to_owned()).map_err(X::custom)
        }
    }
    from.deserialize_str(Converting(convert))
}
