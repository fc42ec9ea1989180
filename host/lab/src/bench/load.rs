//! The load generator: one thread, one epoll, many connections with one request in flight each. It shares the machine
//! with the server that it measures, so it is cheap and yields to the server at peak rate; and it is the same for all
//! servers, because their figures are compared.

use crate::bench::{failure::Failure, histogram::Latencies, tls::client};
use bytes::Bytes;
use rustix::{
    event::{Timespec, epoll},
    fd::OwnedFd,
};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

/// A server that sends nothing for this long fails the run.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The largest response.
const ANSWER_MAX: usize = 16 << 20;

/// How responses are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1 with a content length.
    Http,
    /// Redis's reply to MGET.
    RedisArray,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// On each connection as soon as the last one is answered: the peak rate.
    Closed,
    /// At this rate per second, whether or not answers keep up. A request waits while all connections are busy, and its
    /// latency counts from when it was due.
    Open(f64),
}

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// The requests, drawn at random.
    pub requests: Arc<[Bytes]>,
    /// The framing of responses.
    pub framing: Framing,
    /// How many connections.
    pub connections: usize,
    /// The pace.
    pub pace: Pace,
    /// The TLS of the connections. Without it they are plain.
    pub tls: Option<Arc<ClientConfig>>,
    /// The duration, after a tenth of it to warm up.
    pub duration: Duration,
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers per second.
    pub rate: f64,
    /// Their latencies.
    pub latencies: Latencies,
}

/// A connection's bytes, with or without TLS.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn connect(load: &Load) -> io::Result<Self> {
        let Some(tls) = &load.tls else {
            let stream = TcpStream::connect_timeout(&load.address, Duration::from_secs(5))?;
            stream.set_nodelay(true)?;
            return Ok(Self::Plain(stream));
        };
        Ok(Self::Tls(Box::new(client::secured(tls.clone(), load.address)?)))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

struct Connection {
    wire: Wire,
    buffer: Vec<u8>,
    have: usize,
    since: Option<Instant>,
}

