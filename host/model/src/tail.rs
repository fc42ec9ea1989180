//! Detached tails: what a member of a region's log had to give up, or what an edge held of records that its leader's log has lost.

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

/// A detached tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailStatus {
    /// Its name.
    pub name: String,
    /// The log that it is of.
    pub incarnation: Incarnation,
    /// The epoch of its last record.
    pub epoch: Epoch,
    /// Its first record.
    pub first: Lsn,
    /// Its last record.
    pub last: Lsn,
    /// Bytes of its records.
    pub bytes: u64,
}

/// A row or a deletion of a detached tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailRecord {
    /// The number that it had.
    pub lsn: Lsn,
    /// The view that its key and values are of; `None` when that is not known any more.
    pub view: Option<Arc<FeatureView>>,
    /// The entity key.
    pub key: Bytes,
    /// When the event happened.
    pub event_time: EventTime,
    /// When and where it was taken.
    pub version: Version,
    /// The packed values; `None` for a deletion.
    pub body: Option<Bytes>,
}

/// What became of a detached tail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailMerged {
    /// Rows and deletions that were taken into the log.
    pub rows: u64,
    /// The last record that they became; [`Lsn::NONE`] when there were none.
    pub last: Lsn,
    /// Rows and deletions that were left out as another region had taken them: they come back from there.
    #[serde(default)]
    pub of_other_regions: u64,
    /// Rows and deletions that were left out as their views are not in the catalogue. While there are any, the tail is kept.
    #[serde(default)]
    pub without_view: u64,
}

/// Rows and deletions of one view, of an edge's detached tail, on their way back into the log that has lost them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailPiece {
    /// An idempotency key: which rows of which tail these are. A second time they change nothing.
    pub name: String,
    /// The region whose log has lost them.
    pub region: Region,
    /// The name of that log.
    pub log: Incarnation,
    /// The view, as it was when they were lost.
    pub view: FeatureView,
    /// Them, encoded as records in a log.
    pub records: Bytes,
}

impl TailPiece {
    /// Checks that the log of this region takes the rows: that it is the log that has lost them, and that their view is the same one
    /// there.
    ///
    /// # Errors
    /// [`WriteError::UnknownView`] when the catalogue has no view of that name, [`WriteError::Invalid`] for anything else.
    pub fn check(&self, region: Region, log: Incarnation, catalogue: &Catalogue) -> Result<(), WriteError> {
        check_log((self.region, self.log), (region, log))?;
        check_view(&self.view, catalogue)
    }
}

/// Checks that rows which one log has lost are merged into that log, and into no other.
///
/// # Errors
/// [`WriteError::Invalid`].
pub fn check_log(lost: (Region, Incarnation), followed: (Region, Incarnation)) -> Result<(), WriteError> {
    if lost == followed {
        return Ok(());
    }
    let ((lost_region, lost_log), (region, log)) = (lost, followed);
    Err(WriteError::Invalid(format!(
        "the tail is of region '{lost_region}' and its log {lost_log}, and the leader's log is {log} of region '{region}': merge it where \
         region '{lost_region}' is followed, or look at it and write its rows anew"
    )))
}

/// Checks that a view is still the one that rows of a tail are of: under one number, with the same key, and with at least their
/// features, in their order.
///
/// # Errors
/// [`WriteError::UnknownView`], [`WriteError::Invalid`].
pub fn check_view(lost: &FeatureView, catalogue: &Catalogue) -> Result<(), WriteError> {
    let now = catalogue.view(&lost.name).ok_or_else(|| WriteError::UnknownView(lost.name.clone()))?;
    let reason = if now.id == lost.id {
        match lost.evolve(now) {
            Ok(evolved) if evolved.features == now.features => return Ok(()),
            Ok(_) => "its features now stand in another order".to_owned(),
            Err(error) => error.to_string(),
        }
    } else {
        format!("it was made anew: its number is {} now, and was {}", now.id, lost.id)
    };
    Err(WriteError::Invalid(format!(
        "rows of view '{}' cannot be merged: {reason}; look at them in the tail, and write them anew",
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

    fn take(catalogue: &mut Catalogue, change: CatalogueChange) {
        let change = catalogue.prepare(change).unwrap().expect("changes something");
        catalogue.apply(&change);
    }

    fn with(views: &[FeatureView]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        views.iter().for_each(|view| take(&mut catalogue, CatalogueChange::PutView(view.clone())));
        catalogue
    }

    #[test]
    fn rows_of_a_view_go_back_only_into_the_same_view() {
        let lost = with(&[view("a", &["f", "g"])]).view("a").cloned().unwrap();
        assert_eq!(check_view(&lost, &with(&[view("a", &["f", "g"])])), Ok(()));
        assert_eq!(check_view(&lost, &with(&[view("a", &["f", "g"]), view("a", &["f", "g", "h"])])), Ok(()), "it grew");
        let unknown = check_view(&lost, &with(&[view("b", &["f", "g"])]));
        assert_eq!(unknown, Err(WriteError::UnknownView("a".into())));

        let mut anew = with(&[view("a", &["f", "g"])]);
        take(&mut anew, CatalogueChange::DropView("a".into()));
        take(&mut anew, CatalogueChange::PutView(view("a", &["f", "g"])));
        for (catalogue, why) in [
            (anew, "made anew"),
            (with(&[view("a", &["f"])]), "'g' would vanish"),
            (with(&[view("a", &["f"]), view("a", &["e", "f", "g"])]), "another order"),
        ] {
            let error = check_view(&lost, &catalogue).unwrap_err().to_string();
            assert!(error.contains("'a'") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_tail_goes_back_only_into_the_log_that_has_lost_it() {
        let (east, west): (Region, Region) = ("east".parse().unwrap(), "west".parse().unwrap());
        assert_eq!(check_log((east, Incarnation(7)), (east, Incarnation(7))), Ok(()));
        for followed in [(east, Incarnation(8)), (west, Incarnation(7))] {
            let error = check_log((east, Incarnation(7)), followed).unwrap_err().to_string();
            assert!(error.contains("region 'east'") && error.contains("0000000000000007"), "{error}");
        }
    }
}
