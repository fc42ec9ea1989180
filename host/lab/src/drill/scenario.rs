//! What each drill breaks, and what is done about it.

use clap::ValueEnum;
use std::time::Duration;

/// The drills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drill {
    /// One edge is killed.
    NodeLoss,
    /// Every edge of a zone is killed.
    ZoneLoss,
    /// A region is killed; writes are acknowledged by their own region alone.
    RegionLoss,
    /// A region lives, and nothing passes between it and the rest.
    RegionIsolation,
    /// A region is parted and another is promoted, while the parted one still takes writes from clients within it.
    SplitBrain,
    /// All ways to and from a region become slow.
    SlowRegion,
    /// Writes are moved to another region in order, and back.
    PlannedFailover,
    /// The active region is killed; a standby is promoted.
    WarmStandby,
    /// The same, where the standby has the size of the active region.
    HotStandby,
    /// A region of several active ones is killed; writes are acknowledged by another region too.
    ActiveActive,
    /// The clock of a region's leader is wrong: first by what others bear, then by more. The seed says which way.
    ClockSkew,
    /// A leader is killed and its log damaged; it refuses to start, and begins anew with what the others have. How it is damaged
    /// the seed says.
    LogCorruption,
    /// The member that leads a region is killed; writes are acknowledged by a majority of its members.
    LeaderLoss,
    /// The member that leads is stopped for longer than its lease, and goes on; writes are acknowledged by it alone.
    LeaderPause,
    /// The member that leads is parted from the other members, while clients reach all of them.
    LeaderPartition,
}

/// How the member that leads is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// As `kill -9` does.
    Killed,
    /// It stands still, and goes on where it was.
    Stopped,
    /// Nothing passes between it and the other members.
    Parted,
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One edge of the region.
    Node,
    /// All edges of one of its zones.
    Zone,
    /// The region.
    Region,
    /// The ways to and from the region.
    Ways,
    /// The same, and clients within the region go on writing.
    WaysWithWriters,
    /// The ways take so much longer.
    Slow(Duration),
    /// The clock of the region's leader.
    Clock,
    /// The log of the region's leader.
    Log,
    /// The member that leads the region.
    Leader(Loss),
    /// Nothing: the region is only given up in order.
    Nothing,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Nothing needs to be done: the router sends requests elsewhere by itself.
    None,
    /// A standby is promoted as soon as the loss is seen.
    Promote,
    /// The region is drained, the next has everything, then it is promoted.
    InOrder,
}

/// How a drill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The topology's file in `edge-config/`, unless another is named.
    pub topology: &'static str,
    /// What is broken.
    pub fault: Fault,
    /// What is done about it.
    pub response: Response,
    /// How durable the clients' writes are wanted.
    pub concern: &'static str,
    /// For how long it stays broken.
    pub broken: Duration,
}

impl Drill {
    /// How it goes.
    #[must_use]
    pub fn scenario(self) -> Scenario {
        let (topology, fault, response, concern) = match self {
            Self::NodeLoss => ("topology-one-region.toml", Fault::Node, Response::None, "local"),
            Self::ZoneLoss => ("topology-one-region.toml", Fault::Zone, Response::None, "local"),
            Self::RegionLoss => ("topology-three-regions.toml", Fault::Region, Response::None, "local"),
            Self::RegionIsolation => ("topology-three-regions.toml", Fault::Ways, Response::None, "local"),
            Self::SplitBrain => ("topology-hot-standby.toml", Fault::WaysWithWriters, Response::Promote, "local"),
            Self::SlowRegion => {
                let slow = Fault::Slow(Duration::from_millis(400));
                ("topology-three-regions.toml", slow, Response::None, "local")
            }
            Self::PlannedFailover => ("topology-hot-standby.toml", Fault::Nothing, Response::InOrder, "local"),
            Self::WarmStandby => ("topology-warm-standby.toml", Fault::Region, Response::Promote, "local"),
            Self::HotStandby => ("topology-hot-standby.toml", Fault::Region, Response::Promote, "local"),
            Self::ActiveActive => ("topology-three-regions.toml", Fault::Region, Response::None, "regions=1"),
            Self::ClockSkew => ("topology-two-regions.toml", Fault::Clock, Response::None, "local"),
            Self::LogCorruption => ("topology-three-regions.toml", Fault::Log, Response::None, "regions=1"),
            Self::LeaderLoss => ("topology-members.toml", Fault::Leader(Loss::Killed), Response::None, "quorum"),
            Self::LeaderPause => ("topology-members.toml", Fault::Leader(Loss::Stopped), Response::None, "local"),
            Self::LeaderPartition => ("topology-members.toml", Fault::Leader(Loss::Parted), Response::None, "local"),
        };
        Scenario { topology, fault, response, concern, broken: Duration::from_secs(4) }
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
