//! The conditions on a link.

use std::{num::NonZeroU32, time::Duration};

/// The default of [`Lane::queue_bytes`].
const QUEUE_BYTES: usize = 1 << 20;

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the target.
    ToTarget,
    /// From the target to the client.
    ToClient,
}

/// One direction or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the target.
    ToTarget,
    /// Towards the client.
    ToClient,
    /// Both ways.
    Both,
}

/// The conditions in one direction. They never change the order of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The least delay of bytes.
    pub latency: Duration,
    /// The most additional delay, drawn for every parcel between zero and this.
    pub jitter: Duration,
    /// How many bytes per second all connections together may send; `None` for no limit.
    pub bytes_per_second: Option<NonZeroU32>,
    /// How many bytes of one connection may be in flight. At that number the link stops reading, which the sender feels
    /// as backpressure.
    pub queue_bytes: usize,
    /// Whether nothing is delivered: bytes and ends of streams wait, and are not lost.
    pub held: bool,
}

/// The fate of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Newcomers {
    /// They are forwarded to the target.
    #[default]
    Served,
    /// The link does not listen, so the system refuses them.
    Refused,
    /// They open, and then nothing happens until they are served. In a real partition they would not open; in user
    /// space they do.
    Unanswered,
}

/// All conditions of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Towards the target.
    pub to_target: Lane,
    /// Towards the client.
    pub to_client: Lane,
    /// New connections.
    pub newcomers: Newcomers,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            bytes_per_second: None,
            queue_bytes: QUEUE_BYTES,
            held: false,
        }
    }
}

impl Side {
    /// Returns whether it includes this direction.
    #[must_use]
    pub fn includes(self, direction: Direction) -> bool {
        match self {
            Self::Both => true,
            Self::ToTarget => direction == Direction::ToTarget,
            Self::ToClient => direction == Direction::ToClient,
        }
    }
}

impl Conditions {
    /// Returns the lane of a direction.
    #[must_use]
    pub fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::ToTarget => &self.to_target,
            Direction::ToClient => &self.to_client,
        }
    }

    /// Returns the lanes of a side.
    pub fn lanes_mut(&mut self, side: Side) -> impl Iterator<Item = &mut Lane> {
        [(Direction::ToTarget, &mut self.to_target), (Direction::ToClient, &mut self.to_client)]
            .into_iter()
            .filter(move |(direction, _)| side.includes(*direction))
            .map(|(_, lane)| lane)
    }
}
