//! The configuration files and arguments of a topology's nodes.

use super::{Place, addresses};
use crate::{failure::Failure, local::certs::Certs};
use littoral_model::region::Region as Name;
use littoral_router::{
    Topology,
    topology::{Edge, Region},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The router's configuration, with short timeouts: no region of a local topology is more than a few hundred
/// milliseconds away.
const ROUTER: &str = "\
role = \"router\"
[router]
watch_ms = 50
# In networks of their own, too, the only clients are those of the drill.
[router.trust]
addresses = [\"0.0.0.0/0\"]
[router.gateway]
attempt_timeout_ms = 400
[router.health]
interval_ms = 150
timeout_ms = 300
";

/// Where the nodes keep their files, and what protects them.
pub struct Security {
    /// The directory of the nodes' files.
    pub dir: PathBuf,
    /// Issues the nodes' certificates. Without it their connections are plain.
    pub certs: Option<Certs>,
    /// Whether nodes listen beyond loopback, in networks of their own.
    pub beyond_loopback: bool,
    /// The leader that signs certificates: its region and its name.
    pub signer: Option<(Name, String)>,
}

impl Security {
    /// Returns the section `[tls]` of a node with a new certificate; nothing without TLS.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn section(&self, role: &str, region: &str, name: &str, door: SocketAddr) -> Result<String, Failure> {
        let Some(certs) = &self.certs else { return Ok(String::new()) };
        let mut section = certs.section(role, region, name, door.ip())?;
        if self.signer.as_ref().is_some_and(|(of, signer)| role == "leader" && of.as_str() == region && signer == name)
        {
            section += &format!("ca = {:?}\n", certs.ca_dir());
        }
        Ok(section)
    }

    /// Returns the scheme of the nodes' doors.
    pub fn scheme(&self) -> &'static str {
        if self.certs.is_some() { "https" } else { "http" }
    }

    fn flags(&self) -> Option<String> {
        self.beyond_loopback.then(|| "--insecure".to_owned())
    }
}

/// The links from regions to the peer listeners of others: one, or one for each member.
pub type Peers = BTreeMap<(Name, Name), Vec<SocketAddr>>;

pub fn leader(
    topology: &Topology,
    region: &Region,
    peers: &Peers,
    place: &Place,
    security: &Security,
) -> Result<Vec<String>, Failure> {
    let text = leading(topology, region, peers);
    let door = addresses::of(region.leader.as_deref())?;
    let text = text + &security.section("leader", region.name.as_str(), region.name.as_str(), door)?;
    let door = place.listen(door);
    let peer = place.listen(addresses::of(region.peer.as_deref())?);
    let mut arguments = node("leader", region.name.as_str(), region.name.as_str(), &text, door, security)?;
    arguments.extend(["--peer-listen".to_owned(), peer.to_string()]);
    Ok(arguments)
}

/// Returns the configuration that leaders and members share.
pub fn leading(topology: &Topology, region: &Region, peers: &Peers) -> String {
    let home = topology.regions.first().map_or(region.name, |first| first.name);
    let mut text = "role = \"leader\"\n".to_owned();
    // Writing to a string never fails.
    if topology.regions.len() > 1 {
        let _ = writeln!(text, "catalogue_home = \"{home}\"");
    }
    for ((from, to), peers) in peers.iter().filter(|((from, _), _)| *from == region.name) {
        let _ = writeln!(text, "# from {from}\n[[regions]]\nname = \"{to}\"\npeers = [{}]", quoted(peers));
    }
    let _ = writeln!(text, "[leader]\nregion = \"{}\"\ncheckpoint_interval_ms = 1000", region.name);
    text
}

fn quoted(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
}

pub fn edge(
    topology: &Topology,
    region: &Region,
    edge: &Edge,
    peers: &Peers,
    place: &Place,
    security: &Security,
) -> Result<Vec<String>, Failure> {
    let mut others: Vec<&Region> = topology.regions.iter().filter(|other| other.name != region.name).collect();
    others.sort_by(|a, b| {
        let far = |other: &Region| region.coordinates().direction().round_trip_ms_to(other.coordinates().direction());
        far(a).total_cmp(&far(b))
    });
    let elsewhere = others.iter().filter_map(|other| peers.get(&(region.name, other.name))).flatten().copied();
    let own = region.peers().map(|peer| addresses::of(Some(peer))).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<SocketAddr> = own.into_iter().chain(elsewhere).collect();
    let text = format!(
        "role = \"edge\"\n[edge]\nregion = \"{}\"\nhome_check_ms = 500\nreconnect_ms_max = 200\n[edge.leader]\naddresses = [{}]\n\
         connect_timeout_ms = 1000\nsilence_timeout_ms = 1000\n",
        region.name,
        quoted(&addresses)
    );
    let door = addresses::of(Some(&edge.door))?;
    let text = text + &security.section("edge", region.name.as_str(), &edge.name, door)?;
    node("edge", &edge.name, &edge.name, &text, place.listen(door), security)
}

/// Writes a router's configuration file and returns its arguments. `region` is the router's region, and `renew` the
/// address of a node that renews its certificate.
pub fn router(
    name: &str,
    topology: &Path,
    listen: SocketAddr,
    (region, renew): (Name, Option<SocketAddr>),
    security: &Security,
) -> Result<Vec<String>, Failure> {
    let mut text = ROUTER.to_owned() + &security.section("router", region.as_str(), name, listen)?;
    if let Some(renew) = renew {
        text += &format!("renew = [\"{renew}\"]\n");
    }
    let file = write(&security.dir, name, &text)?;
    let mut arguments = vec![
        "router".to_owned(),
        "--config".to_owned(),
        file,
        "--name".to_owned(),
        name.to_owned(),
        "--topology".to_owned(),
        topology.display().to_string(),
        "--listen".to_owned(),
        listen.to_string(),
    ];
    arguments.extend(security.flags());
    Ok(arguments)
}

/// Returns a node's data directory.
pub fn data(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}

/// Writes the configuration file of the node `name` and returns its arguments. `kept_as` names its file and data
/// directory.
pub fn node(
    role: &str,
    name: &str,
    kept_as: &str,
    text: &str,
    door: SocketAddr,
    security: &Security,
) -> Result<Vec<String>, Failure> {
    let file = write(&security.dir, kept_as, text)?;
    let data = data(&security.dir, kept_as);
    std::fs::create_dir_all(&data)
        .map_err(|error| Failure::rejected(format!("cannot create the directory {}: {error}", data.display())))?;
    let flags = [("--config", file), ("--name", name.to_owned()), ("--listen", door.to_string())];
    let mut arguments = vec![role.to_owned(), "--data-dir".to_owned(), data.display().to_string()];
    arguments.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    arguments.extend(security.flags());
    Ok(arguments)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<String, Failure> {
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, text)
        .map_err(|error| Failure::rejected(format!("cannot write {}: {error}", path.display())))?;
    Ok(path.display().to_string())
}
