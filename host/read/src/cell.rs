//! Values of requests. Those of JSON borrow from the body wherever a text has no escapes.

use crate::{coerce, python};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// One value of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond `i64`.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Cell<'a>>),
    /// An object. No type accepts one, so its members are dropped; but [`python::MARK`] makes one a number.
    Object,
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Cell<'de>, E> {
        Ok(i64::try_from(v).map_or(Cell::Unsigned(v), Cell::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Float(v))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(v.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell<'de>, A::Error> {
        let mut cells = Vec::new();
        while let Some(cell) = seq.next_element()? {
            cells.push(cell);
        }
        Ok(Cell::List(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell<'de>, A::Error> {
        let mut word = None;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if name.0 == python::MARK {
                word = Some(map.next_value::<Cell<'de>>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        match word {
            Some(Cell::Text(word)) => Ok(word.parse().map_or(Cell::Object, Cell::Float)),
            _ => Ok(Cell::Object),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

/// A text, borrowed if possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Cell::deserialize(deserializer)? {
            Cell::Text(text) => Ok(Self(text)),
            other => {
                Err(D::Error::custom(format_args!("a string was expected, not {}", coerce::source(&other).shown())))
            }
        }
    }
}

/// The members of an object, in order. A repeated name keeps its first place and its last value, as in Python.
#[derive(Clone, Debug, PartialEq)]
pub struct Members<'a, V>(pub Vec<(Cow<'a, str>, V)>);

/// Columns by name.
pub type Columns<'a> = Members<'a, Vec<Cell<'a>>>;

impl<V> Default for Members<'_, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The number of members up to which a linear search finds repeats. Beyond it, a map does.
const WALK_MAX: usize = 16;

impl<V> Members<'_, V> {
    /// Returns the member of this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Members<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for MembersVisitor<V> {
            type Value = Members<'de, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, V)> = Vec::new();
                let mut places = std::collections::HashMap::new();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    let value = map.next_value()?;
                    let before = if members.len() <= WALK_MAX {
                        members.iter().position(|(member, _)| *member == name.0)
                    } else {
                        if places.is_empty() {
                            places.extend(members.iter().enumerate().map(|(at, (member, _))| (member.clone(), at)));
                        }
                        places.get(&name.0).copied()
                    };
                    match before {
                        Some(at) => members[at].1 = value,
                        None => {
                            if !places.is_empty() {
                                places.insert(name.0.clone(), members.len());
                            }
                            members.push((name.0, value));
                        }
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed_and_escaped_text_is_whole() {
        let cells: Vec<Cell<'_>> =
            serde_json::from_str(r#"["a","ä\n",1,-1.5,18446744073709551615,null,[true],{}]"#).unwrap();
        assert!(matches!(&cells[0], Cell::Text(Cow::Borrowed("a"))));
        assert!(matches!(&cells[1], Cell::Text(Cow::Owned(text)) if text == "ä\n"));
        assert_eq!(cells[4], Cell::Unsigned(u64::MAX));
        assert_eq!(cells[6], Cell::List(vec![Cell::Bool(true)]));
        assert_eq!(cells[7], Cell::Object);
    }

    #[test]
    fn a_repeated_member_keeps_its_place_and_its_last_value() {
        let few: Members<'_, i64> = serde_json::from_str(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(few.0, [("a".into(), 3), ("b".into(), 2)]);
        let mut text: String = (0..100).map(|i| format!("\"k{i}\":{i},")).collect();
        text = format!("{{{text}\"k7\":-1}}");
        let many: Members<'_, i64> = serde_json::from_str(&text).unwrap();
        assert_eq!((many.0.len(), many.get("k7")), (100, Some(&-1)));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(serde_json::from_str::<Cell<'_>>(&"[".repeat(100_000)).is_err());
    }
}
