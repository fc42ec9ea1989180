//! A leader's file.

use crate::{
    config::{
        lease::Lease,
        load,
        sections::{self, Shutdown},
    },
    node::process::Common,
};
use littoral_feed::server as feed;
use littoral_leader::{MemberAddress, OtherRegion};
use littoral_model::{format::ProtocolVersion, region::Region};
use littoral_runtime::{descriptors::Needs, logging, metrics::table::Role, workers};
use serde::Deserialize;
use std::net::SocketAddr;

/// All settings of a leader.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `leader`; checked before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where operators connect: metrics, status and administration. Default: the door itself if it has no
    /// authentication; otherwise 127.0.0.1, at the door's port plus 1,000.
    #[serde(default)]
    pub admin_listen: Option<SocketAddr>,
    /// Where edges connect.
    #[serde(default = "peer_listen")]
    pub peer_listen: SocketAddr,
    /// The newest protocol version that the node speaks and logs.
    #[serde(default)]
    pub protocol_version: ProtocolVersion,
    /// The catalogue home.
    #[serde(default)]
    catalogue_home: Option<Region>,
    /// See [`littoral_leader::Config::init`].
    #[serde(skip)]
    pub init: bool,
    /// The other regions.
    #[serde(default)]
    regions: Vec<OtherRegion>,
    /// The members that keep the region's log.
    #[serde(default)]
    members: Vec<MemberAddress>,
    /// The lease by which members elect their leader.
    #[serde(default)]
    pub lease: Lease,
    /// The leader: its name, its region, its log.
    #[serde(default)]
    leader: littoral_leader::Config,
    /// The peer listener's bounds.
    #[serde(default)]
    pub feed: feed::Config,
    /// The door's bounds.
    #[serde(default)]
    pub door: littoral_doors::Config,
    /// Who may send requests.
    #[serde(default)]
    pub auth: littoral_auth::Config,
    /// The sandbox's bounds.
    #[serde(default)]
    pub modules: littoral_sandbox::Config,
    /// The certificate, and the roots that it trusts.
    #[serde(default)]
    pub tls: littoral_tls::Config,
    /// How the process stops.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Threads.
    #[serde(default)]
    pub workers: workers::Config,
    /// Logs.
    #[serde(default)]
    pub logging: logging::Config,
    /// Traces.
    #[serde(default)]
    pub traces: littoral_traces::Config,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6565))
}

fn peer_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7071))
}

impl load::File for File {
    const ROLE: &'static str = "leader";
    const SECTIONS: &'static [&'static str] = &[
        "leader",
        "lease",
        "feed",
        "door",
        "auth",
        "auth.trust",
        "modules",
        "tls",
        "shutdown",
        "workers",
        "logging",
        "traces",
    ];
    const TOP: &'static [&'static str] =
        &["listen", "peer_listen", "admin_listen", "protocol_version", "catalogue_home"];

    fn misfits(&self) -> Vec<load::Misfit> {
        let section = |key: &str| match key {
            "regions" | "catalogue_home" | "members" => "",
            _ => "leader",
        };
        let leader = self.leader().problems().into_iter();
        leader
            .map(|problem| load::Misfit::of(section(problem.key), problem.key, problem.reason))
            .chain(self.lease.check(!self.members.is_empty()).err())
            .chain(sections::misfits(&self.feed, &self.door, &self.modules, &self.auth))
            .chain(sections::tls_misfits(&self.tls, self.is_home()))
            .chain(sections::grants_misfit(&self.feed, &self.tls))
            .chain(sections::traces_misfits(&self.traces))
            .collect()
    }
}

impl File {
    /// Returns the leader's settings, including those at the top of the file.
    pub fn leader(&self) -> littoral_leader::Config {
        let (regions, catalogue_home, members) = (self.regions.clone(), self.catalogue_home, self.members.clone());
        let (init, protocol_version) = (self.init, self.protocol_version);
        littoral_leader::Config { regions, catalogue_home, members, init, protocol_version, ..self.leader.clone() }
    }

