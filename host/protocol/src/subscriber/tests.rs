use super::*;
use littoral_model::{
    lineage::Start,
    record::{Payload, Record},
    region::Region,
};

const LOG: Incarnation = Incarnation(7);

fn at(lsn: u64) -> Position {
    Position { incarnation: LOG, lsn: Lsn(lsn) }
}

fn resume(lsn: u64) -> Resume {
    Resume { position: at(lsn), chain: ChainHash(u128::from(lsn)) }
}

fn hello(mode: Mode, epoch: u64, head: Position) -> Downstream {
    Downstream::Hello(PublisherHello {
        version: ProtocolVersion::NEWEST.number(),
        region: "east".parse().expect("region"),
        epoch: Epoch(epoch),
        head,
        mode,
        rehomed: None,
        watermark: Watermark::default(),
        heartbeat_ms: 100,
        lineages: RegionLineages::default(),
        forked: None,
        cluster: None,
        succeeds: None,
        configured: Vec::new(),
    })
}

#[test]
fn a_version_that_was_not_offered_is_rejected() {
    let (previous, newest) = (ProtocolVersion::PREVIOUS, ProtocolVersion::NEWEST);
    let greeted = |ours: ProtocolVersion, theirs: u16| {
        let mut subscriber = Subscriber::new(None, None, Views::All).speaking(ours);
        let offered = subscriber.hello("edge");
        assert_eq!((offered.version_min, offered.version_max), (previous.number(), ours.number()));
        let Downstream::Hello(hello) = hello(Mode::Snapshot, 1, at(9)) else { unreachable!("`hello` creates a hello") };
        let greeted = subscriber.receive(Downstream::Hello(PublisherHello { version: theirs, ..hello }));
        greeted.map(|_| subscriber.version())
    };
    assert_eq!(greeted(newest, newest.number()), Ok(newest));
    assert_eq!(greeted(newest, previous.number()), Ok(previous));
    assert_eq!(greeted(previous, previous.number()), Ok(previous));
    for (ours, theirs) in [(previous, newest.number()), (newest, newest.number() + 1), (newest, previous.number() - 1)]
    {
        assert_eq!(greeted(ours, theirs), Err(Violation::Version { theirs }));
    }
}

fn records(first: u64, last: u64) -> Downstream {
    Downstream::Records { first: Lsn(first), last: Lsn(last), chain_after: ChainHash(9), bytes: Bytes::new() }
}

fn tailing(lsn: u64) -> Subscriber {
    let mut subscriber = Subscriber::new(Some(resume(lsn)), Some((LOG, Epoch(1))), Views::All);
    subscriber.receive(hello(Mode::Tail, 1, at(lsn + 100))).expect("hello");
    subscriber
}

#[test]
fn a_tail_continues_exactly_at_the_applied_record() {
    let mut subscriber = tailing(5);
    let Ok(Action::Apply(block)) = subscriber.receive(records(6, 8)) else { panic!("records 6 to 8 are next") };
    assert_eq!(subscriber.resume(), Some(resume(5)), "the position advances only when the block is applied");
    subscriber.applied(&block, Epoch(2));
    assert_eq!(subscriber.resume(), Some(Resume { position: at(8), chain: ChainHash(9) }));
    assert_eq!(subscriber.epoch(), Epoch(2));
}

#[test]
fn gaps_repeats_and_empty_ranges_close_the_stream() {
    for (first, last) in [(7, 8), (5, 6), (6, 5)] {
        let mut subscriber = tailing(5);
        let violation = subscriber.receive(records(first, last)).expect_err("out of order");
        assert!(matches!(violation, Violation::Gap { expected: Lsn(6), .. }), "{violation}");
        assert_eq!(violation.remedy(), Remedy::ResumeOrSnapshot);
        assert!(subscriber.receive(records(6, 6)).is_err(), "a stream with a violation is closed");
    }
}

#[test]
fn a_replaced_leader_is_rejected() {
    let mut subscriber = Subscriber::new(Some(resume(5)), Some((LOG, Epoch(3))), Views::All);
    let violation = subscriber.receive(hello(Mode::Tail, 2, at(9))).expect_err("older epoch");
    assert_eq!(violation, Violation::StaleEpoch { theirs: Epoch(2), known: Epoch(3) });
    let mut anew = Subscriber::new(None, Some((LOG, Epoch(3))), Views::All);
    anew.receive(hello(Mode::Snapshot, 2, at(9))).expect_err("its snapshot is rejected like its tail");
}

