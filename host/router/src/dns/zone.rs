//! The zone: its names, and the records that never change.

use crate::dns::config::Config;
use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, NS, SOA},
};
use std::net::IpAddr;

/// The times of the SOA record, in seconds. They have no effect, because there are no zone transfers.
const REFRESH: i32 = 3_600;
const RETRY: i32 = 600;
const EXPIRE: i32 = 86_400;

/// The zone.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) apex: Name,
    pub(crate) ttl: u32,
    pub(crate) addresses_max: usize,
    soa: SOA,
    negative_ttl: u32,
    nameservers: Vec<(Name, Vec<IpAddr>)>,
}

/// A setting that is invalid for a zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Invalid {
    /// The key, with its section.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

/// The kind of a name within the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The zone itself.
    Apex,
    /// A label directly below it, in lower case.
    Below(String),
    /// A name deeper below it.
    Deeper,
}

impl Zone {
    /// Creates the zone from its settings.
    ///
    /// # Errors
    /// [`Invalid`] if a name is not valid.
    pub fn new(config: &Config) -> Result<Self, Invalid> {
        let apex = name("dns.zone", &config.zone)?.to_lowercase();
        if apex.is_root() {
            return Err(Invalid {
                key: "dns.zone",
                reason: "this responder cannot serve the root; name a zone".to_owned(),
            });
        }
        let below = |label: &str| name("dns.zone", &format!("{label}.{apex}"));
        let mut nameservers = Vec::new();
        for server in &config.nameservers {
            nameservers.push((name("dns.nameservers", &server.name)?.to_lowercase(), server.addresses.clone()));
        }
        if nameservers.is_empty() {
            nameservers.push((below("ns1")?, Vec::new()));
        }
        let contact =
            if config.contact.is_empty() { below("hostmaster")? } else { name("dns.contact", &config.contact)? };
        let primary = nameservers.first().map_or_else(|| apex.clone(), |(name, _)| name.clone());
        // Serials are only compared for zone transfers, which this zone does not have.
        let soa = SOA::new(primary, contact, 1, REFRESH, RETRY, EXPIRE, config.negative_ttl_s);
        Ok(Self {
            ttl: config.ttl_s,
            negative_ttl: config.negative_ttl_s,
            addresses_max: config.addresses_max.clamp(1, 32),
            apex,
            soa,
            nameservers,
        })
    }

    /// Returns the kind of a name; `None` for one outside the zone.
    pub(crate) fn which(&self, name: &Name) -> Option<Which> {
        let name = name.to_lowercase();
        if !self.apex.zone_of(&name) {
            return None;
        }
        let mut labels = name.iter();
        Some(match usize::from(name.num_labels()) - usize::from(self.apex.num_labels()) {
            0 => Which::Apex,
            1 => {
                Which::Below(labels.next().map(|label| String::from_utf8_lossy(label).into_owned()).unwrap_or_default())
            }
            _ => Which::Deeper,
        })
    }

    /// Returns the SOA record: as an answer, or as the time to live of a negative answer.
    pub(crate) fn soa(&self) -> Record {
        Record::from_rdata(self.apex.clone(), self.negative_ttl, RData::SOA(self.soa.clone()))
    }

    /// Returns the NS records.
    pub(crate) fn ns(&self) -> Vec<Record> {
        let record = |(name, _): &(Name, Vec<IpAddr>)| {
            Record::from_rdata(self.apex.clone(), REFRESH.unsigned_abs(), RData::NS(NS(name.clone())))
        };
        self.nameservers.iter().map(record).collect()
    }

    /// Returns a name server's addresses of one type; `None` if the name is not a name server's.
    pub(crate) fn nameserver(&self, name: &Name, kind: RecordType) -> Option<Vec<Record>> {
        let name = name.to_lowercase();
        let (_, addresses) = self.nameservers.iter().find(|(server, _)| *server == name)?;
        Some(
            addresses
                .iter()
                .filter_map(|address| address_record(&name, *address, kind, REFRESH.unsigned_abs()))
                .collect(),
        )
    }

    /// Returns the addresses of the name servers that are below the zone.
    pub(crate) fn glue(&self) -> Vec<Record> {
        let below = self.nameservers.iter().filter(|(name, _)| self.apex.zone_of(name));
        let records = below.flat_map(|(name, addresses)| {
            addresses.iter().filter_map(move |address| {
                let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
                address_record(name, *address, kind, REFRESH.unsigned_abs())
            })
        });
        records.collect()
    }
}

/// Returns an address as a record, if it has that type.
pub(crate) fn address_record(name: &Name, address: IpAddr, kind: RecordType, ttl: u32) -> Option<Record> {
    let data = match (address, kind) {
        (IpAddr::V4(address), RecordType::A) => RData::A(A(address)),
        (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(address)),
        _ => return None,
    };
    Some(Record::from_rdata(name.clone(), ttl, data))
}

fn name(key: &'static str, text: &str) -> Result<Name, Invalid> {
    let invalid = |reason: String| Invalid { key, reason };
    let mut name = Name::from_ascii(text).map_err(|error| {
        invalid(format!("'{text}' is not a domain name: {error}; write one like \"features.example.com.\""))
    })?;
    if name.num_labels() == 0 && text != "." {
        return Err(invalid("it is empty; write a domain name like \"features.example.com.\"".to_owned()));
    }
    name.set_fqdn(true);
    Ok(name)
}
