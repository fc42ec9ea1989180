//! Where regions run: each in a network namespace of its own where this host allows it, otherwise all on the loopback.

use crate::failure::Failure;
use littoral_faults::{
    Link, Network,
    link::LinkNetwork,
    network::{Site, Unavailable},
};
use littoral_model::region::Region as Name;
use littoral_router::Topology;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// The first port of a region's nodes in a network of its own, in which all ports are free.
const FIRST_PORT: u16 = 7_165;

/// Where the regions run.
pub enum Place {
    /// On this host's loopback; with the reason, if networks were wanted and cannot be created.
    Loopback(Option<String>),
    /// Each region, and the router, in a network namespace of its own.
    Apart(Box<Apart>),
}

/// A network with a site for each region.
pub struct Apart {
    sites: BTreeMap<Name, Site>,
    router: Site,
    network: Network,
}

impl Place {
    /// Creates a network for each region where this host allows it; otherwise returns the loopback with the reason.
    pub fn apart(topology: &Topology) -> Self {
        let make = || -> Result<Self, Unavailable> {
            let mut network = Network::new()?;
            let mut sites = BTreeMap::new();
            for region in &topology.regions {
                sites.insert(region.name, network.site(region.name.as_str())?);
            }
            let router = network.site("router")?;
            Ok(Self::Apart(Box::new(Apart { sites, router, network })))
        };
        make().unwrap_or_else(|reason| Self::Loopback(Some(reason.to_string())))
    }

    /// Returns a description for reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Loopback(None) => "all regions on this host's loopback, separated by links in user space".to_owned(),
            Self::Loopback(Some(reason)) => {
                format!("all regions on this host's loopback, separated by links in user space, as {reason}")
            }
            Self::Apart(_) => {
                "each region in a network namespace of its own; a partition takes its link down".to_owned()
            }
        }
    }

    /// Assigns addresses to all nodes at which this process reaches them.
    ///
    /// # Errors
    /// When this host has no free addresses.
    pub fn choose(&self, topology: &mut Topology) -> Result<(), Failure> {
        let Self::Apart(apart) = self else { return super::addresses::choose(topology) };
        for region in &mut topology.regions {
            let Some(site) = apart.sites.get(&region.name) else { continue };
            let mut ports = FIRST_PORT..;
            let mut next = || SocketAddr::new(site.access_address(), ports.next().unwrap_or_default()).to_string();
            (region.leader, region.peer) = (Some(next()), Some(next()));
            region.edges.iter_mut().for_each(|edge| edge.door = next());
        }
        Ok(())
    }

    /// Returns where a node listens that this process reaches at `address`: in a network of its own, on all interfaces.
    pub fn listen(&self, address: SocketAddr) -> SocketAddr {
        match self {
            Self::Loopback(_) => address,
            Self::Apart(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()),
        }
    }

    /// Returns where the router listens.
    pub fn router(&self, asked: SocketAddr) -> SocketAddr {
        match self {
            Self::Loopback(_) => asked,
            Self::Apart(apart) => SocketAddr::new(apart.router.access_address(), asked.port()),
        }
    }

    /// Returns the launcher that runs a program in a region; without a region, next to the router.
    pub fn launcher(&self, region: Option<Name>) -> Vec<OsString> {
        self.site(region).map(Site::launcher).unwrap_or_default()
    }

    /// Opens a link from a region, or from the router, to a node of another region.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn link(&self, from: Option<Name>, (to, target): (Name, SocketAddr), seed: u64) -> std::io::Result<Link> {
        match (self, self.site(from), self.site(Some(to))) {
            (Self::Apart(apart), Some(from), Some(to)) => {
                let network = LinkNetwork::between(apart.network.hub());
                let target = SocketAddr::new(to.address(), target.port());
                Link::start_at(network, SocketAddr::new(from.gateway(), 0), target, seed).await
            }
            _ => Link::start(SocketAddr::from(([127, 0, 0, 1], 0)), target, seed).await,
        }
    }

    /// Takes a region's link down. Returns whether it has one.
    ///
    /// # Errors
    /// When the system rejects it.
    pub fn partition(&self, region: Name) -> Result<bool, Failure> {
        self.trunk(region, Site::partition)
    }

    /// Brings a region's link up again. Returns whether it has one.
    ///
    /// # Errors
    /// When the system rejects it.
    pub fn reconnect(&self, region: Name) -> Result<bool, Failure> {
        self.trunk(region, Site::join)
    }

    fn trunk(&self, region: Name, act: impl Fn(&Site) -> Result<(), Unavailable>) -> Result<bool, Failure> {
        let Some(site) = self.site(Some(region)) else { return Ok(false) };
        act(site).map(|()| true).map_err(|error| Failure::rejected(format!("the link of region '{region}': {error}")))
    }

    fn site(&self, region: Option<Name>) -> Option<&Site> {
        let Self::Apart(apart) = self else { return None };
        match region {
            Some(name) => apart.sites.get(&name),
            None => Some(&apart.router),
        }
    }
}
