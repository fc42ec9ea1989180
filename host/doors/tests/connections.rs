//! Clients that are slow, silent, broken or too many, over real sockets: each gets an error or is disconnected, and others are served.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_doors::{Config, Opener, Process};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    merge::MergePolicy,
    module::{ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModuleCall, ModuleError, ModulePut, ModuleRuntime, Node},
    read::{ReadAnswer, ReadError, ReadRequest},
    region::Region,
    status::NodeStatus,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::{WriteError, WriteReceipt, WriteRequest},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Long enough on a busy machine for anything that should happen at once.
const SOON: Duration = Duration::from_secs(60);

/// How long a test checks that no answer arrives for a request that should wait.
const WHILE: Duration = Duration::from_millis(400);

const READ: &str = r#"{"features":["v:f"],"entities":{"id":[1]}}"#;

/// A node with one view and no rows. It answers reads when the test allows it, never reaches a token, and panics in `status`.
struct Slow {
    catalogue: Arc<Catalogue>,
    /// The number of reads that have begun.
    reads: watch::Sender<usize>,
    /// While true, reads wait.
    hold: watch::Sender<bool>,
}

impl Slow {
    fn of(catalogue: Catalogue) -> Arc<Self> {
        let (reads, hold) = (watch::Sender::default(), watch::Sender::default());
        Arc::new(Self { catalogue: Arc::new(catalogue), reads, hold })
    }
}

struct NoModules;

impl FeatureReader for Slow {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.clone()
    }

    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }

    fn read_local(&self, _: &ReadRequest, _: &mut ReadAnswer) -> bool {
        false
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            if request.demand.at_least.is_some() {
                sleep(request.demand.wait_max).await;
                return Err(ReadError::NotFreshEnough { wanted: "a far token".into(), have: "nothing".into() });
            }
            self.reads.send_modify(|reads| *reads += 1);
            let _ = self.hold.subscribe().wait_for(|held| !held).await;
            let rows = request.reads.iter().map(|read| vec![None; read.keys.len()]).collect();
            Ok(ReadAnswer { rows, ..ReadAnswer::default() })
        })
    }
}

impl FeatureWriter for Slow {
    fn write(&self, _: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async { Err(WriteError::Overloaded) })
    }

    fn change(&self, _: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async { Err(WriteError::Overloaded) })
    }

    fn put_module(&self, _: String, _: String, _: Bytes) -> BoxFuture<'_, Result<ModulePut, WriteError>> {
        Box::pin(async { Err(WriteError::Overloaded) })
    }
}

impl Node for Slow {
    fn status(&self) -> NodeStatus {
        panic!("a fault of the node, as this test wants it")
    }
}

impl ModuleRuntime for NoModules {
    fn inspect(&self, _: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async { Err(ModuleError::Refused("none here".into())) })
    }

    fn prepare(&self, _: ModuleDigest, _: Bytes) -> BoxFuture<'_, Result<(), ModuleError>> {
        Box::pin(async { Ok(()) })
    }

    fn is_ready(&self, _: ModuleDigest) -> bool {
        false
    }

    fn transform<'a>(&'a self, call: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>> {
        Box::pin(async move { Err(ModuleError::NotReady { module: call.name.to_string() }) })
    }

    fn retire(&self, _: ModuleDigest) {}
}

struct Door {
    node: Arc<Slow>,
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

impl Door {
    async fn open(config: Config) -> Self {
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::PutView(FeatureView {
            id: ViewId(1),
            name: "v".into(),
            join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
            features: vec![Feature { name: "f".into(), value_type: ValueType::Double }],
            ttl_ms: None,
            merge: MergePolicy::LatestEvent,
        }));
        let (mut door, opener) = Self::closed(config, String::new).await;
        door.node = Slow::of(catalogue);
        opener.open(door.node.clone(), Arc::new(NoModules));
        door
    }

    /// Opens a door whose node is starting.
    async fn closed(config: Config, starting: impl Fn() -> String + Send + Sync + 'static) -> (Self, Opener) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let door =
            littoral_doors::Door::new(listener, config, Process::default(), littoral_doors::Guard::open(), starting);
        let (opener, served) = (door.opener(), tokio::spawn(door.serve(shutdown.clone())));
        (Self { node: Slow::of(Catalogue::default()), address, shutdown, served }, opener)
    }

