//! The task around the election: stores that hang, floors, handing over.

use littoral_lease::{
    Claim, Config, Fenced, Handle, LeaseStore, Seen, StoreError, Swap, Tag, Timing, Turn, clock,
    service::{self, InvalidConfig},
};
use littoral_model::{ports::BoxFuture, position::Epoch};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A claim in memory, which hangs when it is told to.
#[derive(Default)]
struct Memory {
    state: Mutex<(u64, Option<Claim>)>,
    hangs: AtomicBool,
    hanging: AtomicUsize,
}

impl Memory {
    async fn answer(&self) {
        if self.hangs.load(SeqCst) {
            self.hanging.fetch_add(1, SeqCst);
            std::future::pending::<()>().await;
        }
    }
}

impl LeaseStore for Memory {
    fn read(&self) -> BoxFuture<'_, Result<Option<Seen>, StoreError>> {
        Box::pin(async {
            self.answer().await;
            let (number, claim) = self.state.lock().clone();
            Ok(claim.map(|claim| Seen { claim, tag: Tag(number.to_string()) }))
        })
    }

    fn swap<'a>(&'a self, expected: Option<&'a Tag>, claim: &'a Claim) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.answer().await;
            let mut state = self.state.lock();
            if expected != state.1.is_some().then(|| Tag(state.0.to_string())).as_ref() {
                return Ok(Swap::Lost);
            }
            *state = (state.0 + 1, Some(claim.clone()));
            Ok(Swap::Taken(Tag(state.0.to_string())))
        })
    }

    fn name(&self) -> &str {
        "memory"
    }
}

struct Candidate {
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Candidate {
    fn start(name: &str, store: &Arc<Memory>) -> Self {
        let config = Config {
            name: name.into(),
            contact: format!("{name}.example:1"),
            timing: Timing::AGGRESSIVE,
            turn: Turn::default(),
        };
        let (handle, service) = service::new(config, store.clone(), clock::system()).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(service.run(stop.clone()));
        Self { handle, stop, task }
    }

    async fn leads(&self) -> Epoch {
        let mut state = self.handle.state();
        let leads = state.wait_for(|state| state.leading.is_some());
        tokio::time::timeout(Duration::from_secs(30), leads).await.unwrap().unwrap().leading.unwrap()
    }

    async fn leads_no_more(&self) {
        let mut state = self.handle.state();
        let over = state.wait_for(|state| state.leading.is_none());
        tokio::time::timeout(Duration::from_secs(30), over).await.unwrap().unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_does_not_stand_does_not_lead_but_sees_who_does() {
    let store = Arc::default();
    let (onlooker, leader) = (Candidate::start("onlooker", &store), Candidate::start("leader", &store));
    leader.handle.stand(Epoch(41)).await;
    assert_eq!(leader.leads().await, Epoch(42), "an epoch greater than what its log knows");
    let mut state = onlooker.handle.state();
    let seen = state.wait_for(|state| state.claim.is_some()).await.unwrap().clone();
    assert_eq!(seen.claim.unwrap().contact, "leader.example:1");
    assert_eq!((seen.leading, onlooker.handle.epoch()), (None, Err(Fenced::NotLeading)));
    onlooker.end().await;
    leader.end().await;
}

#[tokio::test]
async fn a_leader_hands_over_when_it_resigns_and_when_it_ends() {
    let store = Arc::default();
    let (one, two) = (Candidate::start("one", &store), Candidate::start("two", &store));
    one.handle.stand(Epoch(0)).await;
    let first = one.leads().await;
    two.handle.stand(Epoch(0)).await;
    one.handle.resign().await;
    let second = two.leads().await;
    assert!(second > first);
    assert_eq!(one.handle.confirm(first), Err(Fenced::NotLeading));
    one.handle.stand(Epoch(0)).await;
    two.end().await;
    assert!(one.leads().await > second);
    one.end().await;
    let (_, claim) = store.state.lock().clone();
    assert!(claim.unwrap().released, "who ends leaves no lease behind");
}

#[tokio::test]
async fn a_store_that_hangs_costs_the_lease_and_a_bounded_number_of_requests() {
    let store = Arc::<Memory>::default();
    let one = Candidate::start("one", &store);
    one.handle.stand(Epoch(0)).await;
    let first = one.leads().await;
    store.hangs.store(true, SeqCst);
    one.leads_no_more().await;
    assert!(one.handle.confirm(first).is_err());
    // Long enough for many more requests than may hang.
    tokio::time::sleep(Timing::AGGRESSIVE.patience * 14).await;
    assert!((1..=8).contains(&store.hanging.load(SeqCst)), "{} hang", store.hanging.load(SeqCst));
    one.end().await;
}

#[test]
fn what_cannot_work_is_refused() {
    let refused = |change: fn(&mut Config)| {
        let mut config =
            Config { name: "a".into(), contact: String::new(), timing: Timing::DEFAULT, turn: Turn::default() };
        change(&mut config);
        service::new(config, Arc::new(Memory::default()), clock::system()).err().unwrap()
    };
    assert!(matches!(refused(|config| config.name.clear()), InvalidConfig::Name));
    assert!(matches!(refused(|config| config.name = "n".repeat(65)), InvalidConfig::Name));
    assert!(matches!(refused(|config| config.contact = "c".repeat(257)), InvalidConfig::Contact));
    assert!(matches!(refused(|config| config.timing.term = Duration::ZERO), InvalidConfig::Timing(_)));
}
