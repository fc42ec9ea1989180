//! Networks of namespaces: sites with a network stack each, connected by links that can be taken down and limited.
//!
//! A site reaches the other sites over its *trunk*, through a hub in a namespace of its own. Partitions and limits act
//! on the trunk. This process reaches a site over its *access* link, like a client beside it, whatever the state of the
//! trunk:
//!
//! ```text
//!   this process ══ access ══ site west ── trunk ── hub ── trunk ── site east ══ access ══ this process
//! ```
//!
//! Latency needs the kernel's netem, which many kernels lack; a [`Link`](crate::Link) adds it anywhere.

mod ip;
mod names;
#[cfg(test)]
mod tests;

pub use ip::Unavailable;

use ip::{batch, tc};
use names::Net;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    os::fd::AsFd as _,
    sync::Arc,
    thread,
};

/// Whether a namespace forwards packets.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// The most sites of a network: it has addresses for 64 links, and each site has two.
const SITES_MAX: u8 = 32;
/// A site's end of its trunk, and of its access link, in its own namespace.
const TRUNK: &str = "trunk";
const ACCESS: &str = "access";
/// The burst of a limited trunk, in bytes: a few of the longest packets of the interfaces.
const BURST_BYTES: u32 = 64 << 10;
/// How long a packet may wait for a limited trunk; packets that would wait longer are dropped, as by routers.
const WAIT_MS_MAX: u32 = 200;

/// A network, at first without sites. Its namespaces are removed when it and all its sites are dropped; the processes
/// in them must have ended by then.
#[derive(Debug)]
pub struct Network {
    hub: Arc<Middle>,
    sites: u8,
}

/// The hub of a network, to which all trunks lead, and in which links between sites listen.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Middle>);

/// A part of a network where processes run.
#[derive(Debug)]
pub struct Site {
    hub: Arc<Middle>,
    namespace: Namespace,
    trunk_at_hub: String,
    /// This process's end of its access link.
    access_here: String,
    address: Ipv4Addr,
    access_address: Ipv4Addr,
}

#[derive(Debug)]
struct Middle {
    net: Net,
    namespace: Namespace,
}

/// A namespace, removed when dropped.
#[derive(Debug)]
struct Namespace(String);

impl Network {
    /// Creates a network. Removes first what ended processes have left behind.
    ///
    /// # Errors
    /// [`Unavailable`], with the reason.
    pub fn new() -> Result<Self, Unavailable> {
        let user = rustix::process::geteuid();
        if !user.is_root() {
            return Err(Unavailable::NotRoot { user: user.as_raw() });
        }
        names::remove_leftovers();
        let net = Net::free()?;
        let namespace = Namespace::add(names::namespace(net, "hub"))?;
        // The setting is the namespace's, not the host's.
        namespace.within(|| fs::write(FORWARD, "1")).and_then(|written| written).map_err(|error| {
            Unavailable::Refused { command: format!("echo 1 > {FORWARD}"), message: error.to_string() }
        })?;
        Ok(Self { hub: Arc::new(Middle { net, namespace }), sites: 0 })
    }

    /// Returns its hub.
    #[must_use]
    pub fn hub(&self) -> Hub {
        Hub(self.hub.clone())
    }

    /// Adds a site that is connected to all others. Its name consists of letters, digits and `-`, and is shown by the
    /// host's tools.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn site(&mut self, name: &str) -> Result<Site, Unavailable> {
        if self.sites == SITES_MAX {
            return Err(Unavailable::TooMany { max: SITES_MAX });
        }
        let number = self.sites;
        let (hub, net) = (&self.hub, self.hub.net);
        let namespace = Namespace::add(names::namespace(net, name))?;
        let (hub_address, address) = net.link(2 * number);
        let (our_address, access_address) = net.link(2 * number + 1);
        let (trunk_at_hub, access_here) = (format!("site{number}"), names::interface(net, number));
        let inside = |command: &str| format!("{command} netns {}", namespace.0);
        batch(
            None,
            &[
                format!(
                    "{} type veth peer name {trunk_at_hub} netns {}",
                    inside(&format!("link add {TRUNK}")),
                    hub.namespace.0
                ),
                format!("{} type veth peer name {access_here}", inside(&format!("link add {ACCESS}"))),
                format!("addr add {our_address}/30 dev {access_here}"),
                format!("link set {access_here} up"),
            ],
        )?;
        batch(
            Some(&hub.namespace.0),
            &[format!("addr add {hub_address}/30 dev {trunk_at_hub}"), format!("link set {trunk_at_hub} up")],
        )?;
        let site = Site { hub: hub.clone(), namespace, trunk_at_hub, access_here, address, access_address };
        batch(
            Some(&site.namespace.0),
            &[
                "link set lo up".to_owned(),
                format!("addr add {access_address}/30 dev {ACCESS}"),
                format!("link set {ACCESS} up"),
                format!("addr add {address}/30 dev {TRUNK}"),
            ],
        )?;
        site.join()?;
        self.sites += 1;
        Ok(site)
    }
}

