//! Deliberate faults, for the test that the simulation finds them.
//!
//! Without the feature `mutations` nothing of this is in a program: [`active`] is a constant `false`. With it a fault is
//! there only on the thread that asks for it, and only for as long as it asks.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A log that was put back to an older copy while its process ran goes on as if nothing had been.
    PutBackUnnoticed,
    /// A region whose log was put back does not ask for what others have of it.
    KeepWhatWasLost,
    /// Rows of records that the log has lost are kept beside the records that came in their place.
    KeepRowsPastFork,
    /// A record counts as known by its number alone, whichever copy of the log gave it.
    EqualNumbersAreOneRecord,
    /// A fill is taken though the feed has overtaken it.
    SkipStripeCheck,
    /// A record is applied without its number in the key's stripe.
    PublishNoStripe,
    /// A new replica admits fills that were read before its snapshot. Edges put answers into the replica that served when they
    /// asked, so that only the table's own tests meet it.
    ForgetSnapshotFloor,
    /// What comes last wins, whatever its rank.
    ApplyWithoutRank,
    /// A deletion changes nothing.
    DropTombstone,
    /// A write leaves a remembered miss in place.
    MissSurvivesWrite,
    /// A snapshot loses rows.
    SnapshotLosesRows,
    /// A digest still counts a row that was replaced.
    DigestKeepsReplaced,
    /// A batch is acknowledged without having been synced.
    AcknowledgeBeforeSync,
    /// A tail begins one record too late.
    ResumeTooLate,
    /// What was applied does not count as applied.
    ForgetApplied,
    /// An echo counts as if it answered the newest ping.
    FreshFromNewestPing,
    /// An echo counts before its head is applied.
    FreshBeforeApplied,
    /// A new row of a full view is left out.
    DropInsert,
    /// A fill remembers a miss where the leader has a row.
    FillLosesRow,
    /// A token that was not reached counts as reached.
    IgnoreToken,
    /// Whoever holds rows follows any log that is offered.
    FollowOtherLog,
    /// An answer that is older than the read which joined it is given out.
    JoinOlderFlight,
    /// A publisher is asked for rows before it has been taken for one to follow.
    AskBeforeGreeted,
    /// What the leader said beside a replica that was replaced is given out beside the one that replaced it.
    JoinOtherReplica,
    /// A record is applied to a row that is newer than it.
    ApplyBehindRow,
    /// A row is mended back though its deletion came later and was collected.
    MendCollected,
    /// An idempotency key stands for a write that was not made durable.
    KeepFailedReceipts,
    /// A batch is answered from though the one that it was built on has failed.
    BuildOnFailed,
    /// Idempotency keys are not read back from the log.
    ForgetReceiptsOnReplay,
    /// A snapshot on disk leaves idempotency keys out.
    SnapshotWithoutReceipts,
    /// What was known of another log's freshness counts for the one that is followed now.
    FreshAcrossLogs,
    /// Echoes of a log that is not served yet count for the one that is.
    FreshFromOtherLog,
    /// How far a relay is behind does not count.
    IgnoreRelayLag,
    /// A publisher of an older epoch is followed.
    FollowOldEpoch,
    /// A stream goes on though the relay's replica was replaced, and who has more waits behind it.
    StayWithReplaced,
    /// Half the buckets of a digest are not compared.
    DigestMissesBuckets,
    /// Rows that have changed in memory are not noticed.
    ScrubSeesNothing,
    /// An outcome of a round of the proof that has ended counts for the one that runs.
    HeedStaleRound,
    /// Every tombstone is collected, however young.
    CollectTooMuch,
    /// An edge does not collect tombstones.
    EdgeCollectsNothing,
    /// A leader's clock goes back with its host's.
    ClockGoesBack,
    /// A leader's clock takes no notice of another region's.
    ForgetPeerClock,
    /// A record of another region is left out while how far its log has come is written down.
    ImportLosesRecord,
    /// A replica of another region's log goes on behind its own region's records, whatever it lacks of others.
    RehomeByOwnAlone,
    /// What is held of a lost log is held for ever.
    KeepWhatIsLost,
    /// A replica of another region's log goes on behind rows that nothing names yet.
    PassOverUnnamed,
    /// A replica goes on in another region's log with rows that it does not name.
    RehomeUnnamed,
    /// A region keeps to itself what it has of a log that is lost.
    KeepOrphans,
    /// A place to go on at is remembered behind rows that nothing names yet.
    MarkBehindUnnamed,
    /// What only the lost region's log has counts as if the followed one had it.
    ForgetBeyond,
    /// Who takes the lease goes on with the epoch of the holder before.
    IgnoreLeaseEpoch,
    /// What was appended is acknowledged though the lease has run out.
    AcknowledgePastDeadline,
    /// A lease that has run out is renewed in its old epoch.
    RenewAfterExpiry,
    /// A store of the lease that is empty, or another, is taken for the one that was used before.
    TakeEmptyStoreForNew,
    /// Clocks are trusted to run equally fast.
    ForgetDriftMargin,
    /// Records of an older epoch count as committed by themselves.
    CommitOldEpochs,
    /// A member takes what comes from an older epoch than it has promised.
    ForgetPromise,
    /// A promotion prefers the longest log to the most advanced.
    PromoteLongestLog,
    /// A promotion leads though its log ends before what the lease says to be committed.
    PromoteWithoutCommitted,
    /// A promotion asks nobody.
    PromoteAlone,
    /// A log's end is cut off without writing down first that it will be.
    CutWithoutIntent,
    /// What is given up is not synced before it is cut off.
    DetachWithoutSync,
    /// A log that was cut still says that it was durable further on.
    CutLeavesMark,
    /// The epochs of records that are given up do not count as promised any more.
    CutForgetsEpoch,
    /// A promise is given before it is durable.
    PromiseWithoutSync,
}

