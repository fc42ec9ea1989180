//! A topology: the regions, their locations, their roles, and their doors. Routers, `littoral dev` and drills use the
//! same file.

mod check;

pub use check::Misfit;

use crate::coordinates::Coordinates;
use littoral_model::region::Region as RegionName;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::IpAddr};

/// The content of a topology file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The role of the file: `topology`.
    pub role: String,
    /// Its name, for display.
    pub name: String,
    /// The pattern of disaster recovery that it implements.
    pub pattern: Pattern,
    /// The objectives that a drill of this topology must reach.
    #[serde(default)]
    pub objectives: Objectives,
    /// The regions.
    pub regions: Vec<Region>,
    /// The distances between regions, where a test or a drill creates the links.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Tenants that are restricted to some regions.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

/// Patterns of disaster recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// One region, and copies of its data elsewhere.
    BackupRestore,
    /// A second region whose data is kept up to date and whose edges do not run.
    PilotLight,
    /// A second, smaller region that runs and receives no traffic.
    WarmStandby,
    /// A second region that runs at full size and receives no traffic.
    HotStandby,
    /// All regions serve reads and writes.
    ActiveActive,
}

/// The limits for the loss of a region. An objective that is omitted is not checked.
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
    /// Its role.
    #[serde(default)]
    pub role: Role,
    /// The share of the requests for which it is the nearest that it receives, in percent; the others go to the next
    /// nearest region. The share grows gradually when a region returns.
    #[serde(default = "whole")]
    pub weight: u8,
    /// The door of its leader, "host:port", which receives writes. Without one, its edges receive them and forward
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The peer address of its leader, "host:port", for its edges and other regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The members that keep its log, instead of `leader` and `peer`; one of them leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Its edges.
    pub edges: Vec<Edge>,
}

/// The role of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves reads and writes.
    #[default]
    Active,
    /// Serves reads when no active region can; accepts no writes until it becomes active.
    Standby,
    /// Receives no new requests; running ones finish.
    Draining,
}

/// A member of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, equal to `leader.name` of its own configuration.
    pub name: String,
    /// Its door, "host:port". The router probes it for the leader, and sends it writes when it leads.
    pub door: String,
    /// Its peer address, "host:port", for the other members, the region's edges and other regions.
    pub peer: String,
    /// Its zone within the region, for drills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Its name.
    pub name: String,
    /// Its door, "host:port", which receives requests.
    pub door: String,
    /// Its share of its region's requests, relative to the other edges. 1 to 1,000.
    #[serde(default = "one")]
    pub weight: u16,
    /// Its zone within the region, for drills.
    #[serde(default)]
    pub zone: Option<String>,
    /// The addresses with which DNS answers: where clients reach its door. Default: the door's, if that is an address.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// The distance between two regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The two regions.
    pub between: [RegionName; 2],
    /// A round trip, in milliseconds.
    pub round_trip_ms: u32,
    /// The variation of each direction, in milliseconds.
    #[serde(default)]
    pub jitter_ms: u32,
}

/// A tenant whose data may be served in some regions only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name, as in requests.
    pub name: String,
    /// The regions that its requests may be sent to.
    pub regions: BTreeSet<RegionName>,
}

/// Why a text is not a topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not TOML, or a key is unknown, missing or of another type.
    #[error("{place}{message}")]
    Text {
        /// `line N: `, or empty if the line is unknown.
        place: String,
        /// The parser's message.
        message: String,
    },
    /// The text parses, but its values are invalid.
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
    /// Reads the text of a topology file.
    ///
    /// # Errors
    /// [`Error`], the first problem.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let topology: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            Error::Text { place, message: error.message().replace('\n', ": ") }
        })?;
        topology.check()?;
        Ok(topology)
    }

    /// Returns a region by its name.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.name.as_str() == name)
    }
}

// === impl Region ===

impl Region {
    /// Returns its coordinates; zero for an unchecked topology with invalid ones.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        Coordinates::new(self.latitude, self.longitude).unwrap_or(Coordinates::ZERO)
    }

    /// Returns the addresses to which its edges and other regions connect, in order: its leader's peer address, or
    /// those of its members. Members that do not lead reject subscribers.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.peer.iter().chain(self.members.iter().map(|member| &member.peer)).map(String::as_str)
    }

    /// Returns the doors that may lead, with the names of their nodes: its leader's, or those of its members.
    pub fn leaders(&self) -> impl Iterator<Item = (&str, &str)> {
        let alone = self.leader.iter().map(|door| ("leader", door.as_str()));
        alone.chain(self.members.iter().map(|member| (member.name.as_str(), member.door.as_str())))
    }
}

// === impl Edge ===

impl Edge {
    /// Returns the addresses with which DNS answers.
    #[must_use]
    pub fn public_addresses(&self) -> Vec<IpAddr> {
        if self.addresses.is_empty() {
            self.door.parse::<std::net::SocketAddr>().map(|door| vec![door.ip()]).unwrap_or_default()
        } else {
            self.addresses.clone()
        }
    }
}
