//! Detached tails: records that a member had to remove from its log, or rows of records that an
//! edge's leader has lost.

use crate::{
    catalogue::Catalogue,
    event_time::EventTime,
    position::{Epoch, Incarnation, Lsn},
    region::Region,
    version::Version,
    view::FeatureView,
    write::WriteError,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A summary of a detached tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailStatus {
    /// Its name.
    pub name: String,
    /// The log that the records belong to.
    pub incarnation: Incarnation,
    /// The epoch of its last record.
    pub epoch: Epoch,
    /// Its first record.
    pub first: Lsn,
    /// Its last record.
    pub last: Lsn,
    /// The size of its records in bytes.
    pub bytes: u64,
}

/// A row or a deletion in a detached tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailRecord {
    /// The LSN that it had.
    pub lsn: Lsn,
    /// The view that defines its key and values; `None` if that is no longer known.
    pub view: Option<Arc<FeatureView>>,
    /// The entity key.
    pub key: Bytes,
    /// When the event happened.
    pub event_time: EventTime,
    /// When and where the write was accepted.
    pub version: Version,
    /// The packed values; `None` for a deletion.
    pub body: Option<Bytes>,
}

/// The result of merging a detached tail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TailMerged {
    /// The number of rows and deletions appended to the log.
    pub rows: u64,
    /// The last record appended; 0 if there were none.
    pub last: Lsn,
    /// The number of rows and deletions skipped because another region had accepted them. They are
    /// replicated again from there.
    #[serde(default)]
    pub of_other_regions: u64,
    /// The number of rows and deletions skipped because their views are not in the catalogue. The
    /// tail is kept while there are any.
    #[serde(default)]
    pub without_view: u64,
}

/// Rows and deletions of one view from an edge's detached tail, to be merged into the log that has
/// lost them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailPiece {
    /// An idempotency key that identifies these rows of this tail. Merging them again changes
    /// nothing.
    pub name: String,
    /// The region whose log has lost them.
    pub region: Region,
    /// The name of that log.
    pub log: Incarnation,
    /// The view, as it was when the rows were lost.
    pub view: FeatureView,
    /// The rows and deletions, encoded as records of a log.
    pub records: Bytes,
}

impl TailPiece {
    /// Checks that the log of this region may accept the rows: it is the log that has lost them,
    /// and their view is the same there.
    ///
    /// # Errors
    /// [`WriteError::UnknownView`] if the catalogue has no view with that name, [`WriteError::Invalid`]
    /// for anything else.
    pub fn check(&self, region: Region, log: Incarnation, catalogue: &Catalogue) -> Result<(), WriteError> {
        check_log((self.region, self.log), (region, log))?;
        check_view(&self.view, catalogue)
    }
}

/// Checks that rows are merged only into the log that has lost them.
pub fn check_log(lost: (Region, Incarnation), followed: (Region, Incarnation)) -> Result<(), WriteError> {
    if lost == followed {
        return Ok(());
    }
    let ((lost_region, lost_log), (region, log)) = (lost, followed);
    Err(WriteError::Invalid(format!(
        "the tail belongs to log {lost_log} of region '{lost_region}', but the leader's log is {log} of region '{region}': merge it where \
         region '{lost_region}' is followed, or read its rows and write them again"
    )))
}

/// Checks that a view still matches the rows of a tail: it has the same ID, the same key, and at
/// least the rows' features in the same order.
pub fn check_view(lost: &FeatureView, catalogue: &Catalogue) -> Result<(), WriteError> {
    let now = catalogue.view(&lost.name).ok_or_else(|| WriteError::UnknownView(lost.name.clone()))?;
    let reason = if now.id == lost.id {
        match lost.evolve(now) {
            Ok(evolved) if evolved.features == now.features => return Ok(()),
            Ok(_) => "its features are now in another order".to_owned(),
            Err(error) => error.to_string(),
        }
    } else {
        format!("it was recreated: its ID was {}, and is now {}", lost.id, now.id)
    };
    Err(WriteError::Invalid(format!(
        "rows of view '{}' cannot be merged: {reason}; read them in the tail, and write them again",
        lost.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::CatalogueChange,
        merge::MergePolicy,
        value::ValueType,
        view::{Feature, JoinKey},
    };

    fn view(name: &str, features: &[&str]) -> FeatureView {
        FeatureView {
            id: crate::view::ViewId::default(),
            name: name.to_owned(),
            join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
            features: features
                .iter()
                .map(|name| Feature { name: (*name).into(), value_type: ValueType::Int64 })
                .collect(),
            ttl_ms: None,
            merge: MergePolicy::default(),
        }
    }

    fn apply(catalogue: &mut Catalogue, change: CatalogueChange) {
        let change = catalogue.prepare(change).unwrap().expect("changes something");
        catalogue.apply(&change);
    }

    fn with(views: &[FeatureView]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        views.iter().for_each(|view| apply(&mut catalogue, CatalogueChange::PutView(view.clone())));
        catalogue
    }

    #[test]
    fn rows_are_merged_only_into_the_same_view() {
        let lost = with(&[view("a", &["f", "g"])]).view("a").cloned().unwrap();
        assert_eq!(check_view(&lost, &with(&[view("a", &["f", "g"])])), Ok(()));
        assert_eq!(
            check_view(&lost, &with(&[view("a", &["f", "g"]), view("a", &["f", "g", "h"])])),
            Ok(()),
            "it has more features"
        );
        let unknown = check_view(&lost, &with(&[view("b", &["f", "g"])]));
        assert_eq!(unknown, Err(WriteError::UnknownView("a".into())));

        let mut recreated = with(&[view("a", &["f", "g"])]);
        apply(&mut recreated, CatalogueChange::DropView("a".into()));
        apply(&mut recreated, CatalogueChange::PutView(view("a", &["f", "g"])));
        for (catalogue, why) in [
            (recreated, "recreated"),
            (with(&[view("a", &["f"])]), "'g' would be removed"),
            (with(&[view("a", &["f"]), view("a", &["e", "f", "g"])]), "another order"),
        ] {
            let error = check_view(&lost, &catalogue).unwrap_err().to_string();
            assert!(error.contains("'a'") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_tail_is_merged_only_into_the_log_that_lost_it() {
        let (east, west): (Region, Region) = ("east".parse().unwrap(), "west".parse().unwrap());
        assert_eq!(check_log((east, Incarnation(7)), (east, Incarnation(7))), Ok(()));
        for followed in [(east, Incarnation(8)), (west, Incarnation(7))] {
            let error = check_log((east, Incarnation(7)), followed).unwrap_err().to_string();
            assert!(error.contains("region 'east'") && error.contains("0000000000000007"), "{error}");
        }
    }
}
