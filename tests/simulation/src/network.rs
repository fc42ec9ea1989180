//! The network: streams in order and late, cut at any byte; replies that may outlive their stream.

use crate::publish::Publishing;
use bytes::Bytes;
use littoral_protocol::frame::{Downstream, Upstream};
use littoral_wire::{Decoder, Outgoing, feed};
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// One direction of a stream: in order, late, and cut at any byte.
pub(crate) struct Pipe {
    pub(crate) pieces: VecDeque<(Duration, Bytes)>,
    decoder: Decoder,
}

impl Pipe {
    pub(crate) fn new(len_max: usize) -> Self {
        Self { pieces: VecDeque::new(), decoder: Decoder::new(len_max) }
    }

    pub(crate) fn send(&mut self, mut out: Outgoing, at: Duration) {
        let at = self.pieces.back().map_or(at, |(last, _)| at.max(*last));
        while let Some(piece) = out.pop() {
            // Frames do not arrive in one piece.
            let middle = piece.len() / 2;
            self.pieces.push_back((at, piece.slice(..middle)));
            self.pieces.push_back((at, piece.slice(middle..)));
        }
    }

    pub(crate) fn receive(&mut self, now: Duration) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(payload) = self.decoder.next_payload().map_err(|error| error.to_string())? {
                return Ok(Some(payload));
            }
            match self.pieces.pop_front_if(|(at, _)| *at <= now) {
                Some((_, piece)) => self.decoder.push(piece),
                None => return Ok(None),
            }
        }
    }
}

/// The destination of a stream or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The leader.
    Leader,
    /// A leader that was replaced and keeps running.
    Old,
    /// The edge that relays.
    Relay,
}

pub(crate) struct Stream {
    /// Its number: a later stream has a greater one.
    pub(crate) number: u64,
    pub(crate) target: Target,
    /// Whether the edge has accepted the hello of its publisher.
    pub(crate) greeted: bool,
    /// Whether its publisher may have sent rows of both histories of a log that was rolled back while its leader ran.
    pub(crate) mixed: bool,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    pub(crate) publishing: Option<Publishing>,
    /// Keys of the full view that a relay's snapshot contained although they were corrupted at the relay.
    pub(crate) tainted: BTreeSet<u64>,
}

pub(crate) fn encoded_up(message: &Upstream) -> Result<Outgoing, String> {
    let mut out = Outgoing::default();
    feed::push_upstream(&mut out, message).map_err(|error| error.to_string())?;
    Ok(out)
}

pub(crate) fn encoded_down(message: &Downstream) -> Result<Outgoing, String> {
    let mut out = Outgoing::default();
    feed::push_downstream(&mut out, message).map_err(|error| error.to_string())?;
    Ok(out)
}
