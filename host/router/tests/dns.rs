//! Tests the DNS responder with a real resolver and with hand-made messages.

mod fixture;
mod mmdb;

use fixture::{Edge, Fixture, topology};
use hickory_proto::{
    op::{Edns, Message, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, RecordType,
        rdata::opt::{ClientSubnet, EdnsCode, EdnsOption},
    },
};
use hickory_resolver::{
    Resolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
};
use littoral_router::{Topology, dns};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
};
use tokio_util::sync::CancellationToken;

struct Responder {
    fixture: Fixture,
    edges: [Edge; 2],
    address: SocketAddr,
    _database: tempfile::NamedTempFile,
    stop: CancellationToken,
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Responder {
    /// Starts a responder. The table has 198.51.100.0/24 in the west, and the database has 203.0.113.0/24 in the east;
    /// the default is west.
    async fn start() -> Self {
        let edges = [Edge::start("west").await, Edge::start("east").await];
        let database = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(database.path(), mmdb::write(&[("203.0.113.0".parse().unwrap(), 24, 0.0, 29.0)])).unwrap();
        let fixture = Fixture::start(&edges, |config| {
            config.place.database = Some(database.path().to_owned());
            config.place.fallback = Some("0,1".parse().unwrap());
            config.place.subnets = vec![littoral_router::decision::location::Subnet {
                network: "198.51.100.0/24".parse().unwrap(),
                latitude: 0.0,
                longitude: 1.0,
            }];
            config.dns.addresses_max = 32;
            config.dns.zone = "Features.Example".to_owned();
            config.dns.nameservers = vec![dns::Nameserver {
                name: "ns1.features.example.".to_owned(),
                addresses: vec!["192.0.2.53".parse().unwrap()],
            }];
        })
        .await;
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let zone = dns::Zone::new(&fixture.router.config().dns).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(dns::serve(udp, tcp, fixture.router.clone(), zone, stop.clone()));
        Self { fixture, edges, address, _database: database, stop }
    }

    async fn udp(&self, query: &[u8]) -> Message {
        Message::from_vec(&self.raw(query).await).unwrap()
    }

    async fn raw(&self, query: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(query, self.address).await.unwrap();
        let mut bytes = [0; 4_096];
        let length = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut bytes)).await.unwrap().unwrap();
        bytes[..length].to_vec()
    }

    /// Queries an A record with this client subnet option, byte for byte. Returns the answer's bytes, because the
    /// library cannot read an option without a family.
    async fn ask_with(&self, name: &str, option: &[u8]) -> Vec<u8> {
        let mut query = query(name, RecordType::A, None);
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(8, option.to_vec()));
        query.set_edns(edns);
        self.raw(&query.to_vec().unwrap()).await
    }

    async fn ask(&self, name: &str, kind: RecordType, subnet: Option<&str>) -> Message {
        self.udp(&query(name, kind, subnet).to_vec().unwrap()).await
    }
}

fn query(name: &str, kind: RecordType, subnet: Option<&str>) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(subnet) = subnet {
        let mut edns = Edns::new();
        edns.set_max_payload(1_232);
        edns.options_mut().insert(EdnsOption::Subnet(subnet.parse::<ClientSubnet>().unwrap()));
        message.set_edns(edns);
    }
    message
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

/// Returns the data of a client subnet option.
fn ecs(family: u8, source: u8, address: &[u8]) -> Vec<u8> {
    ecs_answer(family, source, 0, address)
}

fn ecs_answer(family: u8, source: u8, scope: u8, address: &[u8]) -> Vec<u8> {
    [&[0, family, source, scope], address].concat()
}

const WEST: [u8; 4] = [192, 0, 2, 1];
const EAST: [u8; 4] = [192, 0, 2, 2];

fn code(answer: &[u8]) -> ResponseCode {
    ResponseCode::from(0, answer[3] & 0xf)
}

fn has(answer: &[u8], bytes: &[u8]) -> bool {
    answer.windows(bytes.len()).any(|window| window == bytes)
}

fn scope(message: &Message) -> Option<u8> {
    match message.edns.as_ref()?.option(EdnsCode::Subnet)? {
        EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
        _ => None,
    }
}

