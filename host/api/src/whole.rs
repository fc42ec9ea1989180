//! Whole numbers of 64 bits as text, because JSON's numbers are exact only up to 2^53. Numbers are accepted too:
//! earlier nodes wrote them.

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }
    match Form::deserialize(deserializer)? {
        Form::Number(number) => Ok(number),
        Form::Text(text) => {
            text.parse().map_err(|_| D::Error::custom(format!("'{text}' is not a whole number of 64 bits")))
        }
    }
}
