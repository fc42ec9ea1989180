//! Deliberate faults, with which a test shows that the simulation finds them.
//!
//! Without the feature `mutations`, [`active`] is a constant `false` and no fault is compiled in.
//! With it, a fault is active only on the thread that sets it, and only while it is set.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A log that was rolled back while its process ran continues as if nothing had happened.
    RollbackUnnoticed,
    /// A region whose log was rolled back does not fetch its lost records from other regions.
    KeepWhatWasLost,
    /// A region does not notice that another region's request for its lost records was lost too.
    ForgetUnrequested,
    /// Rows of records that the log has lost are kept next to the records that replaced them.
    KeepRowsPastFork,
    /// A record counts as known by its LSN alone, whichever copy of the log assigned it.
    EqualNumbersAreOneRecord,
    /// A fill is applied although the feed has overtaken it.
    SkipStripeCheck,
    /// A record is applied without recording its LSN in the key's stripe.
    PublishNoStripe,
    /// A new replica admits fills that were read before its snapshot. Edges put replies into the
    /// replica that was current at the request, so only the table's own tests meet this fault.
    ForgetSnapshotFloor,
    /// The write that arrives last wins, whatever its rank.
    ApplyWithoutRank,
    /// A deletion changes nothing.
    DropTombstone,
    /// A write does not clear a remembered miss.
    MissSurvivesWrite,
    /// A snapshot loses rows.
    SnapshotLosesRows,
    /// A digest still counts a row that was replaced.
    DigestKeepsReplaced,
    /// A batch is acknowledged before it is synced.
    AcknowledgeBeforeSync,
    /// A tail starts one record too late.
    ResumeTooLate,
    /// Applied records do not count as applied.
    ForgetApplied,
    /// An echo counts as if it answered the newest ping.
    FreshFromNewestPing,
    /// An echo counts before the head that it carries is applied.
    FreshBeforeApplied,
    /// A new row of a full view is dropped.
    DropInsert,
    /// A fill records a miss where the leader has a row.
    FillLosesRow,
    /// A token that is not reached counts as reached.
    IgnoreToken,
    /// An edge that holds rows follows any log that it is offered.
    FollowOtherLog,
    /// A fill's result is returned to a read that joined it, although the result is older than the
    /// read.
    JoinOlderFill,
    /// Rows are requested from a publisher whose hello is not accepted yet.
    RequestBeforeGreeted,
    /// The leader's reply for a replaced replica is used with the replacement.
    JoinOtherReplica,
    /// A record is applied to a row that is newer than it.
    ApplyBehindRow,
    /// A row is repaired although it was deleted later and the tombstone was collected.
    RepairCollected,
    /// An idempotency key is kept for a write that did not become durable.
    KeepFailedReceipts,
    /// Idempotency keys are not restored from the log.
    ForgetReceiptsOnReplay,
    /// A snapshot on disk omits the idempotency keys.
    SnapshotWithoutReceipts,
    /// The freshness of another log counts for the log that is followed now.
    FreshAcrossLogs,
    /// The freshness measured at one publisher counts for a snapshot of another, whose log has a life that the first
    /// did not know.
    FreshAcrossLives,
    /// The freshness measured at one publisher counts for the tail of another, whose log has a life that the first did
    /// not know.
    FreshAcrossTails,
    /// Echoes of a log that is not served yet count for the log that is served.
    FreshFromOtherLog,
    /// A relay's own lag does not count.
    IgnoreRelayLag,
    /// A publisher of an older epoch is followed.
    FollowOldEpoch,
    /// A stream continues although the relay's replica was replaced, so a subscriber that is ahead
    /// waits on it, or although the relay's log abandoned a life that the relay had stated.
    StayWithReplaced,
    /// Half of a digest's buckets are not compared.
    DigestMissesBuckets,
    /// Rows that changed in memory are not detected.
    ScrubSeesNothing,
    /// The outcome of an ended anti-entropy round counts for the current round.
    HeedStaleRound,
    /// Every tombstone is collected, however new.
    CollectTooMuch,
    /// An edge does not collect tombstones.
    EdgeCollectsNothing,
    /// A leader's clock goes back with its host's clock.
    ClockGoesBack,
    /// A leader's clock ignores the clocks of other regions.
    ForgetPeerClock,
    /// A record of another region is skipped although the position of its log advances past it.
    ImportLosesRecord,
    /// Rehoming checks only the records of the replica's own region, and ignores missing records
    /// of other regions.
    RehomeByOwnAlone,
    /// Records of a lost log are kept forever.
    KeepWhatIsLost,
    /// Rehoming skips rows that no position covers yet.
    SkipUnnamed,
    /// A replica is rehomed although it holds rows that the new log does not cover.
    RehomeUnnamed,
    /// A region does not share its records of a lost log.
    KeepOrphans,
    /// A rehoming point is recorded after rows that no position covers yet.
    MarkBehindUnnamed,
    /// Records that only the lost region's log has count as if the followed log had them.
    ForgetBeyond,
    /// A publisher ignores residency rules.
    SendEverywhere,
    /// An edge holds the rows that a publisher sends, whatever the residency rules.
    HoldEverywhere,
    /// A relay serves subscribers that may hold rows which it may not hold.
    RelayServesWithoutRows,
    /// A region that may not hold a row counts as one that has it.
    CountOutsideRegions,
    /// A replica moves from the log of a region outside of a residency rule to one inside without a snapshot.
    RehomeWithoutRows,
    /// A new holder of the lease continues in the previous holder's epoch.
    IgnoreLeaseEpoch,
    /// Records are acknowledged although the lease has expired.
    AcknowledgePastDeadline,
    /// An expired lease is renewed in its old epoch.
    RenewAfterExpiry,
    /// An empty or different lease store is accepted in place of the one used before.
    AcceptEmptyStore,
    /// Clocks are trusted to run at equal speed.
    ForgetDriftMargin,
    /// Records of an older epoch count as committed without a record of the current epoch.
    CommitOldEpochs,
    /// A member accepts messages of an epoch older than its promise.
    ForgetPromise,
    /// A promotion prefers the longest log to the most advanced one.
    PromoteLongestLog,
    /// A promotion completes although its log ends before the committed position in the lease.
    PromoteWithoutCommitted,
    /// A promotion collects no promises.
    PromoteAlone,
    /// A log's end is cut off before the intent to cut is durable.
    CutWithoutIntent,
    /// Detached records are not synced before they are cut off.
    DetachWithoutSync,
    /// A log that was cut still claims to be durable up to its old end.
    CutLeavesMark,
    /// The epochs of detached records no longer count as promised.
    CutForgetsEpoch,
    /// A promise is sent before it is durable.
    PromiseWithoutSync,
}