#[tokio::test]
async fn a_resolver_gets_the_nearest_healthy_edges_and_others_when_they_are_lost() {
    let responder = Responder::start().await;
    let mut udp = ConnectionConfig::udp();
    udp.port = responder.address.port();
    let mut tcp = ConnectionConfig::tcp();
    tcp.port = responder.address.port();
    let server = NameServerConfig::new(responder.address.ip(), true, vec![udp, tcp]);
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let resolver =
        Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build().unwrap();

    let found = resolver.lookup("features.example.", RecordType::A).await.unwrap();
    let found: Vec<_> = found.answers().iter().map(|record| (record.data.to_string(), record.ttl)).collect();
    assert_eq!(found, [("192.0.2.1".to_owned(), 20)], "the resolver has the default location, west");
    *responder.edges[0].status.lock() = "gone".to_owned();
    responder.fixture.eventually(|view| !view.doors[0].usable).await;
    let found = resolver.lookup("features.example.", RecordType::AAAA).await.unwrap();
    let found: Vec<_> = found.answers().iter().map(|record| record.data.to_string()).collect();
    assert_eq!(found, ["2001:db8::2"], "the answers change with health");
    assert!(resolver.lookup("mars.features.example.", RecordType::A).await.unwrap_err().is_nx_domain());
}