#[test]
fn another_life_of_the_log_is_followed_by_snapshot_but_not_by_tail() {
    let other = Position { incarnation: Incarnation(8), lsn: Lsn(50) };
    let mut subscriber = Subscriber::new(Some(resume(5)), Some((LOG, Epoch(3))), Views::All);
    assert_eq!(
        subscriber.clone().receive(hello(Mode::Tail, 1, other)).expect_err("other log").remedy(),
        Remedy::Snapshot
    );
    subscriber.receive(hello(Mode::Snapshot, 1, other)).expect("a snapshot may come from any log");
    assert_eq!(subscriber.epoch(), Epoch(1));
    let begin = |as_of| Downstream::SnapshotBegin {
        as_of,
        chain: ChainHash(4),
        watermark: Watermark::default(),
        lineages: RegionLineages::default(),
        mixed: false,
        catalogue: Arc::default(),
        rows_estimate: 2,
    };
    assert!(matches!(subscriber.clone().receive(begin(at(5))), Err(Violation::Incarnation { .. })));
    subscriber.receive(begin(other)).expect("begins");
    subscriber.receive(Downstream::SnapshotRows { rows: 2, bytes: Bytes::new() }).expect("rows");
    assert_eq!(subscriber.resume(), Some(resume(5)), "an unfinished snapshot does not count");
    assert_eq!(
        subscriber.clone().receive(Downstream::SnapshotEnd { rows: 3 }),
        Err(Violation::SnapshotRows { announced: 3, received: 2 })
    );
    assert_eq!(subscriber.receive(Downstream::SnapshotEnd { rows: 2 }), Ok(Action::FinishSnapshot));
    assert_eq!(subscriber.resume(), Some(Resume { position: other, chain: ChainHash(4) }));
    assert!(matches!(subscriber.receive(records(51, 51)), Ok(Action::Apply(_))));
}

#[test]
fn unexpected_messages_are_rejected() {
    let mut fresh = Subscriber::new(None, None, Views::All);
    assert!(matches!(fresh.clone().receive(records(1, 1)), Err(Violation::Order { expected: "hello", .. })));
    assert!(matches!(fresh.clone().receive(hello(Mode::Tail, 1, at(0))), Err(Violation::CannotTail { .. })));
    fresh.receive(hello(Mode::Snapshot, 1, at(0))).expect("hello");
    assert!(fresh.clone().receive(Downstream::SnapshotEnd { rows: 0 }).is_err());
    assert!(fresh.clone().receive(records(1, 1)).is_err());
    assert!(fresh.receive(hello(Mode::Snapshot, 1, at(0))).is_err());
    assert!(tailing(1).receive(Downstream::SnapshotEnd { rows: 0 }).is_err());
}

#[test]
fn a_head_behind_what_was_applied_needs_a_snapshot() {
    let mut subscriber = Subscriber::new(Some(resume(5)), Some((LOG, Epoch(1))), Views::All);
    assert_eq!(subscriber.receive(hello(Mode::Tail, 1, at(4))).expect_err("lost records").remedy(), Remedy::Snapshot);
}

fn chained(previous: ChainHash, lsn: u64, epoch: u64) -> Record<'static> {
    let mut record = Record {
        lsn: Lsn(lsn),
        epoch: Epoch(epoch),
        origin: "east".parse().expect("region"),
        origin_lsn: Lsn(lsn),
        hlc: Hlc(lsn),
        chain: ChainHash::GENESIS,
        payload: Payload::Receipt { idempotency_key: "k", content: 1, first: Lsn(1), last: Lsn(1) },
    };
    record.chain = record.chain_after(previous);
    record
}

fn block(dense: bool, first: u64, last: u64, before: ChainHash, after: ChainHash) -> Block {
    let (first, last) = (Lsn(first), Lsn(last));
    Block { first, last, chain_before: before, chain_after: after, dense, epoch_min: Epoch(1), bytes: Bytes::new() }
}

