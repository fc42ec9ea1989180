//! What a peer may do, by the identity in its certificate. Without TLS, which requires loopback or `--insecure`, every
//! peer may do everything.
//!
//! An edge or a relay may subscribe, and forward requests of clients. Other regions' leaders may replicate, and read
//! for their quorum reads. Members of this region's log may do everything. Operators may make the same calls as edges,
//! but may not subscribe. Routers may only renew their certificates.

use super::{ViewGrant, peers::Node};
use littoral_model::{catalogue::Catalogue, format::ProtocolVersion, pattern::Pattern, region::Region};
use littoral_protocol::{call::Call, frame::Views, members::rpc::Request};
use littoral_tls::{Identity, PeerIdentity, Role};
use std::{fmt, sync::Arc};

/// The other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Names it in logs.
    pub(crate) address: Arc<str>,
    /// Its region, for the residency rules of projects. `None` if it is not known.
    pub(crate) region: Option<Region>,
    /// The newest protocol version that both sides speak. A feed's hellos state it instead.
    pub(crate) version: ProtocolVersion,
    pub(crate) rights: Arc<PeerRights>,
    /// What it may use.
    pub(crate) node: Arc<Node>,
}

/// What the other end may do, which follows from its identity and this node's. Without TLS neither is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerRights(Option<Identities>);

#[derive(Clone, Debug)]
struct Identities {
    own: Identity,
    /// `None` for a certificate without an identity.
    other: Option<Identity>,
    /// The views that it may read. `None` for all.
    views: Option<Vec<Pattern>>,
}

impl fmt::Display for PeerRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref().and_then(|identities| identities.other.as_ref()) {
            Some(identity) => identity.fmt(f),
            None => f.write_str("a peer without an identity"),
        }
    }
}

impl PeerRights {
    pub(crate) fn new(own: Identity, certificate: &PeerIdentity, grants: &[ViewGrant]) -> Self {
        let other = certificate.identity.clone();
        let views = other.as_ref().and_then(|other| views_of(other, grants));
        Self(Some(Identities { own, other, views }))
    }

    /// Checks that the peer is a node of this cluster.
    pub(crate) fn may_connect(&self) -> Result<(), String> {
        let Some(Identities { own, other, .. }) = &self.0 else { return Ok(()) };
        match other {
            None => Err("the certificate has no identity of Littoral; issue one with `littoral certs issue`, or map its SPIFFE id \
                         with [[tls.spiffe]]"
                .to_owned()),
            Some(other) if other.cluster != own.cluster => Err(format!(
                "{other} is of another cluster than this node ({}); connect it to its own cluster, or issue it a certificate of \
                 this one",
                own.cluster
            )),
            Some(_) => Ok(()),
        }
    }

    /// Checks that the peer may subscribe to the feed.
    pub(crate) fn may_subscribe(&self) -> Result<(), String> {
        self.may_connect()?;
        self.require(&[Role::Edge, Role::Relay, Role::Leader], "subscribe to the feed")
    }

    /// Checks that the peer may subscribe to these views. Only the leader of a region replicates for that region.
    pub(crate) fn may_follow(&self, views: &Views) -> Result<(), String> {
        let region = match views {
            Views::All => return self.may_read_view("*"),
            Views::Names(names) => return names.iter().try_for_each(|name| self.may_read_view(name)),
            Views::ForRegion(region) => region,
        };
        self.require(&[Role::Leader], "replicate for a region")?;
        match self.other() {
            Some(other) if other.region != region.as_str() => Err(format!(
                "{other} may not replicate for region '{region}'; issue it a certificate of that region, or correct its configuration"
            )),
            _ => Ok(()),
        }
    }

    /// Checks that the peer may read the view of this name, or all views if it is `*`.
    fn may_read_view(&self, name: &str) -> Result<(), String> {
        let Some(Identities { other: Some(other), views: Some(views), .. }) = &self.0 else { return Ok(()) };
        if views.iter().any(|granted| granted.is_any() || (name != "*" && granted.matches_stored(name))) {
            return Ok(());
        }
        let granted: Vec<_> = views.iter().map(ToString::to_string).collect();
        let what = if name == "*" { "all views".to_owned() } else { format!("the view '{name}'") };
        Err(format!(
            "{other} may not read {what}, only [{}]; list those in its 'edge.follow', or add to [[feed.grants]] at this node",
            granted.join(", ")
        ))
    }

