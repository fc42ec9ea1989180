//! Feature views: the schemas of rows.

use crate::{
    merge::MergePolicy,
    project::is_stored_name,
    row_body::{self, InvalidBody},
    value::ValueType,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The ID by which rows refer to their view. Assigned by the leader when the view is created, and
/// never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ViewId(pub u32);

impl fmt::Display for ViewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One column of a view's entity key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinKey {
    /// The name that requests and writes use.
    pub name: String,
    /// The name of its entity, which a request may use instead of the join key's name, as in
    /// Feast.
    pub entity: String,
    /// Its type, for which [`ValueType::is_key`] holds.
    pub value_type: ValueType,
}

/// One feature of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name within the view.
    pub name: String,
    /// Its type.
    pub value_type: ValueType,
}

/// A named schema of features keyed by an entity key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureView {
    /// Assigned by the leader; zero in a definition that has not reached a leader.
    pub id: ViewId,
    /// Its stored name ([`crate::project`]), unique among views and modules.
    pub name: String,
    /// The columns of the entity key, sorted by name. Empty for a view with one global row.
    pub join_keys: Vec<JoinKey>,
    /// The features. A feature's index never changes, because rows are packed by index; new
    /// features go to the end.
    pub features: Vec<Feature>,
    /// The age, in milliseconds, up to which an event is served as present. `None` and zero allow
    /// any age, as in Feast. Read it through [`Self::ttl_ms`].
    pub ttl_ms: Option<u64>,
    /// How two writes of one row merge.
    pub merge: MergePolicy,
}

/// Why a view's definition is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidView {
    /// The name would be ambiguous in `view:feature` or `view__feature`.
    #[error("'{0}' is not a valid name: use 1 to 128 letters, digits, '_' or '-', no '__' and no leading '-'")]
    Name(String),
    /// Two columns have the same name.
    #[error("view '{view}' has two columns named '{column}'")]
    DuplicateColumn {
        /// The view.
        view: String,
        /// The name that occurs twice.
        column: String,
    },
    /// The view has no features, or too many.
    #[error("view '{view}' has {count} features: 1 to {max} are allowed", max = row_body::FEATURES_MAX)]
    FeatureCount {
        /// The view.
        view: String,
        /// The number of its features.
        count: usize,
    },
    /// The join key's type cannot be a key type.
    #[error(
        "view '{view}': join key '{join_key}' cannot be a {value_type}; use int32, int64, string, bytes or unix_timestamp"
    )]
    KeyType {
        /// The view.
        view: String,
        /// The join key.
        join_key: String,
        /// Its type.
        value_type: ValueType,
    },
    /// The merge policy cannot merge a feature's type.
    #[error(
        "view '{view}': feature '{feature}' is {value_type}, which merge policy '{policy}' cannot combine; max and min accept \
         scalars, sum accepts numbers, union accepts lists"
    )]
    Policy {
        /// The view.
        view: String,
        /// The feature.
        feature: String,
        /// Its type.
        value_type: ValueType,
        /// The policy.
        policy: &'static str,
    },
    /// The details do not fit the view.
    #[error("view '{view}' has invalid details: {reason}")]
    Details {
        /// The view.
        view: String,
        /// What does not fit.
        reason: String,
    },
    /// The change would make stored rows unreadable.
    #[error(
        "view '{view}' cannot change like this: {reason}; rows are already stored with the old schema, so create a new view instead"
    )]
    Incompatible {
        /// The view.
        view: String,
        /// What the change would break.
        reason: String,
    },
}

