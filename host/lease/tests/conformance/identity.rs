//! The requirements for every store when another store answers in its place.

use crate::claim;
use littoral_lease::{LeaseStore, StoreError, Swap, identity::Lost};
use littoral_model::ports::BoxFuture;
use std::{path::PathBuf, sync::Arc};

/// A store whose content a test can remove, as when it is unmounted, deleted or wiped.
pub trait ReplaceableStore: Sync {
    /// Opens the lease of this name, as a process that remembers its store in this file.
    fn open(&self, name: &str, memory: Option<PathBuf>) -> Arc<dyn LeaseStore>;

    /// Opens it as an older version does, which has no identities.
    fn open_unguarded(&self, name: &str) -> Arc<dyn LeaseStore>;

    /// Removes the content under this name.
    fn take_away<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()>;

    /// Restores that content, and deletes what was written in its place.
    fn restore<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()>;
}

/// Runs the suite.
pub async fn a_lost_store_is_distinguished_from_a_new_one(place: &dyn ReplaceableStore) {
    an_emptied_store_is_lost_for_processes_that_used_it(place).await;
    no_lease_is_claimed_in_another_store(place).await;
    a_store_of_an_older_version_is_identified_by_the_first_claim(place).await;
}

fn lost(error: &StoreError) -> Lost {
    match error {
        StoreError::Lost { lost, .. } => *lost,
        other => panic!("not lost: {other}"),
    }
}

/// A swap that expects a state which no longer exists may be lost or fail, but never succeed.
async fn does_not_succeed(store: &dyn LeaseStore, expected: Option<&littoral_lease::Tag>, attempt: u64) {
    let swapped = store.swap(expected, &claim("one", 1, attempt)).await;
    assert!(!matches!(swapped, Ok(Swap::Done(_))), "{}: {swapped:?}", store.name());
}

async fn an_emptied_store_is_lost_for_processes_that_used_it(place: &dyn ReplaceableStore) {
    let dir = tempfile::tempdir().unwrap();
    let memory = |of: &str| Some(dir.path().join(of));
    let (one, two) = (place.open("vanishes", memory("one")), place.open("vanishes", memory("two")));
    assert_eq!(one.read().await.unwrap(), None);
    let Swap::Done(tag) = one.swap(None, &claim("one", 1, 1)).await.unwrap() else { panic!("lost") };
    assert_eq!(two.read().await.unwrap().unwrap().claim, claim("one", 1, 1), "the election sees no identity");

    place.take_away("vanishes").await;
    does_not_succeed(&*one, Some(&tag), 2).await;
    for store in [&one, &two, &place.open("vanishes", memory("one"))] {
        assert!(matches!(lost(&store.read().await.unwrap_err()), Lost::Empty { known: Some(_) }), "{}", store.name());
        does_not_succeed(&**store, None, 3).await;
        assert!(store.read().await.is_err(), "{}: it was created again", store.name());
    }

    place.restore("vanishes").await;
    for store in [&one, &two, &place.open("vanishes", memory("two"))] {
        assert_eq!(store.read().await.unwrap().unwrap().claim, claim("one", 1, 1), "{}", store.name());
    }
    let seen = one.read().await.unwrap().unwrap();
    assert!(matches!(one.swap(Some(&seen.tag), &claim("one", 1, 4)).await.unwrap(), Swap::Done(_)));
}

async fn no_lease_is_claimed_in_another_store(place: &dyn ReplaceableStore) {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("one");
    let one = place.open("replaced", Some(memory.clone()));
    assert_eq!(one.read().await.unwrap(), None);
    let Swap::Done(tag) = one.swap(None, &claim("one", 1, 1)).await.unwrap() else { panic!("lost") };

    place.take_away("replaced").await;
    let stranger = place.open("replaced", None);
    assert_eq!(stranger.read().await.unwrap(), None);
    let theirs = claim("stranger", 1, 1);
    assert!(matches!(stranger.swap(None, &theirs).await.unwrap(), Swap::Done(_)));
    does_not_succeed(&*one, Some(&tag), 2).await;
    for store in [&one, &place.open("replaced", Some(memory))] {
        assert!(matches!(lost(&store.read().await.unwrap_err()), Lost::Other { .. }), "{}", store.name());
    }
    assert_eq!(stranger.read().await.unwrap().unwrap().claim, theirs);

    place.restore("replaced").await;
    assert_eq!(one.read().await.unwrap().unwrap().claim, claim("one", 1, 1));
    assert!(matches!(lost(&stranger.read().await.unwrap_err()), Lost::Other { .. }));
}

async fn a_store_of_an_older_version_is_identified_by_the_first_claim(place: &dyn ReplaceableStore) {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("new");
    let (old, new) = (place.open_unguarded("older"), place.open("older", Some(memory.clone())));
    assert_eq!(old.read().await.unwrap(), None);
    assert!(matches!(old.swap(None, &claim("old", 1, 1)).await.unwrap(), Swap::Done(_)));
    // The first member is upgraded, and is elected.
    let seen = new.read().await.unwrap().unwrap();
    assert!(seen.claim == claim("old", 1, 1) && !memory.exists());
    assert!(matches!(new.swap(Some(&seen.tag), &claim("new", 2, 1)).await.unwrap(), Swap::Done(_)));
    assert!(memory.exists(), "the process that identifies a store remembers it");
    // A member that is not upgraded is elected after it, and it is elected again after that one.
    let seen = old.read().await.unwrap().unwrap();
    assert!(seen.claim.store.is_some());
    assert!(matches!(old.swap(Some(&seen.tag), &claim("old", 3, 2)).await.unwrap(), Swap::Done(_)));
    let seen = new.read().await.unwrap().unwrap();
    assert_eq!(seen.claim, claim("old", 3, 2));
    assert!(matches!(new.swap(Some(&seen.tag), &claim("new", 4, 2)).await.unwrap(), Swap::Done(_)));
    place.take_away("older").await;
    let again = place.open("older", Some(memory));
    assert!(matches!(lost(&again.read().await.unwrap_err()), Lost::Empty { known: Some(_) }));
}