impl Hub {
    /// Runs a closure in a thread of the hub. Sockets that it opens remain in the hub.
    ///
    /// # Errors
    /// When the thread cannot enter the hub, or has panicked.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.0.namespace.within(act)
    }
}

impl Site {
    /// Returns the hub's end of the trunk, at which the site reaches the hub.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.trunk_ends().0.into()
    }

    /// Returns the address at which other sites reach this one over the trunks.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Returns the address at which only this process reaches the site, not over the trunk.
    #[must_use]
    pub fn access_address(&self) -> IpAddr {
        self.access_address.into()
    }

    /// Returns the launcher that runs a program in the site. The program keeps the process's id.
    #[must_use]
    pub fn launcher(&self) -> Vec<OsString> {
        ["ip", "netns", "exec", &self.namespace.0].map(OsString::from).to_vec()
    }

    /// Runs a closure in a thread of the site. Sockets that it opens remain in the site.
    ///
    /// # Errors
    /// When the thread cannot enter the site, or has panicked.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.namespace.within(act)
    }

    /// Takes the trunk down: a partition. Packets are silently lost.
    ///
    /// # Errors
    /// [`Unavailable::Refused`].
    pub fn partition(&self) -> Result<(), Unavailable> {
        // At the hub's side, so that the site's own side stays up, as when a distant cable is cut.
        batch(Some(&self.hub.namespace.0), &[format!("link set {} down", self.trunk_at_hub)])
    }

    /// Brings the trunk up again.
    ///
    /// # Errors
    /// [`Unavailable::Refused`].
    pub fn join(&self) -> Result<(), Unavailable> {
        batch(Some(&self.hub.namespace.0), &[format!("link set {} up", self.trunk_at_hub)])?;
        // The routes were removed with the link.
        let (hub_address, _) = self.trunk_ends();
        batch(
            Some(&self.namespace.0),
            &[
                format!("link set {TRUNK} up"),
                format!("route replace {} via {hub_address} dev {TRUNK}", self.hub.net.all()),
            ],
        )
    }

    /// Limits the trunk to this many bytes a second in each direction; `None` removes the limit.
    ///
    /// # Errors
    /// [`Unavailable`], when there is no `tc` or the kernel lacks its token bucket.
    pub fn narrow(&self, bytes_per_second: Option<NonZeroU32>) -> Result<(), Unavailable> {
        for (namespace, device) in [(&self.namespace.0, TRUNK), (&self.hub.namespace.0, &self.trunk_at_hub)] {
            match bytes_per_second {
                Some(rate) => {
                    // In `tc`, `bps` means bytes.
                    let (rate, burst, wait) =
                        (format!("{rate}bps"), BURST_BYTES.to_string(), format!("{WAIT_MS_MAX}ms"));
                    tc(
                        namespace,
                        &[
                            "qdisc", "replace", "dev", device, "root", "tbf", "rate", &rate, "burst", &burst,
                            "latency", &wait,
                        ],
                    )?;
                }
                None => tc(namespace, &["qdisc", "del", "dev", device, "root"])?,
            }
        }
        Ok(())
    }

    fn trunk_ends(&self) -> (Ipv4Addr, Ipv4Addr) {
        let [a, b, c, d] = self.address.octets();
        (Ipv4Addr::new(a, b, c, d - 1), self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A namespace exists until its last socket is closed, which may take minutes; this process's end is removed
        // now.
        if let Err(error) = batch(None, &[format!("link del {}", self.access_here)]) {
            tracing::warn!(namespace = %self.namespace.0, %error, "cannot remove a site's access link");
        }
    }
}

impl Namespace {
    fn add(name: String) -> Result<Self, Unavailable> {
        batch(None, &[format!("netns add {name}")])?;
        Ok(Self(name))
    }

    fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        let namespace = File::open(names::file(&self.0))?;
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                // Only for this thread, which ends here.
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(act())
            });
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the site has panicked")))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        names::remove(&self.0);
    }
}
