//! From commit at the leader to visible at an edge, while 10,000 rows are written per second.
//!
//! Some of the writes are followed: once such a write is acknowledged, a read at the edge demands its freshness token
//! and waits. The report has the time from the acknowledgement to that answer, which includes the read's own round
//! trip; the time from the sending of the write is in the notes.

use crate::bench::{
    data::{self, Rows},
    failure::Failure,
    histogram::Latencies,
    measurement::{Measurement, median},
    names,
    session::Effort,
    setup::Setup,
};
use littoral_feed::client::CallClient;
use littoral_tls::Stream;
use rustls::ClientConfig;
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

/// Writes per second.
pub(crate) const RATE: u64 = 10_000;

/// How often due writes are sent.
const TICK: Duration = Duration::from_millis(1);

/// One of this many writes is followed.
const FOLLOW_EVERY: u64 = 50;

/// Readers that follow writes: so many that no write waits for one, even over a link between regions.
const FOLLOWERS: usize = 32;

/// The bound on the p99, in milliseconds.
const P99_MS_MAX: f64 = 5.0;

/// An acknowledged write.
struct Followed {
    id: u64,
    token: String,
    sent: Instant,
    acknowledged: Instant,
}

/// A door, with the TLS of connections to it.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Door {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    async fn connect(&self) -> std::io::Result<Stream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let stream = TlsConnector::from(tls.clone()).connect(self.address.ip().into(), stream).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

/// The latencies of the followed writes.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) from_commit: Latencies,
    pub(crate) from_sending: Latencies,
}

/// Measures several times and returns the p99 of the median run.
pub fn measure(setup: &Setup, rows: Rows, effort: Effort) -> Result<Measurement, Failure> {
    let edge = setup.edge_door(0)?;
    let (mut p50, mut p99, mut sending_p99, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..effort.rounds {
        let seen = setup.runtime.block_on(follow(setup.calls(), Door::plain(edge), rows, effort, RATE))?;
        p50.push(seen.from_commit.quantile_us(0.5) / 1_000.0);
        p99.push(seen.from_commit.quantile_us(0.99) / 1_000.0);
        sending_p99.push(seen.from_sending.quantile_us(0.99) / 1_000.0);
        count += seen.from_commit.len();
    }
    let work = format!("commit at the leader to visible at an edge, p99, {RATE} writes/s");
    Ok(Measurement::new(names::VISIBLE, work, "ms", median(&p99)).bounded(P99_MS_MAX).note(format!(
        "p50 {:.2} ms; p99 from the sending of the write {:.2} ms; {count} writes followed",
        median(&p50),
        median(&sending_p99)
    )))
}

/// Writes at a rate, and follows some of the writes to an edge.
pub(crate) async fn follow(
    calls: CallClient,
    edge: Door,
    rows: Rows,
    effort: Effort,
    rate: u64,
) -> Result<Seen, Failure> {
    let (sender, receiver) = mpsc::channel(1_024);
    let receiver = std::sync::Arc::new(Mutex::new(receiver));
    let mut followers = JoinSet::new();
    for _ in 0..FOLLOWERS {
        let (receiver, edge) = (receiver.clone(), edge.clone());
        followers.spawn(async move {
            let mut stream = edge.connect().await?;
            let mut seen = Seen::default();
            loop {
                let next = receiver.lock().await.recv().await;
                let Some(write) = next else { return Ok::<_, Failure>(seen) };
                read_with_token(&mut stream, &write).await?;
                seen.from_commit.record(write.acknowledged.elapsed());
                seen.from_sending.record(write.sent.elapsed());
            }
        });
    }
    write_at_rate(&calls, rows, effort, rate, sender).await?;
    let mut all = Seen::default();
    while let Some(done) = followers.join_next().await {
        let seen = done.map_err(|error| Failure::new("a follower", error))??;
        all.from_commit.add(&seen.from_commit);
        all.from_sending.add(&seen.from_sending);
    }
    Ok(all)
}

async fn write_at_rate(
    calls: &CallClient,
    rows: Rows,
    effort: Effort,
    rate: u64,
    followers: mpsc::Sender<Followed>,
) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(5);
    let start = Instant::now();
    let mut writes = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    let mut sent_count = 0;
    while start.elapsed() < effort.run * 2 {
        ticks.tick().await;
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        for number in sent_count..due {
            let (calls, id) = (calls.clone(), random.u64(..effort.rows));
            let follower = number.is_multiple_of(FOLLOW_EVERY).then(|| followers.clone());
            writes.spawn(async move {
                let request = rows.write([id].into_iter(), data::EVENT_TIME);
                let sent = Instant::now();
                let receipt = calls.write(request).await.map_err(|error| Failure::new("a write", error))?;
                if let Some(follower) = follower {
                    let (token, acknowledged) = (receipt.token.to_string(), Instant::now());
                    // The followers end early only when one fails, which is reported there.
                    let _ = follower.send(Followed { id, token, sent, acknowledged }).await;
                }
                Ok::<_, Failure>(())
            });
        }
        sent_count = sent_count.max(due);
        while let Some(done) = writes.try_join_next() {
            done.map_err(|error| Failure::new("a writer", error))??;
        }
    }
    while let Some(done) = writes.join_next().await {
        done.map_err(|error| Failure::new("a writer", error))??;
    }
    Ok(())
}

async fn read_with_token(stream: &mut Stream<TcpStream>, write: &Followed) -> Result<(), Failure> {
    let body =
        json!({ "features": [format!("{}:f0", data::STATS)], "entities": { "bench_id": [write.id] } }).to_string();
    let request = format!(
        "POST /get-online-features HTTP/1.1\r\nhost: localhost\r\nlittoral-at-least: {}\r\nlittoral-on-unmet: wait\r\n\
         littoral-wait-ms: 5000\r\ncontent-length: {}\r\n\r\n{body}",
        write.token,
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1_024);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(Failure("the edge closed a connection".to_owned()));
        }
        if crate::bench::http_load::is_whole(&answer)? {
            return Ok(());
        }
    }
}
