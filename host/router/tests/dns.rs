//! The DNS responder, asked by a real resolver and by hand-made messages.

mod mmdb;
mod stand;

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
use stand::{Edge, Stand, topology};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
};
use tokio_util::sync::CancellationToken;

struct Responder {
    stand: Stand,
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
    /// West holds 198.51.100.0/24 by the table, east 203.0.113.0/24 by the database; others are assumed to be west.
    async fn start() -> Self {
        let edges = [Edge::start("west").await, Edge::start("east").await];
        let database = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(database.path(), mmdb::write(&[("203.0.113.0".parse().unwrap(), 24, 0.0, 29.0)])).unwrap();
        let stand = Stand::start(&edges, |config| {
            config.place.database = Some(database.path().to_owned());
            config.place.fallback = Some("0,1".parse().unwrap());
            config.place.subnets = vec![littoral_router::decision::place::Subnet {
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
        let zone = dns::Zone::new(&stand.router.config().dns).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(dns::serve(udp, tcp, stand.router.clone(), zone, stop.clone()));
        Self { stand, edges, address, _database: database, stop }
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

    /// Asks for an A record with this client subnet option, byte for byte; gives the answer's bytes, as the library reads no
    /// option of no family.
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

/// A client subnet option's data.
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
    assert_eq!(found, [("192.0.2.1".to_owned(), 20)], "the resolver is assumed to be in the west");
    *responder.edges[0].status.lock() = "gone".to_owned();
    responder.stand.eventually(|view| !view.members[0].usable).await;
    let found = resolver.lookup("features.example.", RecordType::AAAA).await.unwrap();
    let found: Vec<_> = found.answers().iter().map(|record| record.data.to_string()).collect();
    assert_eq!(found, ["2001:db8::2"], "the answers change with health");
    assert!(resolver.lookup("mars.features.example.", RecordType::A).await.unwrap_err().is_nx_domain());
}

#[tokio::test]
async fn the_clients_subnet_decides_and_the_answer_says_for_whom_it_holds() {
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
        // An IPv4 network in IPv6's clothes, as resolvers behind NAT64 and dual-stack sockets send it.
        (ecs(2, 120, &v4([203, 0, 113])), EAST, ecs_answer(2, 120, 120, &v4([203, 0, 113]))),
        (ecs(2, 120, &v4([198, 51, 100])), WEST, ecs_answer(2, 120, 120, &v4([198, 51, 100]))),
        // Everybody, in each family.
        (ecs(1, 0, &[]), WEST, ecs_answer(1, 0, 0, &[])),
        (ecs(2, 0, &[]), WEST, ecs_answer(2, 0, 0, &[])),
        // The table has a network within the one that is asked about: the answer does not hold for that.
        (ecs(1, 16, &[198, 51]), WEST, ecs_answer(1, 16, 18, &[198, 51])),
    ];
    for (option, address, answered) in cases {
        let answer = responder.ask_with("features.example.", &option).await;
        assert_eq!(code(&answer), ResponseCode::NoError, "{option:?}");
        assert!(has(&answer, &[&[0, 4][..], &address].concat()), "{option:?}: {answer:?}");
        let told = [&[0, 8, 0, answered.len() as u8][..], &answered].concat();
        assert!(has(&answer, &told), "{option:?}: {answer:?} lacks {told:?}");
    }
    // Everybody, in no family, as `dig +subnet=0` sends it.
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
    assert!(plain.edns.is_none(), "who does not speak EDNS is not spoken to in it");
    let odd = responder.ask("features.example.", RecordType::A, Some("198.51.100.7/24")).await;
    let mut bits = query("features.example.", RecordType::A, None);
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Subnet(ClientSubnet::new("198.51.100.7".parse().unwrap(), 32, 24)));
    bits.set_edns(edns);
    assert_eq!(odd.metadata.response_code, ResponseCode::NoError, "the client masks");
    assert_eq!(responder.udp(&bits.to_vec().unwrap()).await.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn names_that_are_not_there_and_types_that_are_not_are_told_apart() {
    let responder = Responder::start().await;
    let ask = |name, kind| responder.ask(name, kind, None);
    let region = ask("east.features.example.", RecordType::A).await;
    assert_eq!(addresses(&region), ["192.0.2.2"], "a region's own name");
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
    // As a number, since BADSIG is the same one.
    assert_eq!(u16::from(responder.udp(&newer.to_vec().unwrap()).await.metadata.response_code), 16);
    let garbage = [&query("features.example.", RecordType::A, None).to_vec().unwrap()[..12], &[0xff; 20][..]].concat();
    assert_eq!(responder.udp(&garbage).await.metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test]
async fn what_does_not_fit_a_datagram_is_cut_and_comes_whole_over_tcp() {
    let responder = Responder::start().await;
    // So many addresses that 512 bytes do not hold them, and more than one answer may have.
    let list: Vec<_> = (1..=40).map(|nth| format!("\"2001:db8:ffff::{nth}\"")).collect();
    let many = topology(&responder.edges).replacen("\"2001:db8::1\"", &list.join(", "), 1);
    responder.stand.router.adopt(Topology::parse(&many).unwrap());
    let cut = responder.ask("features.example.", RecordType::AAAA, None).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty(), "{cut:?}");
    let roomy = responder.ask("features.example.", RecordType::AAAA, Some("198.51.100.0/24")).await;
    assert_eq!((roomy.metadata.truncation, roomy.answers.len()), (false, 32), "as many as one answer may have");

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
async fn nothing_left_is_a_failure_and_not_an_empty_answer() {
    let responder = Responder::start().await;
    for edge in &responder.edges {
        *edge.status.lock() = stand::WELL.replace("true", "false").replace("\"lsn\":7", "\"lsn\":0");
    }
    responder.stand.eventually(|view| !view.is_usable()).await;
    let answer = responder.ask("features.example.", RecordType::A, None).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(answer.answers.is_empty());
}
