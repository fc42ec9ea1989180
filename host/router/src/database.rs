//! Finds the location of addresses in a MaxMind database that the operator provides.

use crate::decision::{coordinates::Coordinates, location::Lookup};
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use std::{net::IpAddr, path::Path, sync::Arc};

/// An open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Database(Arc<Reader<Vec<u8>>>);

/// The fields that are read of an entry. Not all databases have them.
#[derive(Deserialize)]
struct Entry {
    location: Option<Location>,
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

// === impl Database ===

impl Database {
    /// Reads a database into memory.
    ///
    /// # Errors
    /// If the file cannot be read or is not a MaxMind database.
    pub fn open(path: &Path) -> Result<Self, MaxMindDbError> {
        Ok(Self(Arc::new(Reader::open_readfile(path)?)))
    }
}

impl Lookup for Database {
    fn lookup(&self, address: IpAddr) -> Option<(Coordinates, u8)> {
        // An IPv6 address in an IPv4 database is an error, and an unreadable entry counts as none.
        let found = self.0.lookup(address).ok()?;
        let location = found.decode::<Entry>().ok()??.location?;
        let coordinates = Coordinates::new(location.latitude?, location.longitude?).ok()?;
        Some((coordinates, found.network().ok()?.prefix()))
    }

    fn bits(&self, address: IpAddr) -> Option<u8> {
        Some(self.0.lookup(address).ok()?.network().ok()?.prefix())
    }
}
