//! The task that runs the election: stores that hang, epoch floors, handing over the lease.

use littoral_lease::{
    Claim, Config, EpochStride, Fenced, Handle, LeaseStore, Seen, StoreError, Swap, Tag, Timing, clock,
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

/// A store in memory that hangs on request.
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
            Ok(Swap::Done(Tag(state.0.to_string())))
        })
    }

    fn name(&self) -> &str {
        "memory"
    }
}

struct Contender {
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Contender {
    fn start(name: &str, store: &Arc<Memory>) -> Self {
        let config = Config {
            name: name.into(),
            contact: format!("{name}.example:1"),
            timing: Timing::AGGRESSIVE,
            epochs: EpochStride::default(),
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

    async fn no_longer_leads(&self) {
        let mut state = self.handle.state();
        let ended = state.wait_for(|state| state.leading.is_none());
        tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap().unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_observer_does_not_lead_but_sees_the_leader() {
    let store = Arc::default();
    let (observer, leader) = (Contender::start("observer", &store), Contender::start("leader", &store));
    leader.handle.stand(Epoch(41)).await;
    assert_eq!(leader.leads().await, Epoch(42), "an epoch greater than the newest in its log");
    let mut state = observer.handle.state();
    let seen = state.wait_for(|state| state.claim.is_some()).await.unwrap().clone();
    assert_eq!(seen.claim.unwrap().contact, "leader.example:1");
    assert_eq!((seen.leading, observer.handle.epoch()), (None, Err(Fenced::NotLeading)));
    observer.end().await;
    leader.end().await;
}

#[tokio::test]
async fn a_leader_releases_the_lease_when_it_resigns_or_stops() {
    let store = Arc::default();
    let (one, two) = (Contender::start("one", &store), Contender::start("two", &store));
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
    assert!(claim.unwrap().released, "a service that stopped has released its lease");
}

#[tokio::test]
async fn a_store_that_hangs_costs_the_lease_and_a_bounded_number_of_requests() {
    let store = Arc::<Memory>::default();
    let one = Contender::start("one", &store);
    one.handle.stand(Epoch(0)).await;
    let first = one.leads().await;
    store.hangs.store(true, SeqCst);
    one.no_longer_leads().await;
    assert!(one.handle.confirm(first).is_err());
    // Long enough for many more requests than may be pending.
    tokio::time::sleep(Timing::AGGRESSIVE.request_timeout * 14).await;
    assert!((1..=8).contains(&store.hanging.load(SeqCst)), "{} hang", store.hanging.load(SeqCst));
    one.end().await;
}

#[test]
fn what_cannot_work_is_error() {
    let error = |change: fn(&mut Config)| {
        let mut config = Config {
            name: "a".into(),
            contact: String::new(),
            timing: Timing::DEFAULT,
            epochs: EpochStride::default(),
        };
        change(&mut config);
        service::new(config, Arc::new(Memory::default()), clock::system()).err().unwrap()
    };
    assert!(matches!(error(|config| config.name.clear()), InvalidConfig::Name));
    assert!(matches!(error(|config| config.name = "n".repeat(65)), InvalidConfig::Name));
    assert!(matches!(error(|config| config.contact = "c".repeat(257)), InvalidConfig::Contact));
    assert!(matches!(error(|config| config.timing.term = Duration::ZERO), InvalidConfig::Timing(_)));
}