/// Makes this thread wake when its waits end, instead of up to 50 us later.
fn sharpen_timers() {
    // Without it waits are a little longer, equally for every server.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Lets the running thread continue when a response wakes this one: it is mostly the server, which a client on another
/// host would not interrupt either.
pub(crate) fn yield_to_servers() {
    schedule(libc::SCHED_BATCH);
}

/// Lets this thread run only while no other thread needs its core.
pub(crate) fn run_when_idle() {
    schedule(libc::SCHED_IDLE);
}

fn schedule(policy: libc::c_int) {
    // SAFETY: the call reads its argument and accesses no other memory. If it fails, the scheduling stays as it was.
    #[allow(unsafe_code, reason = "no library in the tree has this call")]
    unsafe {
        let parameters = libc::sched_param { sched_priority: 0 };
        let _ = libc::sched_setscheduler(0, policy, &raw const parameters);
    }
}

/// Sends the load from a thread of its own and returns the result.
///
/// # Errors
/// When a connection fails, or a response is not a success.
pub fn run(load: &Load) -> Result<Outcome, Failure> {
    let load = load.clone();
    let address = load.address;
    let thread = std::thread::spawn(move || {
        match load.pace {
            Pace::Closed => yield_to_servers(),
            // Requests that are due must be sent in time.
            Pace::Open(_) => sharpen_timers(),
        }
        Driver::connect(load).and_then(Driver::drive)
    });
    let outcome = thread.join().map_err(|_| Failure("the load's thread panicked".to_owned()))?;
    outcome.map_err(|error| Failure::new(format_args!("load on {address}"), error))
}

struct Driver {
    load: Load,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    random: fastrand::Rng,
    idle: Vec<usize>,
    /// The due times of requests that wait for a connection.
    due: VecDeque<Instant>,
    next_due: Instant,
}

// === impl Driver ===

impl Driver {
    fn connect(load: Load) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let wire = Wire::connect(&load)?;
            wire.socket().set_nonblocking(true)?;
            epoll::add(&epoll, wire.socket(), epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
            connections.push(Connection { wire, buffer: vec![0; 64 << 10], have: 0, since: None });
        }
        let idle = (0..connections.len()).collect();
        let (due, next_due) = (VecDeque::new(), Instant::now());
        Ok(Self { load, epoll, connections, random: fastrand::Rng::with_seed(7), idle, due, next_due })
    }

    fn drive(mut self) -> io::Result<Outcome> {
        let warm_up = self.load.duration / 10;
        let start = Instant::now() + warm_up;
        let end = start + self.load.duration;
        let mut outcome = Outcome::default();
        let mut events = Vec::with_capacity(self.load.connections.max(1));
        let mut last_answer = Instant::now();
        self.next_due = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                outcome.rate = outcome.latencies.len() as f64 / (now - start).as_secs_f64();
                return Ok(outcome);
            }
            if now.saturating_duration_since(last_answer) > SILENCE_MAX {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has stopped answering"));
            }
            self.send_what_is_due(now)?;
            let timeout = self.wait_max(now).min(end - now);
            let timespec = Timespec::try_from(timeout).ok();
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timespec.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let index = event.data.u64() as usize;
                let Some(sent) = self.receive(index)? else { continue };
                let now = Instant::now();
                last_answer = now;
                if now >= start {
                    outcome.latencies.record(now - sent);
                }
                match self.load.pace {
                    Pace::Closed => self.send(index, now)?,
                    Pace::Open(_) => match self.due.pop_front() {
                        Some(due) => self.send(index, due)?,
                        None => self.idle.push(index),
                    },
                }
            }
        }
    }

    /// Returns how long nothing needs to be sent.
    fn wait_max(&self, now: Instant) -> Duration {
        match self.load.pace {
            Pace::Closed => Duration::from_secs(1),
            Pace::Open(_) => self.next_due.saturating_duration_since(now),
        }
    }

    fn send_what_is_due(&mut self, now: Instant) -> io::Result<()> {
        match self.load.pace {
            Pace::Closed => {
                while let Some(index) = self.idle.pop() {
                    self.send(index, now)?;
                }
            }
            Pace::Open(rate) => {
                let gap = Duration::from_secs_f64(1.0 / rate.max(1.0));
                while self.next_due <= now {
                    match self.idle.pop() {
                        // The connection was free: the delay is this thread's, not the server's.
                        Some(index) => self.send(index, Instant::now())?,
                        None => self.due.push_back(self.next_due),
                    }
                    self.next_due += gap;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, since: Instant) -> io::Result<()> {
        let request = &self.load.requests[self.random.usize(..self.load.requests.len())];
        let connection = &mut self.connections[index];
        connection.since = Some(since);
        connection.have = 0;
        let mut rest = &request[..];
        // The socket's buffer is empty and accepts any request at once; if it is full, this thread waits.
        while !rest.is_empty() {
            match connection.wire.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the available bytes. When the response is complete, returns the start time of its latency.
    fn receive(&mut self, index: usize) -> io::Result<Option<Instant>> {
        let framing = self.load.framing;
        let connection = &mut self.connections[index];
        loop {
            if connection.have == connection.buffer.len() {
                if connection.have >= ANSWER_MAX {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a response does not end"));
                }
                connection.buffer.resize(connection.have * 2, 0);
            }
            match connection.wire.read(&mut connection.buffer[connection.have..]) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection")),
                Ok(count) => connection.have += count,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            let whole = match framing {
                Framing::Http => crate::bench::http_load::is_whole(&connection.buffer[..connection.have])?,
                Framing::RedisArray => crate::bench::redis::is_whole(&connection.buffer[..connection.have])?,
            };
            if whole {
                return Ok(connection.since.take());
            }
            if matches!(connection.wire, Wire::Plain(_)) {
                return Ok(None);
            }
            // The rest may be in the buffers of TLS already, where the poller does not see it.
        }
    }
}