/// Returns whether a text is a valid name, inside its project, for a view, feature, join key, module,
/// service or push source.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('-')
        && !name.contains("__")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl FeatureView {
    /// Returns the age, in milliseconds, up to which an event is served as present; `None` for any
    /// age. Definitions in old logs may contain zero, which also means any age.
    #[must_use]
    pub fn ttl_ms(&self) -> Option<u64> {
        self.ttl_ms.filter(|ttl_ms| *ttl_ms > 0)
    }

    /// Returns a feature's index and definition.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<(usize, &Feature)> {
        self.features.iter().enumerate().find(|(_, feature)| feature.name == name)
    }

    /// Iterates over the types of the entity key's columns, in order.
    pub fn key_types(&self) -> impl ExactSizeIterator<Item = ValueType> {
        self.join_keys.iter().map(|key| key.value_type)
    }

    /// Checks a row's packed values against this schema.
    pub fn check_body(&self, body: &[u8]) -> Result<(), InvalidBody> {
        row_body::check(body, self.features.iter().map(|feature| feature.value_type))
    }

    /// Sorts the join keys, replaces a TTL of zero by none, and validates the definition by
    /// itself.
    pub fn normalize(mut self) -> Result<Self, InvalidView> {
        self.join_keys.sort_by(|a, b| a.name.cmp(&b.name));
        self.ttl_ms = self.ttl_ms();
        match self.problems().into_iter().next() {
            None => Ok(self),
            Some(problem) => Err(problem),
        }
    }

    /// Returns everything that is wrong with the definition by itself.
    #[must_use]
    pub fn problems(&self) -> Vec<InvalidView> {
        let view = || self.name.clone();
        let columns =
            || (self.join_keys.iter().map(|key| &key.name)).chain(self.features.iter().map(|feature| &feature.name));
        let own = (!is_stored_name(&self.name)).then_some(&self.name);
        let names = own.into_iter().chain(columns().filter(|name| !is_name(name)));
        let mut problems: Vec<_> = names.map(|name| InvalidView::Name(name.chars().take(160).collect())).collect();
        let mut seen = std::collections::BTreeSet::new();
        let twice = columns().filter(|name| !seen.insert(*name));
        problems.extend(twice.map(|column| InvalidView::DuplicateColumn { view: view(), column: column.clone() }));
        if self.features.is_empty() || self.features.len() > row_body::FEATURES_MAX {
            problems.push(InvalidView::FeatureCount { view: view(), count: self.features.len() });
        }
        let keys = self.join_keys.iter().filter(|key| !key.value_type.is_key());
        problems.extend(keys.map(|key| InvalidView::KeyType {
            view: view(),
            join_key: key.name.clone(),
            value_type: key.value_type,
        }));
        let features = self.features.iter().filter(|feature| !self.merge.accepts(feature.value_type));
        problems.extend(features.map(|feature| InvalidView::Policy {
            view: view(),
            feature: feature.name.clone(),
            value_type: feature.value_type,
            policy: self.merge.name(),
        }));
        problems
    }

    /// Returns the definition that replaces this one when `next` is requested: this one's features
    /// in their order, then those that `next` adds. TTL, merge policy and entity names are those
    /// of `next`.
    ///
    /// # Errors
    /// [`InvalidView::Incompatible`] if a feature or join key would disappear or change its type, or if
    /// the view would start or stop to combine regions' parts.
    pub fn evolve(&self, next: &FeatureView) -> Result<FeatureView, InvalidView> {
        let reject = |reason: String| Err(InvalidView::Incompatible { view: self.name.clone(), reason });
        let keys =
            |view: &FeatureView| view.join_keys.iter().map(|k| (k.name.clone(), k.value_type)).collect::<Vec<_>>();
        if keys(self) != keys(next) {
            let text = |view: &FeatureView| {
                keys(view).iter().map(|(name, t)| format!("{name} {t}")).collect::<Vec<_>>().join(", ")
            };
            return reject(format!("its entity key is ({}), not ({})", text(self), text(next)));
        }
        if self.merge.combines() != next.merge.combines() {
            let (from, to) = (self.merge.name(), next.merge.name());
            return reject(format!(
                "its merge policy is {from}, not {to}: one stores a row, the other a part per region"
            ));
        }
        let mut features = Vec::with_capacity(next.features.len());
        for old in &self.features {
            match next.feature(&old.name) {
                None => return reject(format!("feature '{}' would be removed", old.name)),
                Some((_, new)) if new.value_type != old.value_type => {
                    return reject(format!("feature '{}' is {}, not {}", old.name, old.value_type, new.value_type));
                }
                Some(_) => features.push(old.clone()),
            }
        }
        features.extend(next.features.iter().filter(|new| self.feature(&new.name).is_none()).cloned());
        Ok(FeatureView { id: self.id, features, ..next.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(features: &[(&str, ValueType)]) -> FeatureView {
        FeatureView {
            id: ViewId(3),
            name: "driver_hourly_stats".into(),
            join_keys: vec![JoinKey {
                name: "driver_id".into(),
                entity: "driver".into(),
                value_type: ValueType::Int64,
            }],
            features: features.iter().map(|(n, t)| Feature { name: (*n).into(), value_type: *t }).collect(),
            ttl_ms: None,
            merge: MergePolicy::LatestEvent,
        }
    }

    #[test]
    fn features_can_be_added_and_keep_their_index() {
        let old = view(&[("b", ValueType::Int64), ("a", ValueType::Float)]);
        let new = view(&[("a", ValueType::Float), ("c", ValueType::Bool), ("b", ValueType::Int64)]);
        let names = |v: &FeatureView| v.features.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&old.evolve(&new).unwrap()), ["b", "a", "c"]);
    }

    #[test]
    fn a_changed_type_and_a_removed_feature_are_rejected_with_the_reason() {
        let old = view(&[("a", ValueType::Float)]);
        let retyped = old.evolve(&view(&[("a", ValueType::Double)])).unwrap_err().to_string();
        assert!(retyped.contains("feature 'a' is float, not double"), "{retyped}");
        let vanished = old.evolve(&view(&[("b", ValueType::Double)])).unwrap_err().to_string();
        assert!(vanished.contains("feature 'a' would be removed"), "{vanished}");
    }

    #[test]
    fn a_ttl_of_zero_means_any_age_in_new_definitions_and_in_old_logs() {
        let zero = FeatureView { ttl_ms: Some(0), ..view(&[("a", ValueType::Float)]) };
        assert_eq!(zero.ttl_ms(), None);
        let now = crate::event_time::EventTime(i64::MAX);
        assert!(!crate::read::is_expired(&zero, crate::event_time::EventTime(0), now));
        assert_eq!(zero.normalize().unwrap().ttl_ms, None);
    }

    #[test]
    fn ambiguous_names_are_rejected() {
        for bad in ["a__b", "", "a:b", "-a", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(view(&[("driver_id", ValueType::Float)]).normalize().is_err());
    }
}