#[test]
fn a_block_is_checked_hash_by_hash() {
    let before = ChainHash(5);
    let one = chained(before, 6, 1);
    let two = chained(one.chain, 7, 2);
    let check = |records: &[&Record<'_>], block: &Block| {
        let mut check = BlockCheck::new(block);
        records.iter().try_for_each(|record| check.record(record)).and_then(|()| check.finish())
    };
    let whole = block(true, 6, 7, before, two.chain);
    assert_eq!(check(&[&one, &two], &whole), Ok(Epoch(2)));
    assert!(matches!(check(&[&one], &whole), Err(Violation::Gap { .. })));
    assert!(matches!(check(&[&two, &one], &whole), Err(Violation::Gap { .. })));
    assert_eq!(
        check(&[&one, &two], &block(true, 6, 7, ChainHash(6), two.chain)),
        Err(Violation::Chain { lsn: Lsn(6) })
    );
    assert_eq!(check(&[&one, &two], &block(true, 6, 7, before, one.chain)), Err(Violation::Chain { lsn: Lsn(7) }));
    let damaged = Record { hlc: Hlc(99), ..two.clone() };
    assert_eq!(check(&[&one, &damaged], &whole), Err(Violation::Chain { lsn: Lsn(7) }));
    let older = chained(two.chain, 8, 1);
    assert!(matches!(
        check(&[&one, &two, &older], &block(true, 6, 8, before, older.chain)),
        Err(Violation::StaleEpoch { .. })
    ));
    let filtered = block(false, 6, 9, before, ChainHash(1));
    assert_eq!(check(&[&two], &filtered), Ok(Epoch(2)), "a filtered block may omit records");
    assert!(check(&[&two, &two], &filtered).is_err(), "but not repeat them");
}

#[test]
fn records_of_a_replaced_leader_are_accepted_from_its_successor() {
    let resume = Resume { position: at(5), chain: ChainHash(5) };
    let mut subscriber = Subscriber::new(Some(resume), Some((at(5).incarnation, Epoch(1))), Views::All);
    subscriber.receive(hello(Mode::Tail, 2, at(9))).expect("a newer epoch");
    let bytes = Bytes::new();
    let records = Downstream::Records { first: Lsn(6), last: Lsn(6), chain_after: ChainHash(6), bytes };
    let Ok(Action::Apply(block)) = subscriber.receive(records) else { panic!("the next record is applied") };
    assert!(block.epoch_min <= Epoch(1), "record 6 was appended in epoch 1");
    subscriber.applied(&block, Epoch(1));
    assert_eq!(subscriber.epoch(), Epoch(2), "the older leader stays rejected");
}

#[test]
fn a_tail_of_another_regions_log_may_begin_in_an_earlier_life() {
    let region: Region = "east".parse().expect("region");
    let home = Position { incarnation: Incarnation(77), lsn: Lsn(40) };
    let mut lineage = Lineage::of(home.incarnation);
    lineage.begin(Start { life: Incarnation(78), first: Lsn(60), after: home.incarnation, shared: Lsn(59) });
    let greeting = |begins: Position| {
        let Downstream::Hello(greeting) = hello(Mode::Tail, 1, lineage.position(Lsn(70))) else { unreachable!() };
        let mut all = RegionLineages::default();
        all.set(region, lineage.clone());
        let rehomed = Some(Resume { position: begins, chain: ChainHash(1) });
        Downstream::Hello(PublisherHello { rehomed, lineages: all, ..greeting })
    };
    let elsewhere = Watermark::at("west".parse().expect("region"), LOG, Lsn(5));
    let subscriber =
        || Subscriber::new(Some(resume(5)), Epochs::default(), Views::All).with_watermark(elsewhere.clone());
    for begins in [home, lineage.position(Lsn(65))] {
        let mut subscriber = subscriber();
        assert!(subscriber.receive(greeting(begins)).is_ok(), "{begins}");
        assert_eq!(subscriber.resume().map(|resume| resume.position), Some(begins));
    }
    for begins in [Position { lsn: Lsn(60), ..home }, lineage.position(Lsn(71)), at(3)] {
        let refused = subscriber().receive(greeting(begins));
        assert!(matches!(refused, Err(Violation::CannotTail { .. })), "{begins}: {refused:?}");
    }
}
