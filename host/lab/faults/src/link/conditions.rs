//! What a link does to the bytes that pass it.

use std::{num::NonZeroU32, time::Duration};

/// Bytes that may be under way in one direction of one connection unless a lane says otherwise.
const QUEUE_BYTES: usize = 1 << 20;

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From who has connected to whom the link leads.
    ToTarget,
    /// Back.
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

/// What bytes meet in one direction. Their order is kept whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// How long bytes are under way at least.
    pub latency: Duration,
    /// How much longer they may take: between nothing and this, drawn anew for every parcel.
    pub jitter: Duration,
    /// What all connections together may send in a second; `None` for as much as the host can.
    pub bytes_per_second: Option<NonZeroU32>,
    /// Bytes of one connection that may be under way. The link reads no further beyond that, so that the sender meets
    /// backpressure.
    pub queue_bytes: usize,
    /// Nothing arrives: bytes and ends of connections wait until that is over. None is lost.
    pub held: bool,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Newcomers {
    /// They are led to the target.
    #[default]
    Served,
    /// Nobody listens: the system refuses them.
    Refused,
    /// They open and nothing comes of them, until they are served. In a true partition not even the opening is answered;
    /// in user space it is.
    Unanswered,
}

/// Everything that a link does.
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
    /// Whether this direction is meant.
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
    /// The lane of a direction.
    #[must_use]
    pub fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::ToTarget => &self.to_target,
            Direction::ToClient => &self.to_client,
        }
    }

    /// The lanes of a side, to be changed.
    pub fn lanes_mut(&mut self, side: Side) -> impl Iterator<Item = &mut Lane> {
        [(Direction::ToTarget, &mut self.to_target), (Direction::ToClient, &mut self.to_client)]
            .into_iter()
            .filter(move |(direction, _)| side.includes(*direction))
            .map(|(_, lane)| lane)
    }
}
