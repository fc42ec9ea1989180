//! Names and addresses that tell whose they are, so that what a killed process has left can be taken away.

use super::ip::{Unavailable, ask, batch};
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Where the system lists its namespaces.
const NAMESPACES: &str = "/run/netns";
/// Before the process's id.
const PREFIX: &str = "littoral-";
/// Before the process's id in the names of interfaces, which have at most 15 bytes.
const INTERFACE_PREFIX: &str = "lit";

/// The name of a namespace. No two networks of a process have the same addresses.
pub(super) fn namespace(net: Net, name: &str) -> String {
    format!("{PREFIX}{}-{}-{name}", std::process::id(), net.0)
}

/// The file by which a namespace is entered.
pub(super) fn file(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}

/// The name of our end of the link to a site.
pub(super) fn interface(net: Net, site: u8) -> String {
    format!("{}{site}", interfaces(net))
}

/// How the names of a network's interfaces begin.
fn interfaces(net: Net) -> String {
    format!("{INTERFACE_PREFIX}{}s", net.0)
}

/// A network of 256 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net(pub(super) u16);

impl Net {
    /// One that no interface of this host has. The range is kept for measurements between networks, and so is nobody's.
    pub(super) fn free() -> Result<Self, Unavailable> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let taken = ask(&["-o", "-4", "addr", "show"])?;
        // From a place of our own, so that those who look at the same time find different ones.
        let first = std::process::id().wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        (0..512_u32)
            .map(|step| Self(((first + step) % 512) as u16))
            .find(|net| !taken.contains(&net.prefix()))
            .ok_or(Unavailable::NoAddresses)
    }

    /// Everything of it, for routes.
    pub(super) fn all(self) -> String {
        format!("{}0/24", self.prefix())
    }

    /// The two ends of a link; links have 4 addresses each.
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

/// Takes away, once in this process, what processes that are gone have left.
pub(super) fn remove_leftovers() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let named = ask(&["-o", "link", "show"]).unwrap_or_default();
        for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((_, net)) = owner(&name).filter(|(process, _)| is_gone(*process)) else { continue };
            remove(&name);
            // Sockets of killed processes keep a namespace, and with it our ends of its links, for a while.
            let begin = interfaces(net);
            for ours in named.split([' ', '@', ':']).filter(|word| word.starts_with(&begin)) {
                // Most have gone with their namespace.
                let _ = batch(None, &[format!("link del {ours}")]);
            }
        }
    });
}

/// Takes a namespace away, with the interfaces in it and their other ends.
pub(super) fn remove(namespace: &str) {
    if let Err(error) = batch(None, &[format!("netns del {namespace}")]) {
        tracing::warn!(namespace, %error, "a network namespace stays behind");
    }
}

/// Whose namespace this is, and of which network, by its name.
fn owner(name: &str) -> Option<(u32, Net)> {
    let mut words = name.strip_prefix(PREFIX)?.splitn(3, '-');
    let owner = (words.next()?.parse().ok()?, Net(words.next()?.parse().ok()?));
    words.next().map(|_| owner)
}

/// Whether a process has ended. One of our own id that we have not made is of a former process.
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
