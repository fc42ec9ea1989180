//! A door in front of a node that answers reads when the test allows it, and clients that send bytes to the door.

use bytes::Bytes;
use littoral_doors::{Config, Guard, Opener, Process};
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
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a test waits for something that should happen at once: long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// How long a test checks that no answer arrives for a request that should wait.
pub const WHILE: Duration = Duration::from_millis(400);

pub const READ: &str = r#"{"features":["v:f"],"entities":{"id":[1]}}"#;

/// A node with one view and no rows. It answers reads when the test allows it, never reaches a token, and panics in
/// `status`.
pub struct Slow {
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

pub struct NoModules;

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
        panic!("a fault of the node, which the test wants")
    }
}

impl ModuleRuntime for NoModules {
    fn inspect(&self, _: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>> {
        Box::pin(async { Err(ModuleError::Rejected("none here".into())) })
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

pub struct Door {
    pub node: Arc<Slow>,
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
}

impl Door {
    pub async fn open(config: Config) -> Self {
        Self::open_guarded(config, Guard::open()).await
    }

    pub async fn open_guarded(config: Config, guard: Guard) -> Self {
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::PutView(FeatureView {
            id: ViewId(1),
            name: "v".into(),
            join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
            features: vec![Feature { name: "f".into(), value_type: ValueType::Double }],
            ttl_ms: None,
            merge: MergePolicy::LatestEvent,
        }));
        let (mut door, opener) = Self::closed(config, guard, String::new).await;
        door.node = Slow::of(catalogue);
        opener.open(door.node.clone(), Arc::new(NoModules));
        door
    }

    /// Opens a door whose node is starting.
    pub async fn closed(
        config: Config,
        guard: Guard,
        starting: impl Fn() -> String + Send + Sync + 'static,
    ) -> (Self, Opener) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let door = littoral_doors::Door::new(listener, config, Process::default(), guard, starting);
        let (opener, served) = (door.opener(), tokio::spawn(door.serve(shutdown.clone())));
        (Self { node: Slow::of(Catalogue::default()), address, shutdown, served }, opener)
    }

    /// Makes reads wait in the node until [`Self::release`].
    pub fn hold(&self) {
        self.node.hold.send_replace(true);
    }

    /// Waits until this many reads have begun in the node.
    pub async fn reads(&self, count: usize) {
        let mut reads = self.node.reads.subscribe();
        let begun = timeout(SOON, reads.wait_for(|reads| *reads >= count)).await.expect("the read runs");
        begun.expect("the node counts reads");
    }

    /// Sends a read that waits in the node until [`Self::release`].
    pub async fn held_read(&self) -> Client {
        self.hold();
        let mut client = self.connect().await;
        client.send(read().as_bytes()).await;
        self.reads(1).await;
        client
    }

    pub fn release(&self) {
        self.node.hold.send_replace(false);
    }

    pub async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Connects from this address.
    pub async fn connect_from(&self, address: [u8; 4]) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        Client(socket.connect(self.address).await.unwrap())
    }

    /// Checks that another client is served.
    pub async fn serves(&self) {
        let answer = self.connect().await.ask(&get("/health")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

pub struct Client(pub TcpStream);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head and the body.
    pub text: String,
}

impl Client {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await;
        self.answer().await
    }

    /// Returns the next answer, which ends after its content-length.
    pub async fn answer(&mut self) -> Answer {
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
        timeout(SOON, read).await.expect("an answer arrives");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Answer { status, text }
    }

    /// Waits until the door has closed the connection.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset ends the connection, too.
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

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

pub fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")
}

pub fn read() -> String {
    post("/get-online-features", READ.len()) + READ
}

/// Returns a request that the script of a web page can send without a preflight request.
pub fn from_page(path: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\n{headers}content-type: text/plain\r\ncontent-length: {}\r\n\r\n{READ}", READ.len())
}
