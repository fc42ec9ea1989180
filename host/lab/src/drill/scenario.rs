//! The scenario of each drill: what is broken, and the response.

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
    /// A region is partitioned from the others and from the router.
    RegionIsolation,
    /// A region is partitioned and another is promoted, while the partitioned one still accepts writes from clients
    /// within it.
    SplitBrain,
    /// All links to and from a region become slow.
    SlowRegion,
    /// Writes are moved to another region in an orderly way, and back.
    PlannedFailover,
    /// The active region is killed; a standby is promoted.
    WarmStandby,
    /// Like warm-standby, with a standby of the same size as the active region.
    HotStandby,
    /// One of several active regions is killed; writes are also acknowledged by another region.
    ActiveActive,
    /// The clock of a region's leader is wrong: first by a tolerated amount, then by more. The seed decides the
    /// direction.
    ClockSkew,
    /// A leader is killed and its log damaged; it refuses to start, and starts over with what the others have. The seed
    /// decides the kind of damage.
    LogCorruption,
    /// The member that leads a region is killed; writes are acknowledged by a majority of the members.
    LeaderLoss,
    /// The leading member is paused for longer than its lease, then resumed; writes are acknowledged by it alone.
    LeaderPause,
    /// The leading member is partitioned from the other members, while clients reach all of them.
    LeaderPartition,
    /// The root of all certificates is replaced while clients read and write.
    RootRotation,
    /// Every node is restarted in turn: from the previous release, or held at its protocol version, to this one.
    RollingUpgrade,
}

/// How the leading member is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// As `kill -9` does.
    Killed,
    /// It is paused and later resumed.
    Paused,
    /// It is partitioned from the other members.
    Partitioned,
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
    /// The links to and from the region.
    Links,
    /// Like `Links`, while clients within the region continue to write.
    LinksWithWriters,
    /// The links, which take this much longer.
    Slow(Duration),
    /// The clock of the region's leader.
    Clock,
    /// The log of the region's leader.
    Log,
    /// The member that leads the region.
    Leader(Loss),
    /// The root of all certificates, which is replaced.
    Root,
    /// Every node is restarted in turn with another program.
    Upgrade,
    /// Nothing: the region is only drained.
    Nothing,
}

/// The response to the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// None: the router sends requests elsewhere by itself.
    None,
    /// A standby is promoted as soon as the loss is detected.
    Promote,
    /// The region is drained; the standby is promoted once it has caught up.
    Orderly,
}

/// The course of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The default topology file in `edge-config/`.
    pub topology: &'static str,
    /// What is broken.
    pub fault: Fault,
    /// The response to the fault.
    pub response: Response,
    /// The write concern of the clients.
    pub concern: &'static str,
    /// How long the fault lasts.
    pub broken: Duration,
}

impl Drill {
    /// Returns its course.
    #[must_use]
    pub fn scenario(self) -> Scenario {
        let (topology, fault, response, concern) = match self {
            Self::NodeLoss => ("topology-one-region.toml", Fault::Node, Response::None, "local"),
            Self::ZoneLoss => ("topology-one-region.toml", Fault::Zone, Response::None, "local"),
            Self::RegionLoss => ("topology-three-regions.toml", Fault::Region, Response::None, "local"),
            Self::RegionIsolation => ("topology-three-regions.toml", Fault::Links, Response::None, "local"),
            Self::SplitBrain => ("topology-hot-standby.toml", Fault::LinksWithWriters, Response::Promote, "local"),
            Self::SlowRegion => {
                let slow = Fault::Slow(Duration::from_millis(400));
                ("topology-three-regions.toml", slow, Response::None, "local")
            }
            Self::PlannedFailover => ("topology-hot-standby.toml", Fault::Nothing, Response::Orderly, "local"),
            Self::WarmStandby => ("topology-warm-standby.toml", Fault::Region, Response::Promote, "local"),
            Self::HotStandby => ("topology-hot-standby.toml", Fault::Region, Response::Promote, "local"),
            Self::ActiveActive => ("topology-three-regions.toml", Fault::Region, Response::None, "regions=1"),
            Self::ClockSkew => ("topology-two-regions.toml", Fault::Clock, Response::None, "local"),
            Self::LogCorruption => ("topology-three-regions.toml", Fault::Log, Response::None, "regions=1"),
            Self::LeaderLoss => ("topology-members.toml", Fault::Leader(Loss::Killed), Response::None, "quorum"),
            Self::LeaderPause => ("topology-members.toml", Fault::Leader(Loss::Paused), Response::None, "local"),
            Self::RollingUpgrade => ("topology-members.toml", Fault::Upgrade, Response::None, "quorum"),
            Self::RootRotation => ("topology-two-regions.toml", Fault::Root, Response::None, "local"),
            Self::LeaderPartition => {
                ("topology-members.toml", Fault::Leader(Loss::Partitioned), Response::None, "local")
            }
        };
        Scenario { topology, fault, response, concern, broken: Duration::from_secs(4) }
    }

    /// Returns its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
