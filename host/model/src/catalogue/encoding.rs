//! The encoded form of a catalogue.
//!
//! Snapshots and feed messages embed catalogues, which have no version field of their own. A
//! catalogue without details keeps the encoding from before details existed, so old nodes and old
//! files stay compatible. A catalogue with details starts with a change count that no catalogue
//! reaches, so an older node rejects it.

use super::Catalogue;
use crate::details::Details;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::SerializeTuple as _,
};
use std::fmt;

/// Replaces the generation in the form with details, before [`WITH_DETAILS`].
const NO_GENERATION: u64 = u64::MAX;

/// Marks the form with details. An older node reads it as the number of views, finds fewer, and
/// rejects the catalogue.
const WITH_DETAILS: u64 = u64::MAX - 1;

/// The number of fields in the older form, and in the form with details.
const FIELDS: (usize, usize) = (6, 9);

impl Serialize for Catalogue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let with_details = !self.details.is_empty();
        let mut fields = serializer.serialize_tuple(if with_details { FIELDS.1 } else { FIELDS.0 })?;
        if with_details {
            fields.serialize_element(&NO_GENERATION)?;
            fields.serialize_element(&WITH_DETAILS)?;
        }
        fields.serialize_element(&self.generation)?;
        fields.serialize_element(&self.views)?;
        fields.serialize_element(&self.modules)?;
        fields.serialize_element(&self.services)?;
        fields.serialize_element(&self.push_sources)?;
        fields.serialize_element(&self.next_view)?;
        if with_details {
            fields.serialize_element(&self.details)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Catalogue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(FIELDS.1, Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Catalogue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a catalogue")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Catalogue, A::Error> {
        fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(fields: &mut A) -> Result<T, A::Error> {
            fields.next_element()?.ok_or_else(|| A::Error::custom("the catalogue is truncated"))
        }
        let mut generation: u64 = next(&mut fields)?;
        let with_details = generation == NO_GENERATION;
        if with_details {
            if next::<_, u64>(&mut fields)? != WITH_DETAILS {
                return Err(A::Error::custom(
                    "a newer release wrote this catalogue, in a format unknown here; upgrade this node",
                ));
            }
            generation = next(&mut fields)?;
        }
        let catalogue = Catalogue {
            generation,
            views: next(&mut fields)?,
            modules: next(&mut fields)?,
            services: next(&mut fields)?,
            push_sources: next(&mut fields)?,
            next_view: next(&mut fields)?,
            details: if with_details { next(&mut fields)? } else { Details::default() },
        };
        if with_details && catalogue.details.is_empty() {
            return Err(A::Error::custom("the catalogue is marked as having details but has none"));
        }
        Ok(catalogue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::CatalogueChange,
        details::{About, ViewDefinition, ViewDetails},
        merge::MergePolicy,
        value::ValueType,
        view::{Feature, FeatureView, ViewId},
    };
    use std::collections::BTreeMap;

    /// The catalogue's layout before details existed.
    #[derive(Serialize, Deserialize)]
    struct Older {
        generation: u64,
        views: BTreeMap<String, FeatureView>,
        modules: BTreeMap<String, ()>,
        services: BTreeMap<String, ()>,
        push_sources: BTreeMap<String, ()>,
        next_view: u32,
    }

    fn view() -> FeatureView {
        FeatureView {
            id: ViewId(1),
            name: "v".into(),
            join_keys: Vec::new(),
            features: vec![Feature { name: "f".into(), value_type: ValueType::Int64 }],
            ttl_ms: Some(7),
            merge: MergePolicy::LatestEvent,
        }
    }

    #[test]
    fn a_catalogue_without_details_keeps_the_older_encoding() {
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::PutView(view()));
        let older = Older {
            generation: 1,
            views: [("v".to_owned(), view())].into(),
            modules: BTreeMap::new(),
            services: BTreeMap::new(),
            push_sources: BTreeMap::new(),
            next_view: 2,
        };
        // More data follows, as in snapshots and messages.
        let bytes = postcard::to_allocvec(&(&older, 99_u32)).unwrap();
        assert_eq!(postcard::to_allocvec(&(&catalogue, 99_u32)).unwrap(), bytes);
        assert_eq!(postcard::from_bytes::<(Catalogue, u32)>(&bytes).unwrap(), (catalogue, 99));
    }

    #[test]
    fn a_catalogue_with_details_round_trips_and_older_nodes_reject_it() {
        let about = About { description: "what it is".into(), ..About::default() };
        let details = ViewDetails { about, ..ViewDetails::default() };
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::DefineView(Box::new(ViewDefinition { view: view(), details })));
        let bytes = postcard::to_allocvec(&(&catalogue, 99_u32)).unwrap();
        assert_eq!(postcard::from_bytes::<(Catalogue, u32)>(&bytes).unwrap(), (catalogue, 99));
        assert!(postcard::from_bytes::<Older>(&bytes).is_err());
    }
}
