//! Names and addresses that identify their process, so that what a killed process has left behind can be removed.

use super::ip::{Unavailable, batch, output_of};
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The directory of the system's namespaces.
const NAMESPACES: &str = "/run/netns";
/// The prefix before the process's id.
const PREFIX: &str = "littoral-";
/// The prefix before the process's id in the names of interfaces, which have at most 15 bytes.
const INTERFACE_PREFIX: &str = "lit";

/// Returns the name of a namespace. No two networks of a process have the same addresses.
pub(super) fn namespace(net: Net, name: &str) -> String {
    format!("{PREFIX}{}-{}-{name}", std::process::id(), net.0)
}

/// Returns the file by which a thread enters a namespace.
pub(super) fn file(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}

/// Returns the name of this process's end of the link to a site.
pub(super) fn interface(net: Net, site: u8) -> String {
    format!("{}{site}", interfaces(net))
}

/// Returns the prefix of a network's interfaces.
fn interfaces(net: Net) -> String {
    format!("{INTERFACE_PREFIX}{}s", net.0)
}

/// A network of 256 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net(pub(super) u16);

impl Net {
    /// Returns a subnet that no interface of this host has. The range is reserved for measurements between networks.
    pub(super) fn free() -> Result<Self, Unavailable> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let taken = output_of(&["-o", "-4", "addr", "show"])?;
        // Starts at a place of this process's own, so that concurrent searches find different subnets.
        let first = std::process::id().wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        (0..512_u32)
            .map(|step| Self(((first + step) % 512) as u16))
            .find(|net| !taken.contains(&net.prefix()))
            .ok_or(Unavailable::NoAddresses)
    }

    /// Returns the whole subnet, for routes.
    pub(super) fn all(self) -> String {
        format!("{}0/24", self.prefix())
    }

    /// Returns the two ends of a link; each link has 4 addresses.
    pub(super) fn link(self, number: u8) -> (Ipv4Addr, Ipv4Addr) {
        let [a, b, c] = self.octets();
        let first = number << 2;
        (Ipv4Addr::new(a, b, c, first + 1), Ipv4Addr::new(a, b, c, first + 2))
    }

    fn octets(self) -> [u8; 3] {
        [198, 18 + (self.0 >> 8) as u8, self.0 as u8]
    }

    fn prefix(self) -> String {
        let [a, b, c] = self.octets();
        format!("{a}.{b}.{c}.")
    }
}

/// Removes, once in this process, what ended processes have left behind.
pub(super) fn remove_leftovers() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let named = output_of(&["-o", "link", "show"]).unwrap_or_default();
        for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((_, net)) = owner(&name).filter(|(process, _)| is_gone(*process)) else { continue };
            remove(&name);
            // Sockets of killed processes keep a namespace, and the ends of its links, for a while.
            let begin = interfaces(net);
            for ours in named.split([' ', '@', ':']).filter(|word| word.starts_with(&begin)) {
                // Most were removed with their namespace.
                let _ = batch(None, &[format!("link del {ours}")]);
            }
        }
    });
}

/// Removes a namespace, with its interfaces and their other ends.
pub(super) fn remove(namespace: &str) {
    if let Err(error) = batch(None, &[format!("netns del {namespace}")]) {
        tracing::warn!(namespace, %error, "cannot remove a network namespace");
    }
}

/// Returns the process and the network of a namespace, from its name.
fn owner(name: &str) -> Option<(u32, Net)> {
    let mut words = name.strip_prefix(PREFIX)?.splitn(3, '-');
    let owner = (words.next()?.parse().ok()?, Net(words.next()?.parse().ok()?));
    words.next().map(|_| owner)
}

/// Returns whether a process has ended. A foreign namespace with this process's id belongs to an earlier process.
fn is_gone(process: u32) -> bool {
    process == std::process::id() || !Path::new(&format!("/proc/{process}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_names_its_owner() {
        assert_eq!(owner(&namespace(Net(3), "west-1")), Some((std::process::id(), Net(3))));
        assert_eq!(owner("littoral-77-511-hub"), Some((77, Net(511))));
        assert_eq!(owner("other-77-0-hub"), None);
        assert_eq!(owner("littoral-hub"), None);
    }

    #[test]
    fn links_do_not_overlap() {
        let net = Net(300);
        assert_eq!(net.all(), "198.19.44.0/24");
        assert_eq!(net.link(0), ("198.19.44.1".parse().unwrap(), "198.19.44.2".parse().unwrap()));
        assert_eq!(net.link(63).1, "198.19.44.254".parse::<Ipv4Addr>().unwrap());
        assert!(interface(Net(511), 31).len() <= 15);
    }
}