    /// Checks that the peer may read the views of a call.
    pub(crate) fn may_read(&self, call: &Call, catalogue: impl FnOnce() -> Arc<Catalogue>) -> Result<(), String> {
        if !matches!(&self.0, Some(Identities { views: Some(_), .. })) {
            return Ok(());
        }
        let views: Vec<_> = match call {
            Call::Read { reads, .. } | Call::Quorum { reads, .. } => reads.iter().map(|read| read.view).collect(),
            Call::Bucket { view, .. } => vec![*view],
            _ => return Ok(()),
        };
        let catalogue = catalogue();
        // A view that was dropped has no rows.
        views.iter().filter_map(|view| catalogue.view_by_id(*view)).try_for_each(|view| self.may_read_view(&view.name))
    }

    /// Checks that the peer may make this call.
    pub(crate) fn may_call(&self, call: &Call) -> Result<(), String> {
        let nodes = [Role::Edge, Role::Relay, Role::Leader, Role::Operator];
        match call {
            Call::Certify(_) => Ok(()),
            Call::Member(request) => self.may_take_part(request),
            Call::Held { .. } => self.require(&[Role::Leader], "read rows as this leader holds them"),
            Call::Read { .. } | Call::Quorum { .. } | Call::Status => self.require(&nodes, "read"),
            Call::Write(_) | Call::Change(_) | Call::PutModule { .. } | Call::Merge(_) => {
                self.require(&nodes, "forward writes of clients")
            }
            Call::FetchModule { .. } | Call::Checkpoint | Call::Bucket { .. } => self.require(&nodes, "replicate"),
        }
    }

    /// Checks that the peer is the member of this region's log that it names.
    fn may_take_part(&self, request: &Request) -> Result<(), String> {
        self.require(&[Role::Leader], "take part in the region's log")?;
        let Some(Identities { own, other: Some(other), .. }) = &self.0 else { return Ok(()) };
        let named = match request {
            Request::Prepare { member, .. } | Request::Join { member, .. } | Request::Fetch { member, .. } => {
                Some(member)
            }
            Request::Records { .. } | Request::Snapshot { .. } | Request::Merge { .. } => None,
        };
        if other.region != own.region {
            return Err(format!(
                "{other} is not a member of region '{}'; issue it a certificate of that region, or correct its [[members]]",
                own.region
            ));
        }
        match named {
            Some(name) if *name != other.name => {
                Err(format!("{other} may not act as member '{name}'; give it a certificate with its own name"))
            }
            _ => Ok(()),
        }
    }

