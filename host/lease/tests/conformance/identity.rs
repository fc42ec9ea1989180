//! What every store must hold when something else answers in its place.

use crate::claim;
use littoral_lease::{LeaseStore, StoreError, Swap, identity::Lost};
use littoral_model::ports::BoxFuture;
use std::{path::PathBuf, sync::Arc};

/// A store of which a test can take away what lies under a name, as when it is unmounted, deleted or wiped.
pub trait Place: Sync {
    /// Opens the lease of this name, as a process that remembers its store in this file.
    fn open(&self, name: &str, memory: Option<PathBuf>) -> Arc<dyn LeaseStore>;

    /// The same as an older version opens it, which knows of no identity.
    fn open_unguarded(&self, name: &str) -> Arc<dyn LeaseStore>;

    /// What lies under this name is gone from where it was.
    fn take_away<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()>;

    /// It is back; what was put in its place meanwhile is gone.
    fn bring_back<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()>;
}

/// The whole suite.
pub async fn a_lost_store_is_told_from_a_new_one(place: &dyn Place) {
    an_empty_store_is_lost_to_whoever_has_used_it(place).await;
    another_store_in_its_place_is_not_claimed(place).await;
    a_store_of_an_older_version_is_identified_by_the_first_claim(place).await;
}

fn lost(error: &StoreError) -> Lost {
    match error {
        StoreError::Lost { lost, .. } => *lost,
        other => panic!("not lost: {other}"),
    }
}

/// A swap over a state that is not there may be lost or refused, but never done.
async fn is_not_done(store: &dyn LeaseStore, expected: Option<&littoral_lease::Tag>, attempt: u64) {
    let swapped = store.swap(expected, &claim("one", 1, attempt)).await;
    assert!(!matches!(swapped, Ok(Swap::Taken(_))), "{}: {swapped:?}", store.name());
}

async fn an_empty_store_is_lost_to_whoever_has_used_it(place: &dyn Place) {
    let dir = tempfile::tempdir().unwrap();
    let memory = |of: &str| Some(dir.path().join(of));
    let (one, two) = (place.open("vanishes", memory("one")), place.open("vanishes", memory("two")));
    assert_eq!(one.read().await.unwrap(), None);
    let Swap::Taken(tag) = one.swap(None, &claim("one", 1, 1)).await.unwrap() else { panic!("lost") };
    assert_eq!(two.read().await.unwrap().unwrap().claim, claim("one", 1, 1), "the election sees no identity");

    place.take_away("vanishes").await;
    is_not_done(&*one, Some(&tag), 2).await;
    for store in [&one, &two, &place.open("vanishes", memory("one"))] {
        assert!(matches!(lost(&store.read().await.unwrap_err()), Lost::Empty { known: Some(_) }), "{}", store.name());
        is_not_done(&**store, None, 3).await;
        assert!(store.read().await.is_err(), "{}: it was made anew", store.name());
    }

    place.bring_back("vanishes").await;
    for store in [&one, &two, &place.open("vanishes", memory("two"))] {
        assert_eq!(store.read().await.unwrap().unwrap().claim, claim("one", 1, 1), "{}", store.name());
    }
    let seen = one.read().await.unwrap().unwrap();
    assert!(matches!(one.swap(Some(&seen.tag), &claim("one", 1, 4)).await.unwrap(), Swap::Taken(_)));
}

async fn another_store_in_its_place_is_not_claimed(place: &dyn Place) {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("one");
    let one = place.open("replaced", Some(memory.clone()));
    assert_eq!(one.read().await.unwrap(), None);
    let Swap::Taken(tag) = one.swap(None, &claim("one", 1, 1)).await.unwrap() else { panic!("lost") };

    place.take_away("replaced").await;
    let stranger = place.open("replaced", None);
    assert_eq!(stranger.read().await.unwrap(), None);
    let theirs = claim("stranger", 1, 1);
    assert!(matches!(stranger.swap(None, &theirs).await.unwrap(), Swap::Taken(_)));
    is_not_done(&*one, Some(&tag), 2).await;
    for store in [&one, &place.open("replaced", Some(memory))] {
        assert!(matches!(lost(&store.read().await.unwrap_err()), Lost::Other { .. }), "{}", store.name());
    }
    assert_eq!(stranger.read().await.unwrap().unwrap().claim, theirs);

    place.bring_back("replaced").await;
    assert_eq!(one.read().await.unwrap().unwrap().claim, claim("one", 1, 1));
    assert!(matches!(lost(&stranger.read().await.unwrap_err()), Lost::Other { .. }));
}

async fn a_store_of_an_older_version_is_identified_by_the_first_claim(place: &dyn Place) {
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("new");
    let (old, new) = (place.open_unguarded("older"), place.open("older", Some(memory.clone())));
    assert_eq!(old.read().await.unwrap(), None);
    assert!(matches!(old.swap(None, &claim("old", 1, 1)).await.unwrap(), Swap::Taken(_)));
    // The first member is upgraded, and takes over.
    let seen = new.read().await.unwrap().unwrap();
    assert!(seen.claim == claim("old", 1, 1) && !memory.exists());
    assert!(matches!(new.swap(Some(&seen.tag), &claim("new", 2, 1)).await.unwrap(), Swap::Taken(_)));
    assert!(memory.exists(), "who identifies a store remembers it");
    // One that is not upgraded yet takes over from it, and it from that one again.
    let seen = old.read().await.unwrap().unwrap();
    assert!(seen.claim.store.is_some());
    assert!(matches!(old.swap(Some(&seen.tag), &claim("old", 3, 2)).await.unwrap(), Swap::Taken(_)));
    let seen = new.read().await.unwrap().unwrap();
    assert_eq!(seen.claim, claim("old", 3, 2));
    assert!(matches!(new.swap(Some(&seen.tag), &claim("new", 4, 2)).await.unwrap(), Swap::Taken(_)));
    place.take_away("older").await;
    let again = place.open("older", Some(memory));
    assert!(matches!(lost(&again.read().await.unwrap_err()), Lost::Empty { known: Some(_) }));
}
