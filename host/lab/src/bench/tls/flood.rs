//! A client's latency while 64 others flood the door, beside its latency while they are quiet.
//!
//! Every attacker has an address and a valid token of its own. On some of its connections it performs one full handshake
//! after the other; on the others it sends the next read as soon as the last is answered. The nodes run on one half of
//! the cores; the client and the attackers, at the lowest priority, run on the other half: on the network the attackers
//! would not take the server's cores either.

use super::{Pair, client};
use crate::bench::{
    data,
    failure::Failure,
    http_load::{is_whole_with_any_status, with_header},
    load::{self, Load, Pace, run_when_idle},
    measurement::{Measurement, median},
    names,
    reads::http,
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
};
use bytes::Bytes;
use littoral_provision::{Issuer, oidc::Algorithm};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustls::ClientConfig;
use serde_json::json;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

/// The number of attackers.
const ATTACKERS: u8 = 64;

/// The connections on which an attacker performs handshakes, and those on which it reads.
const HANDSHAKING: usize = 2;
const READING: usize = 2;

/// The client's reads per second, and its connections.
const RATE: f64 = 200.0;
const CONNECTIONS: usize = 4;

/// How much longer the p99 may be during the flood.
const FACTOR: f64 = 3.0;

/// How long the flood lasts before the client's latency counts.
const FLOOD_FIRST: Duration = Duration::from_millis(300);

/// The cores of the nodes and of the clients. Dropping it lets this thread run on all of them again.
struct Cores {
    all: CpuSet,
    clients: CpuSet,
}

impl Cores {
    /// Divides the cores, and moves this thread to those of the nodes: what it starts inherits them. On a single core,
    /// all share it.
    fn divide() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        let (clients, nodes) = usable.split_at(usable.len() / 2);
        let set = |cores: &[usize]| {
            let mut set = CpuSet::new();
            cores.iter().for_each(|core| set.set(*core));
            set
        };
        let clients = if clients.is_empty() { all } else { set(clients) };
        sched_setaffinity(None, &set(nodes))?;
        Ok(Self { all, clients })
    }

    /// Moves this thread to the cores of the clients.
    fn of_clients(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.clients)?)
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // The measurements that follow would use fewer cores: the next report of the machine shows it.
        let _ = sched_setaffinity(None, &self.all);
    }
}

/// What the attackers have done.
#[derive(Debug, Default)]
struct Counts {
    handshakes: AtomicU64,
    answers: AtomicU64,
}

/// An attacker.
#[derive(Clone)]
struct Attacker {
    address: Ipv4Addr,
    door: SocketAddr,
    tls: Arc<ClientConfig>,
    read: Bytes,
    counts: Arc<Counts>,
}

impl Attacker {
    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.address, 0).into())?;
        let stream = socket.connect(self.door).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(self.tls.clone()).connect(self.door.ip().into(), stream).await
    }

    /// Performs one handshake after the other.
    async fn handshake(self) {
        loop {
            if self.connect().await.is_ok() {
                self.counts.handshakes.fetch_add(1, Relaxed);
            }
            // Also when the door rejects everything, the other attackers continue.
            tokio::task::yield_now().await;
        }
    }

    /// Reads as often as it can.
    async fn read(self) {
        loop {
            // The door may close the connection or reject reads: that does not discourage the attacker.
            let _ = self.read_on_one_connection().await;
            tokio::task::yield_now().await;
        }
    }

    async fn read_on_one_connection(&self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        let mut answer = Vec::with_capacity(4 << 10);
        loop {
            stream.write_all(&self.read).await?;
            answer.clear();
            while !is_whole_with_any_status(&answer)? {
                if stream.read_buf(&mut answer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            self.counts.answers.fetch_add(1, Relaxed);
        }
    }
}

/// A running flood, until it is stopped.
struct Flood {
    stop: CancellationToken,
    thread: JoinHandle<io::Result<()>>,
}

impl Flood {
    fn start(attackers: &[Attacker]) -> Self {
        let (stop, attackers) = (CancellationToken::new(), attackers.to_vec());
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            run_when_idle();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for attacker in attackers {
                    (0..HANDSHAKING).for_each(|_| drop(tasks.spawn(attacker.clone().handshake())));
                    (0..READING).for_each(|_| drop(tasks.spawn(attacker.clone().read())));
                }
                stopped.cancelled().await;
            });
            Ok(())
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        let ended = self.thread.join().map_err(|_| Failure("the attackers' thread panicked".to_owned()))?;
        Ok(ended?)
    }
}

/// Measures with and without the flood in turns.
pub fn measure(effort: Effort) -> Result<Measurement, Failure> {
    let issuer = Issuer::start().map_err(|missing| Failure::new("an OIDC issuer", missing))?;
    let config = format!(
        "[auth]\n[[auth.issuers]]\nissuer = \"{}\"\naudiences = [\"bench\"]\nscopes_claim = \"scope\"\n",
        issuer.url()
    );
    let cores = Cores::divide()?;
    let pair = Pair::start(effort, true, &config)?;
    cores.of_clients()?;
    let reads = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 1));
    let header_of = |subject: &str| {
        let claims = json!({ "aud": "bench", "scope": "read", "sub": subject, "exp": 4_102_444_800_u64 });
        format!("authorization: Bearer {}", issuer.token(Algorithm::Es256, &claims))
    };
    let (header, counts) = (header_of("client"), Arc::new(Counts::default()));
    let requests: Arc<[Bytes]> = reads.iter().map(|read| with_header(read, &header)).collect();
    let tls = client::unchecking().map_err(|error| Failure::new("a client", error))?;
    let attacker = |number: u8| Attacker {
        address: Ipv4Addr::new(127, 0, 1, number + 1),
        door: pair.door(),
        tls: tls.clone(),
        read: with_header(&reads[usize::from(number)], &header_of(&format!("attacker-{number}"))),
        counts: counts.clone(),
    };
    let attackers: Vec<_> = (0..ATTACKERS).map(attacker).collect();
    let load = Load {
        tls: pair.client.clone(),
        connections: CONNECTIONS,
        pace: Pace::Open(RATE),
        duration: effort.run * 2,
        ..http(pair.door(), &requests, effort)
    };
    let p99 = || load::run(&load).map(|outcome| outcome.latencies.quantile_us(0.99));
    let (mut quiet, mut flooded, mut lasted) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..effort.rounds {
        quiet.push(p99()?);
        let (flood, begun) = (Flood::start(&attackers), Instant::now());
        thread::sleep(FLOOD_FIRST);
        let latency = p99();
        lasted += begun.elapsed();
        flood.stop()?;
        flooded.push(latency?);
    }
    let per_second = |count: &AtomicU64| count.load(Relaxed) as f64 / lasted.as_secs_f64();
    let work = format!("p99 of a client's reads over TLS ({RATE} reads/s) while {ATTACKERS} attackers flood the door");
    Ok(Measurement::new(names::FLOOD, work, "us", &flooded[..])
        .at_most(FACTOR, "the same without attackers", Some(quiet[..].into()))
        .note(format!(
            "the attackers completed {:.0} handshakes/s and {:.0} reads/s; the quiet rounds had a p99 of {:.0} us",
            per_second(&counts.handshakes),
            per_second(&counts.answers),
            median(&quiet)
        )))
}