    /// Sends a read that waits in the node until [`Self::release`].
    async fn held_read(&self) -> Client {
        self.node.hold.send_replace(true);
        let mut client = self.connect().await;
        client.send(read().as_bytes()).await;
        let _ = self.node.reads.subscribe().wait_for(|reads| *reads == 1).await;
        client
    }

    fn release(&self) {
        self.node.hold.send_replace(false);
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Checks that another client is served.
    async fn serves(&self) {
        let answer = self.connect().await.ask(&get("/health")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

struct Client(TcpStream);

#[derive(Debug)]
struct Answer {
    status: u16,
    /// Head and body.
    text: String,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await;
        self.answer().await
    }

    /// The next answer, by its content-length.
    async fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                if let Some((head, body)) = split(&bytes)
                    && body.len() >= content_length(head)
                {
                    return;
                }
                if self.0.read_buf(&mut bytes).await.unwrap() == 0 {
                    return;
                }
            }
        };
        timeout(SOON, read).await.expect("an answer comes");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Answer { status, text }
    }

    /// Waits until the door has closed the connection.
    async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = timeout(SOON, self.0.read_to_end(&mut rest)).await.expect("the door closes the connection");
    }
}

fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]))
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.and_then(|length| length.parse().ok()).unwrap_or_default()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")
}

fn read() -> String {
    post("/get-online-features", READ.len()) + READ
}

/// A read that waits for a token which never comes, for half a minute.
fn far_read() -> String {
    let demand = "littoral-at-least: east@5b1c9d0e77a2f410:9000000000000\r\nlittoral-wait-ms: 30000\r\n\r\n";
    post("/get-online-features", READ.len()).replace("\r\n\r\n", &format!("\r\n{demand}")) + READ
}

