//! Forwards the bytes of one connection in one direction.

use super::{
    conditions::{Conditions, Direction, Lane},
    connection::Fate,
};
use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{ReadHalf, WriteHalf},
    sync::watch,
    time::{Instant, sleep_until},
};

/// The most bytes of one parcel.
const PARCEL_BYTES: usize = 16 << 10;
/// The fewest bytes of one parcel on a limited lane.
const PARCEL_BYTES_MIN: usize = 256;
/// On a limited lane a parcel is what passes in this fraction of a second, so that bytes flow evenly instead of in
/// bursts.
const PARCELS_PER_SECOND: usize = 100;

/// The state of one direction that all connections of a link share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// When a limited lane is free for the next parcel.
    free_at: Mutex<Option<Instant>>,
    /// The bytes delivered so far.
    pub(super) carried: AtomicU64,
}

/// A connection that must end with a reset at both ends.
#[derive(Debug)]
pub(super) struct Broken;

/// One direction of one connection.
pub(super) struct Carrier<'a> {
    pub(super) direction: Direction,
    pub(super) shared: &'a Shared,
    pub(super) conditions: watch::Receiver<Conditions>,
    pub(super) fate: watch::Receiver<Fate>,
    pub(super) random: fastrand::Rng,
    /// Set when the end that this lane reads from was found broken by the lane that writes to it.
    pub(super) source_broken: &'a AtomicBool,
    /// Set when the end that this lane writes to is found broken.
    pub(super) sink_broken: &'a AtomicBool,
}

/// A parcel or an end in flight.
#[derive(Default)]
struct Queue {
    parcels: VecDeque<(Instant, Load)>,
    bytes: usize,
    last_due: Option<Instant>,
}

enum Load {
    Bytes(Bytes),
    /// The end of the stream.
    Finish,
    /// A reset.
    Reset,
}

impl Carrier<'_> {
    /// Forwards until the end of the stream is delivered, or has vanished.
    ///
    /// # Errors
    /// [`Broken`] when a reset was delivered.
    pub(super) async fn carry(mut self, from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> Result<(), Broken> {
        let mut queue = Queue::default();
        let mut buffer = vec![0; PARCEL_BYTES];
        let mut ended = false;
        loop {
            let lane = *self.conditions.borrow_and_update().lane(self.direction);
            let swallowed = self.fate.borrow_and_update().swallows(self.direction);
            if swallowed || self.sink_broken.load(Ordering::Relaxed) {
                queue = Queue::default();
                if ended {
                    return Ok(());
                }
            }
            let may_read = !ended && queue.bytes < lane.queue_bytes.max(1);
            let due = queue.parcels.front().map(|(due, _)| *due).filter(|_| !lane.held);
            let arrived = due.is_some_and(|due| due <= Instant::now());
            tokio::select! {
                changed = self.conditions.changed() => if changed.is_err() { return Ok(()) },
                changed = self.fate.changed() => if changed.is_err() { return Ok(()) },
                read = from.read(&mut buffer[..parcel_bytes(&lane)]), if may_read => {
                    let load = match read {
                        Ok(0) if self.source_broken.load(Ordering::Relaxed) => Load::Reset,
                        Ok(0) => Load::Finish,
                        Ok(len) => Load::Bytes(Bytes::copy_from_slice(&buffer[..len])),
                        Err(_) => Load::Reset,
                    };
                    ended = !matches!(load, Load::Bytes(_));
                    self.take(&mut queue, &lane, load);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && !arrived => {}
                delivered = deliver(&mut queue, to), if arrived => match delivered {
                    Delivered::Bytes(len) => { self.shared.carried.fetch_add(len as u64, Ordering::Relaxed); }
                    Delivered::Finished => return Ok(()),
                    Delivered::Reset => return Err(Broken),
                    // The lane that reads from that end passes the reset on, when its own conditions allow.
                    Delivered::Nowhere => self.sink_broken.store(true, Ordering::Relaxed),
                }
            }
        }
    }

    /// Puts a parcel in flight.
    fn take(&mut self, queue: &mut Queue, lane: &Lane, load: Load) {
        let len = if let Load::Bytes(bytes) = &load { bytes.len() } else { 0 };
        let mut due = self.shared.passed(lane, len) + lane.latency;
        if !lane.jitter.is_zero() {
            due += lane.jitter.mul_f64(self.random.f64());
        }
        // A parcel never overtakes the one before.
        due = queue.last_due.map_or(due, |last| due.max(last));
        queue.last_due = Some(due);
        queue.bytes += len;
        queue.parcels.push_back((due, load));
    }
}

impl Shared {
    /// Returns when a parcel of this length that is read now has passed the limit.
    fn passed(&self, lane: &Lane, len: usize) -> Instant {
        let now = Instant::now();
        let Some(rate) = lane.bytes_per_second else { return now };
        let mut free_at = self.free_at.lock();
        let begins = free_at.map_or(now, |at| at.max(now));
        let passed = begins + Duration::from_secs_f64(len as f64 / f64::from(rate.get()));
        *free_at = Some(passed);
        passed
    }
}

enum Delivered {
    Bytes(usize),
    Finished,
    Reset,
    Nowhere,
}

/// Delivers the first parcel of the queue, or a part of it. Cancel-safe.
async fn deliver(queue: &mut Queue, to: &mut WriteHalf<'_>) -> Delivered {
    match queue.parcels.front_mut() {
        None => Delivered::Bytes(0),
        Some((_, Load::Bytes(bytes))) => match to.write(bytes).await {
            Ok(len) if len > 0 => {
                bytes.advance(len);
                queue.bytes -= len;
                if bytes.is_empty() {
                    queue.parcels.pop_front();
                }
                Delivered::Bytes(len)
            }
            _ => Delivered::Nowhere,
        },
        Some((_, Load::Finish)) => {
            // A closed sink needs no end of stream.
            let _ = to.shutdown().await;
            Delivered::Finished
        }
        Some((_, Load::Reset)) => Delivered::Reset,
    }
}

fn parcel_bytes(lane: &Lane) -> usize {
    lane.bytes_per_second
        .map_or(PARCEL_BYTES, |rate| (rate.get() as usize / PARCELS_PER_SECOND).clamp(PARCEL_BYTES_MIN, PARCEL_BYTES))
}
