//! The rules for a topology beyond its types.

use super::{Region, Topology};
use crate::coordinates::Coordinates;
use std::collections::BTreeSet;

/// The limits of regions and of all edges: a decision compares all regions, and probes reach all edges.
const REGIONS_MAX: usize = 256;
const EDGES_MAX: usize = 4_096;

/// The most members of a region.
const MEMBERS_MAX: usize = 16;

/// The longest name of an edge or a tenant.
const NAME_LEN_MAX: usize = 128;

/// A value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}; {remedy}")]
pub struct Misfit {
    /// The key, with the name of its owner.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

impl Misfit {
    fn new(key: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into(), remedy: remedy.into() }
    }
}

impl Topology {
    /// Checks the rules that types cannot express.
    ///
    /// # Errors
    /// [`Misfit`], the first one.
    pub fn check(&self) -> Result<(), Misfit> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns all problems.
    #[must_use]
    pub fn problems(&self) -> Vec<Misfit> {
        let mut problems: Vec<Misfit> = self.check_size().err().into_iter().collect();
        let (mut names, mut doors) = (BTreeSet::new(), BTreeSet::new());
        for region in &self.regions {
            if !names.insert(region.name) {
                let what = format!("there are two regions '{}'", region.name);
                problems.push(Misfit::new("regions.name", what, "give each a unique name"));
            }
            problems.extend(region.problems(&mut doors));
        }
        for link in &self.links {
            let unknown = link.between.iter().filter(|name| !names.contains(name));
            problems.extend(unknown.map(|name| unknown_region("links.between", name.as_str())));
        }
        let mut tenants = BTreeSet::new();
        for tenant in &self.tenants {
            let key = format!("tenants '{}'", tenant.name);
            problems.extend(check_name(&key, &tenant.name).err());
            if !tenants.insert(&tenant.name) {
                problems.push(Misfit::new(&*key, "the tenant is listed twice", "put its regions into one entry"));
            }
            if tenant.regions.is_empty() {
                let remedy = "name at least one region, or leave the tenant out";
                problems.push(Misfit::new(&*key, "it may use no region", remedy));
            }
            let unknown = tenant.regions.iter().filter(|name| !names.contains(name));
            problems.extend(unknown.map(|name| unknown_region(&key, name.as_str())));
        }
        problems
    }

    fn check_size(&self) -> Result<(), Misfit> {
        if self.role != "topology" {
            let what = format!("the file is a '{}'", self.role);
            return Err(Misfit::new("role", what, "set role = \"topology\""));
        }
        if self.regions.is_empty() || self.regions.len() > REGIONS_MAX {
            let what = format!("there are {} regions", self.regions.len());
            return Err(Misfit::new("regions", what, format!("1 to {REGIONS_MAX} are allowed")));
        }
        let edges: usize = self.regions.iter().map(|region| region.edges.len()).sum();
        if edges == 0 || edges > EDGES_MAX {
            let what = format!("there are {edges} edges in all regions");
            return Err(Misfit::new("regions.edges", what, format!("1 to {EDGES_MAX} are allowed")));
        }
        Ok(())
    }
}

