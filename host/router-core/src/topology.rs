//! A topology: which regions there are, where they are, what they do, and which doors they have. One file describes it
//! for routers, for `littoral dev` and for drills.

mod check;

pub use check::Misfit;

use crate::coordinates::Coordinates;
use littoral_model::region::Region as RegionName;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::IpAddr};

/// Everything that a topology file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// `topology`: what the file is.
    pub role: String,
    /// Its name, for people.
    pub name: String,
    /// The pattern of disaster recovery that it stands for.
    pub pattern: Pattern,
    /// What a drill of this topology must reach.
    #[serde(default)]
    pub objectives: Objectives,
    /// The regions.
    pub regions: Vec<Region>,
    /// How far apart regions are, where a test or a drill makes links of its own.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Tenants whose requests must stay in some regions.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

/// Patterns of disaster recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// One region, and copies of its data elsewhere.
    BackupRestore,
    /// A second region whose data is kept up and whose edges are not running.
    PilotLight,
    /// A second, smaller region that runs and takes no traffic.
    WarmStandby,
    /// A second region that runs at full size and takes no traffic.
    HotStandby,
    /// All regions take reads and writes.
    ActiveActive,
}

/// What the loss of a region may cost at most. What is left out is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objectives {
    /// Time until a read is answered again, in milliseconds (RTO of reads).
    pub first_good_read_ms_max: Option<u64>,
    /// Time until a write is acknowledged again, in milliseconds (RTO of writes).
    pub first_good_write_ms_max: Option<u64>,
    /// Acknowledged writes that may be lost, a count (RPO).
    pub writes_lost_max: Option<u64>,
    /// Reads that may fail, a count.
    pub reads_failed_max: Option<u64>,
    /// How stale an answer may be, in milliseconds.
    pub staleness_ms_max: Option<u64>,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name: 1 to 16 characters of a-z, 0-9 and '-'.
    pub name: RegionName,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What it does.
    #[serde(default)]
    pub role: Role,
    /// Of the requests for which it is the nearest, it takes so many in a hundred; the others go on to the next nearest.
    /// Grows step by step when a region comes back.
    #[serde(default = "whole")]
    pub weight: u8,
    /// Its leader's door, "host:port": where writes go. Without one they go to its edges, which pass them on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Its leader's peer address, "host:port": where its edges and other regions connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Those that keep its log together, instead of `leader` and `peer`: one of them leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Its edges.
    pub edges: Vec<Edge>,
}

/// What a region does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes reads and writes.
    #[default]
    Active,
    /// Takes reads when no active region can; takes no writes until it is made active.
    Standby,
    /// Gets no new requests; running ones finish.
    Draining,
}

/// One of those that keep a region's log together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, as `leader.name` of its own configuration has it.
    pub name: String,
    /// Its door, "host:port": the router asks it who leads, and sends it writes when it does.
    pub door: String,
    /// Its peer address, "host:port": where the other members, the region's edges and other regions connect.
    pub peer: String,
    /// The zone of its region that it is in, for drills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Its name.
    pub name: String,
    /// Its door, "host:port": where the router sends requests.
    pub door: String,
    /// Its share of its region's requests, relative to the other edges'. 1 to 1,000.
    #[serde(default = "one")]
    pub weight: u16,
    /// The zone of its region that it is in, for drills.
    #[serde(default)]
    pub zone: Option<String>,
    /// Addresses that DNS answers with: where clients reach its door. Default: the door's, if that is an address.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// The distance of two regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The two regions.
    pub between: [RegionName; 2],
    /// A round trip, in milliseconds.
    pub round_trip_ms: u32,
    /// How much each way varies, in milliseconds.
    #[serde(default)]
    pub jitter_ms: u32,
}

/// A tenant whose data may be served in some regions only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name, as requests say it.
    pub name: String,
    /// The regions that its requests may go to.
    pub regions: BTreeSet<RegionName>,
}

/// Why a text is no topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not TOML, or a key is unknown, missing or of another type.
    #[error("{place}{message}")]
    Text {
        /// `line N: `, or nothing when that is not known.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// It can be read and makes no sense.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

fn whole() -> u8 {
    100
}

fn one() -> u16 {
    1
}

// === impl Topology ===

impl Topology {
    /// Reads a topology file's text.
    ///
    /// # Errors
    /// [`Error`], the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let topology: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            Error::Text { place, message: error.message().replace('\n', ": ") }
        })?;
        topology.check()?;
        Ok(topology)
    }

    /// A region by its name.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name.as_str() == name)
    }
}

// === impl Region ===

impl Region {
    /// Where it is; the equator's zero for one that was not checked.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        Coordinates::new(self.latitude, self.longitude).unwrap_or(Coordinates::ZERO)
    }

    /// Where its edges and other regions connect, in order: its leader's peer address, or those of its members, of which those
    /// that do not lead refuse.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.peer.iter().chain(self.members.iter().map(|member| &member.peer)).map(String::as_str)
    }

    /// Doors that may lead, with the names of their nodes: its leader's, or those of its members.
    pub fn leaders(&self) -> impl Iterator<Item = (&str, &str)> {
        let alone = self.leader.iter().map(|door| ("leader", door.as_str()));
        alone.chain(self.members.iter().map(|member| (member.name.as_str(), member.door.as_str())))
    }
}

// === impl Edge ===

impl Edge {
    /// Addresses that DNS answers with.
    #[must_use]
    pub fn public_addresses(&self) -> Vec<IpAddr> {
        if self.addresses.is_empty() {
            self.door.parse::<std::net::SocketAddr>().map(|door| vec![door.ip()]).unwrap_or_default()
        } else {
            self.addresses.clone()
        }
    }
}