    fn require(&self, roles: &[Role], what: &str) -> Result<(), String> {
        match self.other() {
            Some(other) if !roles.contains(&other.role) => {
                let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                Err(format!("{other} may not {what}; this requires a certificate with the role {}", roles.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// Returns the peer's region: the one in its certificate. Without TLS the one that the peer states.
    pub(crate) fn region(&self, stated: Option<Region>) -> Option<Region> {
        match &self.0 {
            None => stated,
            Some(identities) => identities.other.as_ref()?.region.parse().ok(),
        }
    }

    fn other(&self) -> Option<&Identity> {
        self.0.as_ref().and_then(|identities| identities.other.as_ref())
    }
}

/// Returns the views that a node may read: those of its grants, or `None` for all.
fn views_of(node: &Identity, grants: &[ViewGrant]) -> Option<Vec<Pattern>> {
    if grants.is_empty() || !matches!(node.role, Role::Edge | Role::Relay) {
        return None;
    }
    let name = node.to_string();
    Some(grants.iter().filter(|grant| grant.to.matches(&name)).flat_map(|grant| grant.views.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use littoral_model::position::{Epoch, Lsn};

    fn rights(identity: &str) -> PeerRights {
        let own = "littoral://prod/eu/leader/m1".parse().unwrap();
        PeerRights(Some(Identities { own, other: Some(identity.parse().unwrap()), views: None }))
    }

    fn prepare(member: &str) -> Call {
        Call::Member(Request::Prepare { member: member.to_owned(), epoch: Epoch(7) })
    }

    fn for_region(region: &str) -> Views {
        Views::ForRegion(region.parse().unwrap())
    }

    #[test]
    fn without_tls_everything_is_allowed() {
        let rights = PeerRights::default();
        rights.may_subscribe().unwrap();
        rights.may_follow(&for_region("us")).unwrap();
        rights.may_call(&prepare("m2")).unwrap();
    }

    #[test]
    fn an_edge_may_subscribe_and_forward_and_nothing_else() {
        for role in ["edge", "relay"] {
            let edge = rights(&format!("littoral://prod/us/{role}/e1"));
            edge.may_subscribe().unwrap();
            edge.may_follow(&Views::All).unwrap();
            for allowed in [Call::Status, Call::Checkpoint, Call::Certify(Bytes::new())] {
                edge.may_call(&allowed).unwrap();
            }
            let fetch = Request::Fetch { member: "e1".into(), session: 1, from: Lsn(1), bytes_max: 1, wait_ms: 0 };
            let records = Request::Records { epoch: Epoch(1), from: Lsn(1), bytes_max: 1 };
            let merge = Request::Merge { piece: String::new(), records: Bytes::new() };
            let members = [prepare("m2"), Call::Member(fetch), Call::Member(records), Call::Member(merge)];
            for forbidden in members.into_iter().chain([Call::Held { reads: Vec::new() }]) {
                let reason = edge.may_call(&forbidden).unwrap_err();
                assert!(reason.contains(&format!("/{role}/e1 may not")) && reason.contains("role leader"), "{reason}");
            }
            let reason = edge.may_follow(&for_region("us")).unwrap_err();
            assert!(reason.contains("may not replicate for a region"), "{reason}");
        }
    }

    #[test]
    fn edges_and_relays_read_only_the_views_of_their_grants_once_there_are_grants() {
        let grant = |to: &str, view: &str| ViewGrant { to: Pattern::new(to), views: vec![Pattern::new(view)] };
        let grants = [grant("littoral://prod/eu/edge/*", "driver*"), grant("*/e1", "route"), grant("*/relay/*", "*")];
        let may_follow = |identity: &str, views: &Views| {
            let own = "littoral://prod/eu/leader/m1".parse().unwrap();
            let other: Identity = identity.parse().unwrap();
            let views_granted = views_of(&other, &grants);
            PeerRights(Some(Identities { own, other: Some(other), views: views_granted })).may_follow(views)
        };
        let names = |names: &[&str]| Views::Names(names.iter().map(|name| (*name).to_owned()).collect());
        let (e1, e2) = ("littoral://prod/eu/edge/e1", "littoral://prod/eu/edge/e2");
        may_follow(e1, &names(&["drivers", "route"])).unwrap();
        may_follow(e2, &names(&["drivers"])).unwrap();
        may_follow("littoral://prod/us/relay/r1", &Views::All).unwrap();
        for (identity, views, expected) in [
            (e1, Views::All, "may not read all views, only [driver*, route]"),
            (e2, names(&["drivers", "route"]), "may not read the view 'route', only [driver*]"),
            (e2, names(&["*"]), "may not read all views"),
            (e2, names(&["driver_project/secrets"]), "may not read the view 'driver_project/secrets'"),
            ("littoral://prod/us/edge/e3", names(&["drivers"]), "may not read the view 'drivers', only []"),
        ] {
            let reason = may_follow(identity, &views).unwrap_err();
            assert!(reason.contains(expected) && reason.contains("edge.follow"), "{reason}");
        }
    }

    #[test]
    fn a_leader_is_a_member_of_its_own_region_under_its_own_name() {
        rights("littoral://prod/eu/leader/m2").may_call(&prepare("m2")).unwrap();
        let reason = rights("littoral://prod/eu/leader/m2").may_call(&prepare("m3")).unwrap_err();
        assert!(reason.contains("may not act as member 'm3'"), "{reason}");
        let reason = rights("littoral://prod/us/leader/m2").may_call(&prepare("m2")).unwrap_err();
        assert!(reason.contains("is not a member of region 'eu'"), "{reason}");
    }

    #[test]
    fn a_leader_replicates_for_its_own_region() {
        let other = rights("littoral://prod/us/leader/l1");
        other.may_follow(&for_region("us")).unwrap();
        other.may_call(&Call::Held { reads: Vec::new() }).unwrap();
        let reason = other.may_follow(&for_region("asia")).unwrap_err();
        assert!(reason.contains("may not replicate for region 'asia'"), "{reason}");
    }

    #[test]
    fn routers_and_operators_do_not_subscribe_and_other_clusters_and_certificates_do_not_connect() {
        for role in ["router", "operator"] {
            let reason = rights(&format!("littoral://prod/eu/{role}/x")).may_subscribe().unwrap_err();
            assert!(reason.contains("role edge or relay or leader"), "{reason}");
        }
        let router = rights("littoral://prod/eu/router/r1");
        router.may_call(&Call::Certify(Bytes::new())).unwrap();
        router.may_call(&Call::Status).unwrap_err();
        let reason = rights("littoral://test/eu/leader/l1").may_connect().unwrap_err();
        assert!(reason.contains("another cluster than this node (prod)"), "{reason}");
        let own = "littoral://prod/eu/leader/m1".parse().unwrap();
        let reason = PeerRights(Some(Identities { own, other: None, views: None })).may_subscribe().unwrap_err();
        assert!(reason.contains("no identity of Littoral") && reason.contains("[[tls.spiffe]]"), "{reason}");
    }
}
