//! The requirements for every store.

use crate::claim;
use littoral_lease::{Claim, LeaseStore, Seen, Swap, Tag};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Opens a lease by its name, each time as a new process would.
pub type Open<'a> = &'a (dyn Fn(&str) -> Arc<dyn LeaseStore> + Sync);

/// Runs the suite.
pub async fn every_requirement_holds(open: Open<'_>) {
    a_new_lease_has_no_claim(open).await;
    other_processes_read_a_claim_unchanged(open).await;
    a_swap_of_another_state_changes_nothing(open).await;
    a_renewal_invalidates_the_state_that_others_saw(open).await;
    a_released_claim_is_seen_as_released(open).await;
    leases_with_other_names_are_independent(open).await;
    of_many_swaps_of_one_state_one_succeeds(open).await;
    every_reader_sees_one_order(open).await;
}

async fn read(store: &dyn LeaseStore) -> Option<Seen> {
    store.read().await.unwrap()
}

async fn swap(store: &dyn LeaseStore, expected: Option<&Tag>, claim: &Claim) -> Tag {
    match store.swap(expected, claim).await.unwrap() {
        Swap::Done(tag) => tag,
        Swap::Lost => panic!("{} lost {claim:?} over {expected:?}", store.name()),
    }
}

async fn a_new_lease_has_no_claim(open: Open<'_>) {
    let store = open("first");
    assert_eq!(read(&*store).await, None);
    assert_eq!(read(&*store).await, None);
}

async fn other_processes_read_a_claim_unchanged(open: Open<'_>) {
    let (one, made) = (open("seen"), claim("one", 1, 1));
    assert_eq!(read(&*one).await, None);
    let tag = swap(&*one, None, &made).await;
    assert_eq!(read(&*one).await, Some(Seen { claim: made.clone(), tag }));
    assert_eq!(read(&*open("seen")).await.unwrap().claim, made);
}

async fn a_swap_of_another_state_changes_nothing(open: Open<'_>) {
    let (one, two) = (open("other-state"), open("other-state"));
    assert_eq!((read(&*one).await, read(&*two).await), (None, None));
    swap(&*one, None, &claim("one", 1, 1)).await;
    assert_eq!(two.swap(None, &claim("two", 1, 1)).await.unwrap(), Swap::Lost, "it expected no claim");
    let old = read(&*two).await.unwrap().tag;
    let seen = read(&*one).await.unwrap();
    swap(&*one, Some(&seen.tag), &claim("one", 1, 2)).await;
    assert_eq!(two.swap(Some(&old), &claim("two", 2, 2)).await.unwrap(), Swap::Lost, "it expected the first claim");
    assert_eq!(two.swap(None, &claim("two", 2, 3)).await.unwrap(), Swap::Lost, "it expected no claim, later");
    assert_eq!(read(&*open("other-state")).await.unwrap().claim, claim("one", 1, 2));
}

async fn a_renewal_invalidates_the_state_that_others_saw(open: Open<'_>) {
    let (one, two) = (open("renewal"), open("renewal"));
    assert_eq!(read(&*one).await, None);
    let mut tag = swap(&*one, None, &claim("one", 1, 1)).await;
    for attempt in 2..12 {
        let before = read(&*two).await.unwrap();
        assert_eq!(before.claim.attempt, attempt - 1);
        tag = swap(&*one, Some(&tag), &claim("one", 1, attempt)).await;
        let lost = two.swap(Some(&before.tag), &claim("two", 2, attempt)).await.unwrap();
        assert_eq!(lost, Swap::Lost);
    }
    let last = read(&*two).await.unwrap();
    swap(&*two, Some(&last.tag), &claim("two", 2, 100)).await;
    assert_eq!(one.swap(Some(&tag), &claim("one", 1, 100)).await.unwrap(), Swap::Lost, "the former holder");
}

async fn a_released_claim_is_seen_as_released(open: Open<'_>) {
    let one = open("released");
    assert_eq!(read(&*one).await, None);
    let tag = swap(&*one, None, &claim("one", 4, 1)).await;
    let released = Claim { released: true, ..claim("one", 4, 2) };
    swap(&*one, Some(&tag), &released).await;
    let seen = read(&*open("released")).await.unwrap();
    assert_eq!(seen.claim, released);
    let two = open("released");
    let seen = read(&*two).await.unwrap();
    swap(&*two, Some(&seen.tag), &claim("two", 5, 1)).await;
    assert_eq!(read(&*one).await.unwrap().claim, claim("two", 5, 1));
}

async fn leases_with_other_names_are_independent(open: Open<'_>) {
    let (eu, eu_west) = (open("eu"), open("eu-west"));
    assert_eq!((read(&*eu).await, read(&*eu_west).await), (None, None));
    swap(&*eu, None, &claim("one", 1, 1)).await;
    assert_eq!(read(&*eu_west).await, None);
    swap(&*eu_west, None, &claim("two", 9, 1)).await;
    assert_eq!(read(&*eu).await.unwrap().claim.epoch.0, 1);
}

async fn of_many_swaps_of_one_state_one_succeeds(open: Open<'_>) {
    const CONTENDERS: u64 = 8;
    const ROUNDS: u64 = 12;
    for round in 1..=ROUNDS {
        let mut ready = Vec::new();
        for contender in 0..CONTENDERS {
            let store = open("contended");
            // All have read the same state before any of them swaps.
            let seen = read(&*store).await;
            assert_eq!(seen.as_ref().map_or(0, |seen| seen.claim.epoch.0), round - 1);
            ready.push((store, seen, claim(&format!("contender-{contender}"), round, 1)));
        }
        let mut contenders = JoinSet::new();
        for (store, seen, claim) in ready {
            contenders
                .spawn(async move { (store.swap(seen.map(|seen| seen.tag).as_ref(), &claim).await.unwrap(), claim) });
        }
        let results = contenders.join_all().await;
        let won: Vec<_> = results.iter().filter(|(swap, _)| matches!(swap, Swap::Done(_))).collect();
        assert_eq!(won.len(), 1, "round {round}: {results:?}");
        assert_eq!(read(&*open("contended")).await.unwrap().claim, won[0].1);
    }
}

async fn every_reader_sees_one_order(open: Open<'_>) {
    let writer = open("order");
    assert_eq!(read(&*writer).await, None);
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let reader = open("order");
        readers.spawn(async move {
            let (mut last, mut seen) = (0, 0);
            while last < 40 {
                let attempt = read(&*reader).await.map_or(0, |seen| seen.claim.attempt);
                assert!(attempt >= last, "claim {attempt} was seen after {last}");
                seen += u64::from(attempt > last);
                last = attempt;
                tokio::task::yield_now().await;
            }
            seen
        });
    }
    let mut tag = None;
    for attempt in 1..=40 {
        tag = Some(swap(&*writer, tag.as_ref(), &claim("writer", 1, attempt)).await);
    }
    assert!(readers.join_all().await.into_iter().all(|seen| seen > 0));
}