    /// Returns the settings of the peer listener, including those at the top of the file.
    pub fn feed(&self) -> feed::Config {
        feed::Config { version: self.protocol_version, ..self.feed.clone() }
    }

    /// Returns whether the catalogue may be changed here: this is the catalogue home, or the only region.
    fn is_home(&self) -> bool {
        self.catalogue_home.is_none_or(|home| home == self.leader.region)
    }

    /// Returns the peers that may sign a renewal, or forward it to a node that does: the members, then the catalogue
    /// home.
    pub fn certifiers(&self) -> Vec<String> {
        let members =
            self.members.iter().filter(|member| member.name != self.leader.name).map(|member| member.peer.clone());
        let home = self.regions.iter().filter(|region| Some(region.name) == self.catalogue_home);
        let home: Vec<_> = home.flat_map(|region| region.peers.clone()).collect();
        match self.is_home() {
            true => members.collect(),
            false => home,
        }
    }

    /// Returns the process's settings.
    pub fn common(&self) -> Common {
        Common {
            role: Role::Leader,
            name: self.leader.name.clone(),
            logging: self.logging.clone(),
            traces: self.traces.clone(),
            region: Some(self.leader.region.to_string()),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
            tls: self.tls.clone(),
            descriptors: Needs {
                own: sections::DESCRIPTORS_OF_EVERY_NODE.saturating_add(self.leader().descriptors()),
                peers: Some(sections::peers(&self.feed)),
                clients: sections::clients(&self.door),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Override, load};
    use std::io::Write as _;

    const MEMBERS: &str = r#"
[[members]]
name = "m1"
peer = "10.0.0.1:7071"
[[members]]
name = "m2"
peer = "10.0.0.2:7071"
"#;

    fn loaded(text: &str, overrides: &[Override]) -> Result<File, String> {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        write!(file, "role = \"leader\"\n{text}").unwrap();
        let shown = file.path().display().to_string();
        load::<File>(Some(file.path()), overrides).map_err(|problem| problem.to_string().replace(&shown, "leader.toml"))
    }

    #[test]
    fn a_node_is_held_at_the_previous_protocol_version_by_one_key() {
        let versions = |file: &File| (file.leader().protocol_version, file.feed().version);
        let (previous, newest) = (ProtocolVersion::PREVIOUS, ProtocolVersion::NEWEST);
        assert_eq!(versions(&loaded("", &[]).unwrap()), (newest, newest));
        assert_eq!(versions(&loaded(&format!("protocol_version = {previous}\n"), &[]).unwrap()), (previous, previous));
        let variable = ("LITTORAL_PROTOCOL_VERSION".to_owned(), previous.to_string());
        let variables = crate::config::overrides::from_environment(
            [variable].into_iter(),
            <File as load::File>::SECTIONS,
            <File as load::File>::TOP,
        );
        assert_eq!(versions(&loaded("", &variables).unwrap()), (previous, previous));
        for unknown in [previous.number() - 1, newest.number() + 1] {
            let text = loaded(&format!("protocol_version = {unknown}\n"), &[]).unwrap_err();
            assert!(text.starts_with("leader.toml:2: key 'protocol_version': "), "{text}");
            assert!(
                text.contains(&format!("speaks protocol versions {previous} and {newest}, not {unknown}")),
                "{text}"
            );
        }
    }

    #[test]
    fn members_share_a_lease() {
        let text = format!("[leader]\nname = \"m2\"\n[lease]\nstore = \"dir:/shared/lease\"\n{MEMBERS}");
        let file = loaded(&text, &[]).unwrap();
        assert_eq!(file.leader().members[0], MemberAddress { name: "m1".into(), peer: "10.0.0.1:7071".into() });
        assert_eq!(file.lease.profile.timing(), littoral_lease::Timing::DEFAULT);
        let aggressive = Override::flag("--lease", "lease.profile", "aggressive");
        assert_eq!(loaded(&text, &[aggressive]).unwrap().lease.profile.timing(), littoral_lease::Timing::AGGRESSIVE);
        let variable = ("LITTORAL_LEASE_STORE".to_owned(), "s3://bucket/prefix".to_owned());
        let variables = crate::config::overrides::from_environment(
            [variable].into_iter(),
            <File as load::File>::SECTIONS,
            <File as load::File>::TOP,
        );
        assert_eq!(loaded(&text, &variables).unwrap().lease.store.as_deref(), Some("s3://bucket/prefix"));
    }

    #[test]
    fn members_without_a_lease_and_a_lease_without_members_are_rejected_with_file_key_and_remedy() {
        let rejected = |text: &str| loaded(text, &[]).unwrap_err();
        let text = rejected(&format!("[leader]\nname = \"m1\"\n{MEMBERS}"));
        assert!(text.starts_with("leader.toml:5: key 'members': "), "{text}");
        assert!(text.contains("add [lease] with store = \"dir:/PATH\""), "{text}");
        let text = rejected("[lease]\nstore = \"dir:/shared/lease\"\n");
        assert!(text.starts_with("leader.toml:3: key 'lease.store': ") && text.contains("[[members]]"), "{text}");
        let text = rejected("[lease]\nprofile = \"aggressive\"\n");
        assert!(text.starts_with("leader.toml:3: key 'lease.profile': "), "{text}");
        let text = rejected("[lease]\nprofile = \"agressive\"\n");
        assert!(text.contains("did you mean \"aggressive\"?"), "{text}");
        let text = rejected(&format!("[leader]\nname = \"m1\"\n[lease]\nstore = \"ftp://a/b\"\n{MEMBERS}"));
        assert!(text.starts_with("leader.toml:5: key 'lease.store': ") && text.contains("dir:/PATH"), "{text}");
        let text = rejected(&format!("[leader]\nname = \"m3\"\n[lease]\nstore = \"dir:/shared/lease\"\n{MEMBERS}"));
        assert!(text.contains("key 'leader.name': is 'm3', which [[members]] does not name"), "{text}");
    }

    #[cfg(feature = "lab")]
    #[test]
    fn the_file_of_a_local_member_is_valid() {
        use littoral_lab::local::regions::{Members, Peers};
        use littoral_lease::Profile;
        let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../edge-config/topology-members.toml");
        let topology = littoral_router::watch::read_topology(&example).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let region = &topology.regions[0];
        let peers: Peers = [((region.name, "eu-west".parse().unwrap()), vec!["127.0.0.1:1".parse().unwrap()])].into();
        for member in &region.members {
            let members = Members::default();
            let text = members.config(&topology, region, member, &peers, dir.path(), Profile::Aggressive).unwrap();
            // Only a topology of several regions names the catalogue's home.
            let text = text.replacen("role = \"leader\"\n", "role = \"leader\"\ncatalogue_home = \"us-east\"\n", 1);
            let file = dir.path().join("member.toml");
            std::fs::write(&file, text).unwrap();
            let named = Override::flag("--name", "leader.name", &member.name);
            let file: File = load(Some(&file), &[named]).unwrap_or_else(|problem| panic!("{problem}"));
            let names: Vec<_> = file.leader().members.into_iter().map(|seat| (seat.name, seat.peer)).collect();
            assert_eq!(names.len(), 3);
            assert!(names.contains(&(member.name.clone(), member.peer.clone())), "{names:?}");
            assert_eq!(file.leader().regions[0].peers, ["127.0.0.1:1"]);
            assert_eq!(file.lease.profile, Profile::Aggressive);
            assert!(file.lease.store.unwrap().ends_with("us-east-lease"));
        }
    }
}
