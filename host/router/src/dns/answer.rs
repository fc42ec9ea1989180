//! Answers a query: from bytes to bytes.

use crate::{
    board::Board,
    decision::select::{Criteria, Purpose},
    dns::{
        subnet::{self, Subnet},
        zone::{Which, Zone, address_record},
    },
    router::Router,
};
use hickory_proto::{
    op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Record, RecordType},
    serialize::binary::{BinDecodable as _, BinDecoder},
};
use std::net::IpAddr;

/// The largest UDP answer that fits every path unfragmented, in bytes (RFC 9715).
const UDP_MAX: u16 = 1_232;

/// How a query was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: an answer that does not fit is truncated, and the client queries again over TCP.
    Udp,
    /// Over a connection.
    Tcp,
}

/// Answers a query; `None` for a message that must not be answered, such as a response: two servers could answer each
/// other forever.
#[must_use]
pub fn answer(router: &Router, zone: &Zone, query: &[u8], from: IpAddr, transport: Transport) -> Option<Vec<u8>> {
    let request = match Message::from_vec(&subnet::hide_subnet(query)) {
        Ok(request) => request,
        Err(_) => {
            let header = Header::read(&mut BinDecoder::new(query)).ok()?;
            if header.metadata.message_type == MessageType::Response {
                return None;
            }
            let (id, op_code) = (header.metadata.id, header.metadata.op_code);
            return Message::error_msg(id, op_code, ResponseCode::FormErr).to_vec().ok();
        }
    };
    if request.metadata.message_type == MessageType::Response {
        return None;
    }
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.checking_disabled = request.metadata.checking_disabled;
    response.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX).set_version(0);
        response.set_edns(edns);
    }
    let code = fill(router, zone, &request, from, &mut response);
    response.metadata.response_code = code;
    if code.high() != 0
        && let Some(edns) = &mut response.edns
    {
        edns.set_rcode_high(code.high());
    }
    let asked_max = request.edns.as_ref().map_or(512, Edns::max_payload);
    let bytes = response.to_vec().ok()?;
    let most = match transport {
        Transport::Tcp => usize::from(u16::MAX),
        Transport::Udp => usize::from(asked_max.clamp(512, UDP_MAX)),
    };
    if bytes.len() <= most {
        return Some(bytes);
    }
    // An answer that does not fit is not sent in part: the client queries again over TCP.
    response.truncate().to_vec().ok()
}

fn fill(router: &Router, zone: &Zone, request: &Message, from: IpAddr, response: &mut Message) -> ResponseCode {
    if request.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return ResponseCode::BADVERS;
    }
    if request.metadata.op_code != OpCode::Query {
        return ResponseCode::NotImp;
    }
    let [query] = request.queries.as_slice() else { return ResponseCode::FormErr };
    if query.query_class() != DNSClass::IN || matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR) {
        return ResponseCode::Refused;
    }
    let Some(which) = zone.which(query.name()) else { return ResponseCode::Refused };
    response.metadata.authoritative = true;
    let board = router.board();
    let found = match which {
        Which::Deeper => None,
        Which::Below(label) => match zone.nameserver(query.name(), query.query_type()) {
            Some(records) => Some(Ok(records)),
            None => region(zone, &board, &label, query),
        },
        Which::Apex => Some(match query.query_type() {
            RecordType::SOA => Ok(vec![zone.soa()]),
            RecordType::NS => {
                response.add_additionals(zone.glue());
                Ok(zone.ns())
            }
            RecordType::A | RecordType::AAAA | RecordType::ANY => {
                nearest(router, zone, &board, request, from, query, response)
            }
            _ => Ok(Vec::new()),
        }),
    };
    metrics::counter!("littoral_router_dns_queries_total").increment(1);
    match found {
        None => {
            response.add_authority(zone.soa());
            ResponseCode::NXDomain
        }
        Some(Err(code)) => {
            response.metadata.authoritative = false;
            code
        }
        Some(Ok(records)) => {
            if records.is_empty() {
                response.add_authority(zone.soa());
            }
            response.add_answers(records);
            ResponseCode::NoError
        }
    }
}

/// Returns addresses of the edges of the best region for the client.
fn nearest(
    router: &Router,
    zone: &Zone,
    board: &Board,
    request: &Message,
    from: IpAddr,
    query: &Query,
    response: &mut Message,
) -> Result<Vec<Record>, ResponseCode> {
    let subnet = Subnet::of(request).map_err(|_malformed| ResponseCode::FormErr)?;
    // Without a subnet, or with one for all clients, the resolver's address represents its clients.
    let network = subnet.and_then(|subnet| subnet.network());
    let place = router.location_of(network.map_or(from, |network| network.network()));
    if let (Some(subnet), Some(edns)) = (subnet, &mut response.edns) {
        let scope = network.map_or(0, |network| router.scope_of(network, &place));
        if let Some(answered) = subnet.answered(scope) {
            edns.options_mut().insert(answered);
        }
    }
    let criteria = Criteria {
        purpose: Purpose::Name,
        place: place.coordinates,
        tenant: None,
        in_flight_max: u32::MAX,
        limit: usize::MAX,
        dice: router.dice(),
    };
    let decision = board.decide(&criteria);
    if decision.ranked.is_empty() {
        return Err(ResponseCode::ServFail);
    }
    // Uses the best region that has an address of the type: the client cannot use a region without one.
    let kinds: &[RecordType] = match query.query_type() {
        RecordType::ANY => &[RecordType::A, RecordType::AAAA],
        RecordType::AAAA => &[RecordType::AAAA],
        _ => &[RecordType::A],
    };
    let mut records = Vec::new();
    let mut region = None;
    for ranked in &decision.ranked {
        if records.len() >= zone.addresses_max || region.is_some_and(|region| region != ranked.region) {
            break;
        }
        let Some(view) = board.view.doors.get(ranked.door) else { continue };
        for kind in kinds {
            let addresses = view.door.addresses.iter();
            let found = addresses.filter_map(|address| address_record(query.name(), *address, *kind, zone.ttl));
            records.extend(found);
        }
        if !records.is_empty() {
            region = Some(ranked.region);
        }
    }
    records.truncate(zone.addresses_max);
    Ok(distinct(records))
}

/// Returns addresses of one region's edges: of the healthy ones, or, if there are none, of those that have data.
fn region(zone: &Zone, board: &Board, label: &str, query: &Query) -> Option<Result<Vec<Record>, ResponseCode>> {
    let region = board.view.regions.get(board.view.region(label)?)?;
    let edges = board.view.doors.get(region.edges.clone())?;
    let is_well = edges.iter().any(|view| view.usable);
    let named = edges.iter().filter(|view| if is_well { view.usable } else { view.state.answers() });
    let records = named
        .flat_map(|view| &view.door.addresses)
        .filter_map(|address| address_record(query.name(), *address, query.query_type(), zone.ttl));
    Some(Ok(distinct(records.take(zone.addresses_max).collect())))
}

fn distinct(records: Vec<Record>) -> Vec<Record> {
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    for record in records {
        if !kept.iter().any(|other| other.data == record.data) {
            kept.push(record);
        }
    }
    kept
}