impl Mutation {
    /// Those of leases, which the election's own simulation finds.
    pub const LEASE: [Self; 5] = [
        Self::IgnoreLeaseEpoch,
        Self::AcknowledgePastDeadline,
        Self::RenewAfterExpiry,
        Self::ForgetDriftMargin,
        Self::TakeEmptyStoreForNew,
    ];

    /// Those of a region's members, which their own simulation finds.
    pub const MEMBERS: [Self; 5] = [
        Self::CommitOldEpochs,
        Self::ForgetPromise,
        Self::PromoteLongestLog,
        Self::PromoteAlone,
        Self::PromoteWithoutCommitted,
    ];

    /// Those of a log whose end is given up, which its own test of crashes finds.
    pub const LOG: [Self; 5] = [
        Self::CutWithoutIntent,
        Self::DetachWithoutSync,
        Self::CutLeavesMark,
        Self::CutForgetsEpoch,
        Self::PromiseWithoutSync,
    ];

    /// Those of regions that take each other's records, which the simulation of regions finds.
    pub const REGIONS: [Self; 4] =
        [Self::ForgetPeerClock, Self::ImportLosesRecord, Self::RehomeByOwnAlone, Self::ForgetBeyond];

    /// Those of logs that are put back to older copies.
    pub const PUT_BACK: [Self; 3] = [Self::EqualNumbersAreOneRecord, Self::KeepWhatWasLost, Self::PutBackUnnoticed];

    /// Those of regions that one seed in thousands meets.
    pub const REGIONS_RARE: [Self; 5] =
        [Self::KeepWhatIsLost, Self::PassOverUnnamed, Self::MarkBehindUnnamed, Self::RehomeUnnamed, Self::KeepOrphans];

    /// Those of batches that are built ahead, which the simulation finds in worlds where they are.
    pub const AHEAD: [Self; 2] = [Self::BuildOnFailed, Self::KeepFailedReceipts];

    /// Those that one seed in thousands meets.
    pub const RARE: [Self; 9] = [
        Self::AskBeforeGreeted,
        Self::JoinOtherReplica,
        Self::ApplyBehindRow,
        Self::HeedStaleRound,
        Self::StayWithReplaced,
        Self::MendCollected,
        Self::FreshFromOtherLog,
        Self::ResumeTooLate,
        Self::FreshAcrossLogs,
    ];

    /// Those of the leader's and the edges' data, which the simulation of a whole region finds.
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
        Self::JoinOlderFlight,
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

/// Whether the fault is there.
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

/// Whether the fault is there, on this thread.
#[cfg(feature = "mutations")]
#[must_use]
#[inline]
pub fn active(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}

/// Puts this fault, or none, into what this thread runs from now on.
#[cfg(feature = "mutations")]
pub fn set(mutation: Option<Mutation>) {
    ACTIVE.set(mutation);
}