impl Region {
    fn problems<'a>(&'a self, doors: &mut BTreeSet<&'a str>) -> Vec<Misfit> {
        let mut problems = Vec::new();
        let key = |key: &str| format!("regions '{}' {key}", self.name);
        if self.name.as_str().is_empty() {
            problems.push(Misfit::new("regions.name", "a region has no name", "give it one, for example \"eu-west\""));
        }
        if let Err(error) = Coordinates::new(self.latitude, self.longitude) {
            let remedy = "give its location in degrees";
            problems.push(Misfit::new(key("latitude, longitude"), error.to_string(), remedy));
        }
        if self.weight > 100 {
            let what = format!("{} percent is more than all", self.weight);
            problems.push(Misfit::new(key("weight"), what, "0 to 100 is allowed"));
        }
        for (name, address) in [("leader", &self.leader), ("peer", &self.peer)] {
            if let Some(address) = address {
                problems.extend(check_address(&key(name), address, doors).err());
            }
        }
        self.add_problems_of_members(doors, &mut problems);
        let mut names = BTreeSet::new();
        for edge in &self.edges {
            let key = format!("regions '{}' edges '{}'", self.name, edge.name);
            problems.extend(check_name(&key, &edge.name).err());
            if !names.insert(&edge.name) {
                problems.push(Misfit::new(&*key, "the region has two edges of that name", "give each a unique name"));
            }
            if !(1..=1_000).contains(&edge.weight) {
                let what = format!("its weight is {}", edge.weight);
                let remedy = "1 to 1000 is allowed; to take an edge out, remove it";
                problems.push(Misfit::new(&*key, what, remedy));
            }
            problems.extend(check_address(&key, &edge.door, doors).err());
        }
        problems
    }

    fn add_problems_of_members<'a>(&'a self, doors: &mut BTreeSet<&'a str>, problems: &mut Vec<Misfit>) {
        let key = |key: &str| format!("regions '{}' {key}", self.name);
        if self.members.is_empty() {
            return;
        }
        for (name, _) in [("leader", &self.leader), ("peer", &self.peer)].iter().filter(|(_, at)| at.is_some()) {
            let what = "it cannot be combined with members, whose leader is elected";
            let remedy = "remove it; each member has its own door and peer address";
            problems.push(Misfit::new(key(name), what, remedy));
        }
        if self.members.len() > MEMBERS_MAX {
            let what = format!("there are {} members", self.members.len());
            let remedy = format!("1 to {MEMBERS_MAX} are allowed; use three or five, because a majority must agree");
            problems.push(Misfit::new(key("members"), what, remedy));
        }
        let mut names = BTreeSet::new();
        for member in &self.members {
            let key = key(&format!("members '{}'", member.name));
            problems.extend(check_name(&key, &member.name).err());
            if !names.insert(&member.name) {
                let what = "the region has two members of that name";
                problems.push(Misfit::new(&*key, what, "give each a unique name"));
            }
            problems.extend(check_address(&format!("{key} door"), &member.door, doors).err());
            problems.extend(check_address(&format!("{key} peer"), &member.peer, doors).err());
        }
    }
}

fn unknown_region(key: &str, name: &str) -> Misfit {
    Misfit::new(key, format!("[[regions]] has no region '{name}'"), "name one of them")
}