impl Mutation {
    /// Faults of leases, which the election's simulation finds.
    pub const LEASE: [Self; 5] = [
        Self::IgnoreLeaseEpoch,
        Self::AcknowledgePastDeadline,
        Self::RenewAfterExpiry,
        Self::ForgetDriftMargin,
        Self::AcceptEmptyStore,
    ];

    /// Faults of a region's members, which their simulation finds.
    pub const MEMBERS: [Self; 5] = [
        Self::CommitOldEpochs,
        Self::ForgetPromise,
        Self::PromoteLongestLog,
        Self::PromoteAlone,
        Self::PromoteWithoutCommitted,
    ];

    /// Faults of cutting off a log's end, which the log's crash test finds.
    pub const LOG: [Self; 5] = [
        Self::CutWithoutIntent,
        Self::DetachWithoutSync,
        Self::CutLeavesMark,
        Self::CutForgetsEpoch,
        Self::PromiseWithoutSync,
    ];

    /// Faults of replication between regions, which the simulation of regions finds.
    pub const REGIONS: [Self; 4] =
        [Self::ForgetPeerClock, Self::ImportLosesRecord, Self::RehomeByOwnAlone, Self::ForgetBeyond];

    /// Faults of residency rules, which the simulation of one region with such a rule finds.
    pub const RESIDENCY: [Self; 3] = [Self::SendEverywhere, Self::HoldEverywhere, Self::RelayServesWithoutRows];

    /// Faults of residency rules among regions, which the simulation of regions with such a rule finds.
    pub const REGIONS_RESIDENCY: [Self; 4] =
        [Self::SendEverywhere, Self::HoldEverywhere, Self::CountOutsideRegions, Self::RehomeWithoutRows];

    /// Faults of logs that are rolled back.
    pub const ROLLBACK: [Self; 3] = [Self::EqualNumbersAreOneRecord, Self::KeepWhatWasLost, Self::RollbackUnnoticed];

    /// Faults of logs that are rolled back, each of which about one seed in ten thousand triggers.
    pub const ROLLBACK_RARE: [Self; 1] = [Self::ForgetUnrequested];

    /// Faults of regions, each of which about one seed in several thousand triggers.
    pub const REGIONS_RARE: [Self; 5] =
        [Self::KeepWhatIsLost, Self::SkipUnnamed, Self::MarkBehindUnnamed, Self::RehomeUnnamed, Self::KeepOrphans];

    /// Faults, each of which about one seed in several thousand triggers.
    pub const RARE: [Self; 11] = [
        Self::RequestBeforeGreeted,
        Self::JoinOtherReplica,
        Self::ApplyBehindRow,
        Self::HeedStaleRound,
        Self::StayWithReplaced,
        Self::RepairCollected,
        Self::FreshFromOtherLog,
        Self::ResumeTooLate,
        Self::FreshAcrossLogs,
        Self::FreshAcrossLives,
        Self::FreshAcrossTails,
    ];

    /// Faults of the leader's and the edges' data, which the simulation of one region finds.
    pub const ALL: [Self; 27] = [
        Self::KeepRowsPastFork,
        Self::SkipStripeCheck,
        Self::PublishNoStripe,
        Self::ApplyWithoutRank,
        Self::DropTombstone,
        Self::MissSurvivesWrite,
        Self::SnapshotLosesRows,
        Self::DigestKeepsReplaced,
        Self::AcknowledgeBeforeSync,
        Self::ForgetApplied,
        Self::FreshFromNewestPing,
        Self::FreshBeforeApplied,
        Self::DropInsert,
        Self::FillLosesRow,
        Self::IgnoreToken,
        Self::FollowOtherLog,
        Self::JoinOlderFill,
        Self::KeepFailedReceipts,
        Self::ForgetReceiptsOnReplay,
        Self::SnapshotWithoutReceipts,
        Self::IgnoreRelayLag,
        Self::FollowOldEpoch,
        Self::DigestMissesBuckets,
        Self::ScrubSeesNothing,
        Self::CollectTooMuch,
        Self::EdgeCollectsNothing,
        Self::ClockGoesBack,
    ];
}

/// Returns whether the fault is active.
#[cfg(not(feature = "mutations"))]
#[must_use]
#[inline]
pub const fn active(_: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
std::thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

/// Returns whether the fault is active on this thread.
#[cfg(feature = "mutations")]
#[must_use]
#[inline]
pub fn active(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}

/// Activates this fault, or none, on this thread.
#[cfg(feature = "mutations")]
pub fn set(mutation: Option<Mutation>) {
    ACTIVE.set(mutation);
}