/// Asks with this request, on new connections, until it is one of those that wait. The tests in which this is never so end
/// with their own patience.
async fn waits(door: &Door, request: &str) -> Client {
    let looking = async {
        loop {
            let mut client = door.connect().await;
            client.send(request.as_bytes()).await;
            if timeout(WHILE, client.0.readable()).await.is_err() {
                return client;
            }
            let refused = client.answer().await;
            assert_eq!(refused.status, 503, "{}", refused.text);
            assert!(refused.text.contains("littoral-error: too_many_waiting"), "{}", refused.text);
        }
    };
    timeout(SOON, looking).await.expect("there is a place to wait at")
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_wait_for_freshness_use_no_place_of_others_and_end_with_their_clients() {
    let door = Door::open(Config { requests_max: 1, waiting_requests_max: 3, ..Config::default() }).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(waits(&door, &far_read()).await);
    }
    // Another would wait beyond the bound; a plain one is answered.
    let refused = door.connect().await.ask(&far_read()).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("littoral-error: too_many_waiting"), "{}", refused.text);
    assert!(refused.text.contains("retry-after: 1"), "{}", refused.text);
    assert_eq!(door.connect().await.ask(&read()).await.status, 200);
    // Whoever leaves makes room, also one whose next request came already and hides its leaving.
    drop(waiting.pop());
    waiting.push(waits(&door, &(far_read() + &far_read())).await);
    drop(waiting.pop());
    waiting.push(waits(&door, &far_read()).await);
    // And whoever only has nothing more to send is told that the wait is over.
    let mut last = waiting.pop().unwrap();
    last.0.shutdown().await.unwrap();
    let told = last.answer().await;
    assert_eq!(told.status, 412, "{}", told.text);
    assert!(told.text.contains("littoral-error: client_left"), "{}", told.text);
    waits(&door, &far_read()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_reads_over_http2_end_with_their_stream_or_connection() {
    let door = Door::open(Config { requests_max: 1, waiting_requests_max: 1, ..Config::default() }).await;
    let client = || {
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .http2_only(true)
            .build_http::<Full<Bytes>>()
    };
    let far = || {
        http::Request::post(format!("http://{}/get-online-features", door.address))
            .header("littoral-at-least", "east@5b1c9d0e77a2f410:9000000000000")
            .header("littoral-wait-ms", "30000")
            .body(Full::new(Bytes::from_static(READ.as_bytes())))
            .unwrap()
    };
    let kept = client();
    assert!(timeout(WHILE, kept.request(far())).await.is_err(), "it waits, and its stream is reset");
    drop(waits(&door, &far_read()).await);
    let leaving = client();
    let begun = tokio::time::Instant::now();
    // As long as the place of the one before is not free yet, it is refused.
    let asked = loop {
        let asked = tokio::spawn(leaving.request(far()));
        sleep(WHILE).await;
        if !asked.is_finished() {
            break asked;
        }
        assert!(begun.elapsed() < SOON, "there is a place to wait at");
    };
    assert_eq!(door.connect().await.ask(&far_read()).await.status, 503);
    asked.abort();
    drop(leaving);
    drop(waits(&door, &far_read()).await);
    assert_eq!(door.connect().await.ask(&read()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_little_for_too_long_is_disconnected() {
    let door = Door::open(Config { header_timeout_ms: 300, ..Config::default() }).await;
    for said in ["", "P", "PRI * HTTP/2.0\r\n\r\nS", "GET /health HTTP/1.1\r\nhost: localhost\r\nx-"] {
        let mut client = door.connect().await;
        client.send(said.as_bytes()).await;
        door.serves().await;
        client.closed().await;
    }
    let mut idle = door.connect().await;
    assert_eq!(idle.ask(&get("/health")).await.status, 200);
    idle.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_use_no_place_of_others_and_time_out() {
    let config = Config { requests_max: 1, body_timeout_ms: 1_500, ..Config::default() };
    let door = Door::open(config).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut client = door.connect().await;
        client.send((post("/get-online-features", 100) + "{").as_bytes()).await;
        slow.push(client);
    }
    let answer = door.connect().await.ask(&read()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for mut client in slow {
        let answer = client.answer().await;
        assert_eq!(answer.status, 408, "{}", answer.text);
        client.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_bound_get_retry_after() {
    let door = Door::open(Config { requests_max: 1, ..Config::default() }).await;
    let mut first = door.held_read().await;
    let second = door.connect().await.ask(&read()).await;
    assert_eq!(second.status, 503, "{}", second.text);
    assert!(second.text.contains("retry-after: 1"), "{}", second.text);
    door.serves().await;
    door.release();
    assert_eq!(first.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_rejected_while_it_arrives() {
    const LEN: usize = 100 << 20;
    let door = Door::open(Config::default()).await;
    let before = memory_peak_kib();
    let chunk = vec![b' '; 1 << 20];
    let chunked = "POST /get-online-features HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, chunk_head) in [(post("/get-online-features", LEN), ""), (chunked.to_owned(), "100000\r\n")] {
        let mut client = door.connect().await;
        client.send(head.as_bytes()).await;
        // As simple clients do: everything is sent before anything is read.
        for _ in 0..LEN / chunk.len() {
            client.send(chunk_head.as_bytes()).await;
            client.send(&chunk).await;
            client.send(if chunk_head.is_empty() { b"" } else { b"\r\n" }).await;
        }
        let answer = client.answer().await;
        assert_eq!(answer.status, 413, "{}", answer.text);
        assert!(answer.text.contains("feast.errors") && answer.text.contains("8388608 bytes"), "{}", answer.text);
        door.serves().await;
    }
    let grown = memory_peak_kib() - before;
    assert!(grown < 64 << 10, "two bodies of 100 MiB took {grown} KiB");
}

/// The most memory that the process had so far.
fn memory_peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_share_a_budget_and_small_ones_need_none() {
    const MIB: usize = 1 << 20;
    let config = Config {
        read_bytes_max: MIB,
        write_bytes_max: MIB,
        module_bytes_max: MIB,
        bodies_bytes_max: MIB,
        ..Config::default()
    };
    let door = Door::open(config).await;
    let lacks_one_byte = async || {
        let mut slow = door.connect().await;
        slow.send(post("/write-to-online-store", MIB).as_bytes()).await;
        slow.send(&vec![b' '; MIB - 1]).await;
        slow
    };
    let half = async || {
        let mut large = door.connect().await;
        large.send(post("/write-to-online-store", MIB / 2).as_bytes()).await;
        large.send(&vec![b' '; MIB / 2]).await;
        large.answer().await
    };
    // Until the door has read all that the slow client sent, there is room for another body. That body can also take the
    // room that the slow one needs next: then the door refuses the slow one, and another slow one must take its place.
    let room_is_taken = async {
        let mut slow = lacks_one_byte().await;
        loop {
            let large = half().await;
            if timeout(WHILE, slow.0.peek(&mut [0])).await.is_ok() {
                slow = lacks_one_byte().await;
            } else if large.status != 422 {
                break (slow, large);
            }
        }
    };
    let (mut slow, refused) = timeout(SOON, room_is_taken).await.expect("the slow body never filled the room");
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(door.connect().await.ask(&read()).await.status, 200);
    slow.send(b" ").await;
    assert_eq!(slow.answer().await.status, 422, "an empty body");
    assert_eq!(half().await.status, 422, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_client_is_answered() {
    let door = Door::open(Config::default()).await;
    let mut client = door.connect().await;
    client.send(read().as_bytes()).await;
    client.0.shutdown().await.unwrap();
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("NOT_FOUND"), "{}", answer.text);
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_does_not_affect_others() {
    let door = Door::open(Config::default()).await;
    for sent in [post("/get-online-features", 1_000) + "{\"fea", read(), "\r\n\r\n".into(), "\u{16}\u{3}\u{1}".into()] {
        let mut client = door.connect().await;
        client.send(sent.as_bytes()).await;
        drop(client);
        door.serves().await;
    }
    let mut nonsense = door.connect().await;
    assert_eq!(nonsense.ask("\u{16}\u{3}\u{1}\u{2}\r\n\r\n").await.status, 400);
    let mut head = get("/health");
    head.insert_str(head.len() - 2, &format!("x: {}\r\n", "x".repeat(100_000)));
    let mut large_head = door.connect().await;
    assert_eq!(large_head.ask(&head).await.status, 431);
    door.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_answers_is_disconnected() {
    let door = Door::open(Config { write_timeout_ms: 500, ..Config::default() }).await;
    let mut greedy = door.connect().await;
    let requests = get("/v1/openapi.json").repeat(1_000);
    let ask_forever = async { while greedy.0.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(SOON, ask_forever).await.expect("the door stops to listen");
    door.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let door = Door::open(Config { connections_max: 2, ..Config::default() }).await;
    let mut first = door.connect().await;
    let mut second = door.connect().await;
    assert_eq!(first.ask(&get("/health")).await.status, 200);
    assert_eq!(second.ask(&get("/health")).await.status, 200);
    let mut third = door.connect().await;
    third.send(get("/health").as_bytes()).await;
    assert!(timeout(Duration::from_millis(300), third.0.readable()).await.is_err(), "no place yet");
    drop(first);
    assert_eq!(third.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_door_answers_running_requests() {
    let door = Door::open(Config::default()).await;
    let mut idle = door.connect().await;
    assert_eq!(idle.ask(&get("/health")).await.status, 200);
    let mut busy = door.held_read().await;
    door.shutdown.cancel();
    door.release();
    let answer = busy.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    idle.closed().await;
    timeout(SOON, door.served).await.expect("the door closes").unwrap();
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_door_waits_no_longer_than_the_drain_time() {
    let door = Door::open(Config { drain_ms: 100, ..Config::default() }).await;
    let mut trickling = door.connect().await;
    trickling.send((post("/get-online-features", 100) + "{").as_bytes()).await;
    door.serves().await;
    door.shutdown.cancel();
    timeout(SOON, door.served).await.expect("the door closes").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_node_ends_only_one_request() {
    let door = Door::open(Config::default()).await;
    let mut client = door.connect().await;
    let answer = client.ask(&get("/v1/status")).await;
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert!(answer.text.contains("application/problem+json"), "{}", answer.text);
    assert_eq!(client.ask(&read()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_needs_no_upgrade() {
    let door = Door::open(Config::default()).await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let url = format!("http://{}/get-online-features", door.address);
    let ask = || {
        let request = http::Request::post(&url).body(Full::new(Bytes::from_static(READ.as_bytes()))).unwrap();
        client.request(request)
    };
    let (one, other) = tokio::join!(ask(), ask());
    for answer in [one.unwrap(), other.unwrap()] {
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

/// A client that speaks HTTP/2 and never opens a window: no answer larger than the first one gets through.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_an_http2_answer_is_disconnected() {
    let door = Door::open(Config { write_timeout_ms: 600, ..Config::default() }).await;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let rows: Vec<String> = (0..2_000).map(|id| id.to_string()).collect();
    let body = format!(r#"{{"features":["v:f"],"entities":{{"id":[{}]}}}}"#, rows.join(","));
    // HPACK: POST and http from the static table, the path and the authority as literals.
    let path = b"/get-online-features";
    let mut head = vec![0x83, 0x86, 0x04, path.len() as u8];
    head.extend_from_slice(path);
    head.extend_from_slice(b"\x01\x09localhost");
    let mut client = door.connect().await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send(&frame(4, 0, 0, &[])).await;
    client.send(&frame(1, 4, 1, &head)).await;
    client.send(&frame(0, 1, 1, body.as_bytes())).await;
    let mut got = Vec::new();
    // It does read what comes: the window is what it keeps shut.
    let read = client.0.read_to_end(&mut got);
    let _ = timeout(SOON, read).await.expect("the door closes the connection");
    assert!(got.len() > 60_000, "the first window came, {} bytes", got.len());
    door.serves().await;
}

/// What a web page may send of its own accord.
fn from_page(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\n{headers}content-type: text/plain\r\ncontent-length: {}\r\n\r\n{READ}", READ.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_can_use_no_path_of_a_door_unless_its_origin_is_configured() {
    let config: Config =
        toml::from_str("origins = [\"https://console.example\"]\nhosts = [\"features.example\"]").unwrap();
    let door = Door::open(config).await;
    let paths = [
        "/get-online-features",
        "/push",
        "/write-to-online-store",
        "/v1/read",
        "/v1/rows",
        "/v1/views/v/rows",
        "/health",
        "/nope",
    ];
    for path in paths {
        for (headers, code) in [
            ("host: localhost\r\norigin: https://evil.example\r\n", "origin_not_allowed"),
            ("host: localhost\r\norigin: null\r\n", "origin_not_allowed"),
            (
                "host: localhost\r\norigin: https://console.example\r\norigin: https://evil.example\r\n",
                "origin_not_allowed",
            ),
            ("host: evil.example:6566\r\n", "host_not_allowed"),
            ("host: evil.example\r\norigin: https://console.example\r\n", "host_not_allowed"),
        ] {
            let answer = door.connect().await.ask(&from_page(path, headers)).await;
            assert_eq!(answer.status, 403, "{path} {headers}: {}", answer.text);
            assert!(answer.text.contains(&format!("littoral-error: {code}")), "{path}: {}", answer.text);
            assert!(answer.text.contains("door.origins") || answer.text.contains("door.hosts"), "{}", answer.text);
        }
    }
    for headers in [
        "host: localhost\r\norigin: https://console.example\r\n",
        "host: 127.0.0.1:6566\r\n",
        "host: [::1]:6566\r\n",
        "host: features.example\r\n",
    ] {
        let answer = door.connect().await.ask(&from_page("/get-online-features", headers)).await;
        assert_eq!(answer.status, 200, "{headers}: {}", answer.text);
    }
    let old = format!("POST /get-online-features HTTP/1.0\r\ncontent-length: {}\r\n\r\n{READ}", READ.len());
    assert_eq!(door.connect().await.ask(&old).await.status, 200, "HTTP/1.0 names no host");
    let absolute = from_page("http://evil.example/v1/read", "host: localhost\r\n");
    assert_eq!(door.connect().await.ask(&absolute).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_the_authority_and_the_origin_are_checked_too() {
    let door = Door::open(Config::default()).await;
    let stream = TcpStream::connect(door.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (uri, origin, status) in [
        ("http://localhost/get-online-features", None, 200),
        ("http://127.0.0.1:1/get-online-features", None, 200),
        ("http://evil.example/get-online-features", None, 403),
        ("http://evil.example/v1/read", None, 403),
        ("http://localhost/get-online-features", Some("http://evil.example"), 403),
        ("http://localhost/v1/rows", Some("http://localhost"), 403),
    ] {
        let mut request = http::Request::post(uri).body(Full::new(Bytes::from(READ))).unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let answer = timeout(SOON, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), status, "{uri} {origin:?}");
        assert_eq!(answer.headers().contains_key("littoral-error"), status == 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_is_open_while_its_node_starts_and_reports_the_progress() {
    let (door, opener) = Door::closed(Config::default(), || "7 of about 9 rows are restored".to_owned()).await;
    let mut kept = door.connect().await;
    for path in ["/health", "/v1/ready", "/v1/status", "/v1/views"] {
        let answer = kept.ask(&get(path)).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        for part in ["littoral-error: starting", "retry-after: 1", "7 of about 9 rows are restored"] {
            assert!(answer.text.contains(part), "{path}: {}", answer.text);
        }
    }
    let page = from_page("/push", "host: localhost\r\norigin: http://evil.example\r\n");
    assert_eq!(kept.ask(&page).await.status, 403);
    opener.open(door.node.clone(), Arc::new(NoModules));
    assert_eq!(kept.ask(&get("/health")).await.status, 200, "the same connection is served by the node");
    door.shutdown.cancel();
    timeout(SOON, door.served).await.unwrap().unwrap();
}