fn check_name(key: &str, name: &str) -> Result<(), Misfit> {
    let fine = (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if fine {
        return Ok(());
    }
    let what = format!("'{}' is not a name", name.chars().take(64).collect::<String>());
    Err(Misfit::new(key, what, format!("use 1 to {NAME_LEN_MAX} visible ASCII characters")))
}

fn check_address<'a>(key: &str, address: &'a str, doors: &mut BTreeSet<&'a str>) -> Result<(), Misfit> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
    let plain = address.len() <= 255 && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if !plain || port.is_none_or(|port: u16| port == 0) {
        let what = format!("'{}' is not an address", address.chars().take(64).collect::<String>());
        return Err(Misfit::new(key, what, "write \"host:port\", as \"10.0.0.7:6566\""));
    }
    if !doors.insert(address) {
        return Err(Misfit::new(key, format!("the address '{address}' is listed twice"), "give each listener its own"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
role = "topology"
name = "two"
pattern = "active_active"
[[regions]]
name = "us-east"
latitude = 38.9
longitude = -77.4
edges = [{ name = "a", door = "10.0.0.1:6566" }]
[[regions]]
name = "eu-west"
latitude = 53.3
longitude = -6.3
role = "standby"
leader = "leader.eu:6565"
edges = [{ name = "a", door = "[2001:db8::1]:6566", weight = 3 }]
[[tenants]]
name = "acme"
regions = ["eu-west"]
"#;

    fn rejected(change: impl Fn(&str) -> String) -> String {
        Topology::parse(&change(GOOD)).unwrap_err().to_string()
    }

    #[test]
    fn a_topology_is_read_and_written_back() {
        let topology = Topology::parse(GOOD).unwrap();
        assert_eq!(topology.regions[0].weight, 100);
        assert_eq!(
            topology.regions[1].edges[0].public_addresses(),
            ["2001:db8::1".parse::<std::net::IpAddr>().unwrap()]
        );
        assert_eq!(Topology::parse(&toml::to_string(&topology).unwrap()).unwrap(), topology);
    }

    const MEMBERS: &str = r#"members = [
  { name = "m1", door = "10.0.1.1:6565", peer = "10.0.1.1:7071", zone = "a" },
  { name = "m2", door = "10.0.1.2:6565", peer = "10.0.1.2:7071" },
]"#;

    #[test]
    fn members_replace_a_leader() {
        let text = GOOD.replace("leader = \"leader.eu:6565\"", MEMBERS);
        let topology = Topology::parse(&text).unwrap();
        let region = &topology.regions[1];
        assert_eq!(region.peers().collect::<Vec<_>>(), ["10.0.1.1:7071", "10.0.1.2:7071"]);
        assert_eq!(region.leaders().collect::<Vec<_>>(), [("m1", "10.0.1.1:6565"), ("m2", "10.0.1.2:6565")]);
        assert_eq!((region.members[0].zone.as_deref(), region.members[1].zone.as_deref()), (Some("a"), None));
        assert_eq!(Topology::parse(&toml::to_string(&topology).unwrap()).unwrap(), topology);
        let alone = Topology::parse(GOOD).unwrap();
        assert_eq!(alone.regions[1].leaders().collect::<Vec<_>>(), [("leader", "leader.eu:6565")]);
    }

    #[test]
    fn invalid_members_are_rejected() {
        let rejected = |from: &str, to: &str| {
            let text = GOOD.replace("leader = \"leader.eu:6565\"", MEMBERS).replacen(from, to, 1);
            Topology::parse(&text).unwrap_err().to_string()
        };
        let cases = [
            (
                "members =",
                "leader = \"leader.eu:6565\"\nmembers =",
                "regions 'eu-west' leader: it cannot be combined with members",
            ),
            (
                "members =",
                "peer = \"leader.eu:7071\"\nmembers =",
                "regions 'eu-west' peer: it cannot be combined with members",
            ),
            ("name = \"m2\"", "name = \"m1\"", "two members of that name"),
            ("10.0.1.2:7071", "10.0.1.1:7071", "members 'm2' peer: the address '10.0.1.1:7071' is listed twice"),
            ("10.0.1.2:6565", "10.0.1.2", "members 'm2' door"),
            ("name = \"m2\"", "name = \"\"", "is not a name"),
        ];
        for (from, to, expected) in cases {
            let text = rejected(from, to);
            assert!(text.contains(expected), "{to}: {text}");
        }
    }

    #[test]
    fn all_problems_of_a_region_are_found() {
        let text = GOOD.replace("latitude = 53.3", "latitude = 153.3").replace("weight = 3", "weight = 0");
        let text =
            text.replace("leader.eu:6565", "leader.eu").replace("regions = [\"eu-west\"]", "regions = [\"x\", \"y\"]");
        let topology: Topology = toml::from_str(&text).unwrap();
        let keys: Vec<_> = topology.problems().into_iter().map(|problem| problem.key).collect();
        let region = ["latitude, longitude", "leader", "edges 'a'"].map(|key| format!("regions 'eu-west' {key}"));
        assert_eq!(keys[..3], region);
        assert_eq!(keys[3..], ["tenants 'acme'", "tenants 'acme'"]);
    }

    #[test]
    fn invalid_values_are_rejected_with_their_key_and_remedy() {
        let text = rejected(|good| good.replace("weight = 3", "wieght = 3"));
        assert!(text.starts_with("line 16: ") && text.contains("wieght"), "{text}");
        let cases = [
            ("role = \"topology\"", "role = \"edge\"", "set role"),
            ("latitude = 53.3", "latitude = 153.3", "regions 'eu-west' latitude"),
            ("name = \"eu-west\"", "name = \"us-east\"", "two regions 'us-east'"),
            ("weight = 3", "weight = 0", "1 to 1000"),
            ("10.0.0.1:6566", "10.0.0.1", "host:port"),
            ("10.0.0.1:6566", "leader.eu:6565", "is listed twice"),
            ("regions = [\"eu-west\"]", "regions = [\"mars\"]", "no region 'mars'"),
            ("regions = [\"eu-west\"]", "regions = []", "may use no region"),
            ("role = \"standby\"", "role = \"standby\"\nweight = 101", "0 to 100"),
        ];
        for (from, to, expected) in cases {
            let text = rejected(|good| good.replacen(from, to, 1));
            assert!(text.contains(expected), "{to}: {text}");
        }
    }
}
