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
use littoral_leader::{OtherRegion, Seat};
use littoral_model::region::Region;
use littoral_runtime::{descriptors::Needs, logging, workers};
use serde::Deserialize;
use std::net::SocketAddr;

/// Everything that can be set for a leader.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `leader`; looked at before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where edges connect.
    #[serde(default = "peer_listen")]
    pub peer_listen: SocketAddr,
    /// The region that changes of the catalogue go to.
    #[serde(default)]
    catalogue_home: Option<Region>,
    /// See [`littoral_leader::Config::init`].
    #[serde(skip)]
    pub init: bool,
    /// The other regions.
    #[serde(default)]
    regions: Vec<OtherRegion>,
    /// Those that keep the region's log together.
    #[serde(default)]
    members: Vec<Seat>,
    /// How they agree on who leads.
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
    /// The sandbox's bounds.
    #[serde(default)]
    pub modules: littoral_sandbox::Config,
    /// How the process stops.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Threads.
    #[serde(default)]
    pub workers: workers::Config,
    /// Logs.
    #[serde(default)]
    pub logging: logging::Config,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6565))
}

fn peer_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7071))
}

impl load::File for File {
    const ROLE: &'static str = "leader";
    const SECTIONS: &'static [&'static str] =
        &["leader", "lease", "feed", "door", "modules", "shutdown", "workers", "logging"];
    const TOP: &'static [&'static str] = &["listen", "peer_listen", "catalogue_home"];

    fn misfits(&self) -> Vec<load::Misfit> {
        let section = |key: &str| match key {
            "regions" | "catalogue_home" | "members" => "",
            _ => "leader",
        };
        let leader = self.leader().problems().into_iter();
        leader
            .map(|problem| load::Misfit::of(section(problem.key), problem.key, problem.reason))
            .chain(self.lease.check(!self.members.is_empty()).err())
            .chain(sections::misfits(&self.feed, &self.door, &self.modules))
            .collect()
    }
}

impl File {
    /// The leader's settings, those at the top of the file among them.
    pub fn leader(&self) -> littoral_leader::Config {
        let (regions, catalogue_home, members) = (self.regions.clone(), self.catalogue_home, self.members.clone());
        littoral_leader::Config { regions, catalogue_home, members, init: self.init, ..self.leader.clone() }
    }

    /// The process's settings.
    pub fn common(&self) -> Common {
        Common {
            name: self.leader.name.clone(),
            logging: self.logging.clone(),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
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
    fn members_share_a_lease() {
        let text = format!("[leader]\nname = \"m2\"\n[lease]\nstore = \"dir:/shared/lease\"\n{MEMBERS}");
        let file = loaded(&text, &[]).unwrap();
        assert_eq!(file.leader().members[0], Seat { name: "m1".into(), peer: "10.0.0.1:7071".into() });
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
    fn members_without_a_lease_and_a_lease_without_members_are_refused_with_file_key_and_remedy() {
        let refused = |text: &str| loaded(text, &[]).unwrap_err();
        let text = refused(&format!("[leader]\nname = \"m1\"\n{MEMBERS}"));
        assert!(text.starts_with("leader.toml:5: key 'members': "), "{text}");
        assert!(text.contains("add [lease] with store = \"dir:/PATH\""), "{text}");
        let text = refused("[lease]\nstore = \"dir:/shared/lease\"\n");
        assert!(text.starts_with("leader.toml:3: key 'lease.store': ") && text.contains("[[members]]"), "{text}");
        let text = refused("[lease]\nprofile = \"aggressive\"\n");
        assert!(text.starts_with("leader.toml:3: key 'lease.profile': "), "{text}");
        let text = refused("[lease]\nprofile = \"agressive\"\n");
        assert!(text.contains("did you mean \"aggressive\"?"), "{text}");
        let text = refused(&format!("[leader]\nname = \"m1\"\n[lease]\nstore = \"ftp://a/b\"\n{MEMBERS}"));
        assert!(text.starts_with("leader.toml:5: key 'lease.store': ") && text.contains("dir:/PATH"), "{text}");
        let text = refused(&format!("[leader]\nname = \"m3\"\n[lease]\nstore = \"dir:/shared/lease\"\n{MEMBERS}"));
        assert!(text.contains("key 'members': does not name this member, 'm3'"), "{text}");
    }
}
