//! Residency rules at a publisher: which rows a peer may receive ([`littoral_model::project`]).
//!
//! The region in a peer's certificate counts. Without one, the region that the peer states counts; a peer that
//! states none receives no row under a residency rule.

use super::policy::PeerRights;
use crate::source::FeedSource;
use http::HeaderMap;
use littoral_model::{
    project::{Receiver, quoted},
    read::{ReadError, ViewRead},
    region::Region,
    view::ViewId,
};
use littoral_protocol::frame::Views;

/// Returns the region that counts for a peer whose request has these headers.
pub(super) fn region_of(rights: &PeerRights, headers: &HeaderMap) -> Option<Region> {
    rights.region(headers.get(crate::PEER_REGION).and_then(|region| region.to_str().ok()?.parse().ok()))
}

/// Returns the receiver of a subscription.
pub(super) fn receiver(region: Option<Region>, views: &Views) -> Receiver {
    let requested = if let Views::ForRegion(requested) = views { Some(*requested) } else { None };
    Receiver::new(None, region, requested)
}

/// Checks that a caller in this region may receive rows of these views, and that this node may hold them. A node that
/// does not know a view yet does not know its rule either, and would forward the call under its own region.
///
/// # Errors
/// [`ReadError::NotReady`], [`ReadError::NotFreshEnough`], [`ReadError::OutsideRegions`].
pub(super) fn check(
    source: &dyn FeedSource,
    region: Option<Region>,
    mut views: impl Iterator<Item = ViewId> + Clone,
) -> Result<(), ReadError> {
    let catalogue = source.applied_catalogue().ok_or(ReadError::NotReady)?;
    if let Some(view) = views.clone().find(|view| !catalogue.has_numbered(*view)) {
        return Err(ReadError::NotFreshEnough {
            wanted: format!("the read needs the definition of view number {view}"),
            have: "which this node has not received yet".to_owned(),
        });
    }
    if !catalogue.has_projects() {
        return Ok(());
    }
    let receiver = Receiver::new(None, region, None);
    let may = |view: &ViewId| [receiver, source.held_in()].iter().all(|end| end.may_hold(catalogue.regions_of(*view)));
    let Some(view) = views.find(|view| !may(view)) else { return Ok(()) };
    let (named, regions) = (catalogue.view_label(view), quoted(catalogue.regions_of(view)));
    let place = region.map_or_else(|| "states no region".to_owned(), |region| format!("is in '{region}'"));
    Err(ReadError::OutsideRegions(format!(
        "rows of view {named} stay in {regions}, and the requesting node {place}; read from a node in these regions, whose \
         configuration names its region"
    )))
}

/// Like [`check`], for the views of reads.
///
/// # Errors
/// As [`check`].
pub(super) fn check_reads(
    source: &dyn FeedSource,
    region: Option<Region>,
    reads: &[ViewRead],
) -> Result<(), ReadError> {
    check(source, region, reads.iter().map(|read| read.view))
}

/// Returns whether a caller in this region may take part in the log. A member receives every record, also those
/// under a residency rule, so it must be in the log's region.
pub(super) fn may_be_member(source: &dyn FeedSource, region: Option<Region>) -> bool {
    source.applied_catalogue().is_some_and(|catalogue| !catalogue.has_projects()) || region == Some(source.region())
}