#[tokio::test]
async fn the_clients_subnet_decides_and_the_answer_states_its_scope() {
    let responder = Responder::start().await;
    let cases = [
        ("198.51.100.0/24", "192.0.2.1", Some(24)),
        ("203.0.113.0/24", "192.0.2.2", Some(24)),
        ("203.0.113.128/28", "192.0.2.2", Some(24)),
        ("192.0.2.0/24", "192.0.2.1", Some(24)),
        ("0.0.0.0/0", "192.0.2.1", Some(0)),
    ];
    for (subnet, address, prefix) in cases {
        let answer = responder.ask("FEATURES.example.", RecordType::A, Some(subnet)).await;
        assert_eq!((addresses(&answer), scope(&answer)), (vec![address.to_owned()], prefix), "{subnet}");
        assert!(answer.metadata.authoritative && !answer.metadata.recursion_available);
    }
    let v4 = |last: [u8; 3]| [&[0; 10][..], &[0xff, 0xff], &last].concat();
    let cases = [
        // An IPv4 network in IPv6-mapped form, as resolvers behind NAT64 and dual-stack sockets send it.
        (ecs(2, 120, &v4([203, 0, 113])), EAST, ecs_answer(2, 120, 120, &v4([203, 0, 113]))),
        (ecs(2, 120, &v4([198, 51, 100])), WEST, ecs_answer(2, 120, 120, &v4([198, 51, 100]))),
        // All clients, in each family.
        (ecs(1, 0, &[]), WEST, ecs_answer(1, 0, 0, &[])),
        (ecs(2, 0, &[]), WEST, ecs_answer(2, 0, 0, &[])),
        // The table has a network within the queried one: the answer does not apply to that.
        (ecs(1, 16, &[198, 51]), WEST, ecs_answer(1, 16, 18, &[198, 51])),
    ];
    for (option, address, answered) in cases {
        let answer = responder.ask_with("features.example.", &option).await;
        assert_eq!(code(&answer), ResponseCode::NoError, "{option:?}");
        assert!(has(&answer, &[&[0, 4][..], &address].concat()), "{option:?}: {answer:?}");
        let expected = [&[0, 8, 0, answered.len() as u8][..], &answered].concat();
        assert!(has(&answer, &expected), "{option:?}: {answer:?} lacks {expected:?}");
    }
    // All clients, in no family, as `dig +subnet=0` sends it.
    let none = responder.ask_with("features.example.", &ecs(0, 0, &[])).await;
    let read = Message::from_vec(&none).unwrap();
    assert_eq!(
        (code(&none), addresses(&read), scope(&read)),
        (ResponseCode::NoError, vec!["192.0.2.1".to_owned()], None)
    );
    for refused in [ecs(1, 33, &[203, 0, 113, 0, 0]), ecs(1, 20, &[203, 0, 113]), ecs(1, 24, &[203, 0]), ecs(3, 0, &[])]
    {
        let answer = responder.ask_with("features.example.", &refused).await;
        assert_eq!(code(&answer), ResponseCode::FormErr, "{refused:?}");
    }
    let plain = responder.ask("features.example.", RecordType::A, None).await;
    assert!(plain.edns.is_none(), "a query without EDNS gets an answer without EDNS");
    let odd = responder.ask("features.example.", RecordType::A, Some("198.51.100.7/24")).await;
    let mut bits = query("features.example.", RecordType::A, None);
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new("198.51.100.7".parse().unwrap(), 32, 24)));
    bits.set_edns(edns);
    assert_eq!(odd.metadata.response_code, ResponseCode::NoError, "the client masks the address");
    assert_eq!(responder.udp(&bits.to_vec().unwrap()).await.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn missing_names_and_missing_types_have_different_answers() {
    let responder = Responder::start().await;
    let ask = |name, kind| responder.ask(name, kind, None);
    let region = ask("east.features.example.", RecordType::A).await;
    assert_eq!(addresses(&region), ["192.0.2.2"], "a region's name");
    let nodata = ask("features.example.", RecordType::MX).await;
    assert_eq!((nodata.metadata.response_code, nodata.answers.len()), (ResponseCode::NoError, 0));
    assert!(matches!(nodata.authorities[0].data, RData::SOA(_)) && nodata.authorities[0].ttl == 5);
    for name in ["mars.features.example.", "a.east.features.example."] {
        let answer = ask(name, RecordType::A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{name}");
        assert!(matches!(answer.authorities[0].data, RData::SOA(_)));
    }
    for name in ["example.", "features.example.org.", "xfeatures.example."] {
        assert_eq!(ask(name, RecordType::A).await.metadata.response_code, ResponseCode::Refused, "{name}");
    }
    assert_eq!(ask("features.example.", RecordType::AXFR).await.metadata.response_code, ResponseCode::Refused);
    let servers = ask("features.example.", RecordType::NS).await;
    assert_eq!((addresses(&servers), servers.additionals.len()), (vec!["ns1.features.example.".to_owned()], 1));
    assert_eq!(addresses(&ask("ns1.features.example.", RecordType::A).await), ["192.0.2.53"]);
    assert!(matches!(ask("features.example.", RecordType::SOA).await.answers[0].data, RData::SOA(_)));

    let mut notify = query("features.example.", RecordType::SOA, None);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(responder.udp(&notify.to_vec().unwrap()).await.metadata.response_code, ResponseCode::NotImp);
    let mut newer = query("features.example.", RecordType::A, None);
    let mut edns = Edns::new();
    edns.set_version(1);
    newer.set_edns(edns);
    // As a number, because BADSIG has the same one.
    assert_eq!(u16::from(responder.udp(&newer.to_vec().unwrap()).await.metadata.response_code), 16);
    let garbage = [&query("features.example.", RecordType::A, None).to_vec().unwrap()[..12], &[0xff; 20][..]].concat();
    assert_eq!(responder.udp(&garbage).await.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn a_large_answer_is_truncated_in_a_datagram_and_complete_over_tcp() {
    let responder = Responder::start().await;
    // More addresses than 512 bytes can hold, and than one answer may have.
    let list: Vec<_> = (1..=40).map(|nth| format!("\"2001:db8:ffff::{nth}\"")).collect();
    let many = topology(&responder.edges).replacen("\"2001:db8::1\"", &list.join(", "), 1);
    responder.fixture.router.adopt(Topology::parse(&many).unwrap());
    let cut = responder.ask("features.example.", RecordType::AAAA, None).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty(), "{cut:?}");
    let roomy = responder.ask("features.example.", RecordType::AAAA, Some("198.51.100.0/24")).await;
    assert_eq!((roomy.metadata.truncation, roomy.answers.len()), (false, 32), "the most that one answer may have");

    let mut stream = TcpStream::connect(responder.address).await.unwrap();
    for (name, answers) in [("features.example.", 32), ("west.features.example.", 32), ("mars.features.example.", 0)] {
        let bytes = query(name, RecordType::AAAA, None).to_vec().unwrap();
        stream.write_u16(bytes.len() as u16).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), answers, "one connection, many queries: {name}");
    }
}

#[tokio::test]
async fn no_usable_edge_is_a_failure_and_not_an_empty_answer() {
    let responder = Responder::start().await;
    for edge in &responder.edges {
        *edge.status.lock() = fixture::WELL.replace("true", "false").replace("\"lsn\":7", "\"lsn\":0");
    }
    responder.fixture.eventually(|view| !view.is_usable()).await;
    let answer = responder.ask("features.example.", RecordType::A, None).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(answer.answers.is_empty());
}
