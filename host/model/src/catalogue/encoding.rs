//! The encoded form of a catalogue.
//!
//! Snapshots and feed messages embed catalogues, which have no version field of their own. There are
//! three forms: the first, the form with details, and the form with details and projects. A catalogue is
//! written in the oldest form that holds it, so old nodes and old files stay compatible. The later forms
//! start with a change count that no catalogue reaches, so an older node rejects them.

use super::{Catalogue, Projects};
use crate::{details::Details, project::ProjectName};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::SerializeTuple as _,
};
use std::fmt;

/// Replaces the generation in the later forms, before the form's marker.
const NO_GENERATION: u64 = u64::MAX;

/// Marks the form with details. An older node reads it as the number of views, finds fewer, and
/// rejects the catalogue.
const WITH_DETAILS: u64 = u64::MAX - 1;

/// Marks the form with details and projects, like [`WITH_DETAILS`].
const WITH_PROJECTS: u64 = u64::MAX - 2;

/// The number of fields in the three forms.
const FIELDS: [usize; 3] = [6, 9, 10];

impl Serialize for Catalogue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let with_projects = !self.projects.is_empty();
        let with_details = with_projects || !self.details.is_empty();
        let mut fields = serializer.serialize_tuple(FIELDS[usize::from(with_details) + usize::from(with_projects)])?;
        if with_details {
            fields.serialize_element(&NO_GENERATION)?;
            fields.serialize_element(if with_projects { &WITH_PROJECTS } else { &WITH_DETAILS })?;
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
        if with_projects {
            fields.serialize_element(&self.projects)?;
        }
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Catalogue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(FIELDS[2], Fields)
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
        let mut with_projects = false;
        if with_details {
            with_projects = match next::<_, u64>(&mut fields)? {
                WITH_DETAILS => false,
                WITH_PROJECTS => true,
                _ => {
                    return Err(A::Error::custom(
                        "a newer release wrote this catalogue, in a format unknown here; upgrade this node",
                    ));
                }
            };
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
            projects: if with_projects { next(&mut fields)? } else { Projects::default() },
            scope: ProjectName::default(),
        };
        if with_details && !with_projects && catalogue.details.is_empty() {
            return Err(A::Error::custom("the catalogue is marked as having details but has none"));
        }
        if with_projects && catalogue.projects.is_empty() {
            return Err(A::Error::custom("the catalogue is marked as having projects but has none"));
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
        project::Project,
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

    #[test]
    fn a_catalogue_with_projects_round_trips_and_older_nodes_reject_it() {
        let project = Project { name: "fraud".into(), regions: vec!["eu".parse().unwrap()], ..Project::default() };
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::PutProject(Box::new(project)));
        catalogue.apply(&CatalogueChange::PutView(FeatureView { name: "fraud/v".into(), ..view() }));
        catalogue.apply(&CatalogueChange::DropView("fraud/v".into()));
        let bytes = postcard::to_allocvec(&(&catalogue, 99_u32)).unwrap();
        assert_eq!(postcard::from_bytes::<(Catalogue, u32)>(&bytes).unwrap(), (catalogue.clone(), 99));
        assert!(postcard::from_bytes::<Older>(&bytes).is_err());
        assert!(!catalogue.may_hold(ViewId(1), "us".parse().unwrap()), "the rule outlives its view");
    }
}
