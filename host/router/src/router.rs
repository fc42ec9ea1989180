//! What the doors of a router share: the fleet, the view that decisions are made by, places, and the budgets.

use crate::{
    board::Board,
    config::Config,
    database::Database,
    decision::{
        Moment,
        budget::Budget,
        fleet::{Event, Fleet},
        health::Finding,
        hedge::Durations,
        member::{Door, MemberId},
        outlier::Outcome,
        place::{Place, Places},
        subnets::Subnets,
    },
    topology::Topology,
};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often the view is made anew when nothing happens: shares of doors that come back grow with time.
const VIEW_EVERY: Duration = Duration::from_millis(100);

/// A router's state. Cloning shares it.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

struct Shared {
    config: Config,
    began: Instant,
    dice: AtomicU64,
    fleet: Mutex<Fleet>,
    board: ArcSwap<Board>,
    places: ArcSwap<Places<Database>>,
    trusted: Subnets<()>,
    spending: Mutex<Spending>,
    /// What was last wrong with the topology's file.
    topology_problem: ArcSwap<Option<String>>,
}

struct Spending {
    retries: Budget,
    hedges: Budget,
    reads: Durations,
    hedge_after: Option<Duration>,
    until_hedge_after: u32,
}

/// Reads after which the hedging delay is computed anew.
const HEDGE_AFTER_EVERY: u32 = 64;

// === impl Router ===

impl Router {
    /// A router of this topology, which knows nothing of its doors yet.
    ///
    /// # Errors
    /// When the place database cannot be opened; says which, why, and what to do.
    pub fn new(config: Config, topology: Topology) -> Result<Self, String> {
        let fleet = Fleet::new(Arc::new(topology), config.health.clone(), config.outlier.clone());
        let places = places(&config)?;
        let spending = Spending {
            retries: Budget::new(&config.retry),
            hedges: Budget::new(&config.hedge.budget()),
            reads: Durations::default(),
            hedge_after: None,
            until_hedge_after: 0,
        };
        let board = Board::new(fleet.view(Moment::ZERO), None);
        Ok(Self(Arc::new(Shared {
            trusted: config.place.trusted_proxies.iter().map(|network| (*network, ())).collect(),
            began: Instant::now(),
            dice: AtomicU64::new(std::process::id().into()),
            fleet: Mutex::new(fleet),
            board: ArcSwap::from_pointee(board),
            places: ArcSwap::from_pointee(places),
            spending: Mutex::new(spending),
            topology_problem: ArcSwap::from_pointee(None),
            config,
        })))
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The moment that it is.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.began.elapsed()
    }

    /// A number that no other call gets.
    #[must_use]
    pub fn dice(&self) -> u64 {
        // Neighbouring numbers make unlike dice.
        self.0.dice.fetch_add(1, Relaxed)
    }

    /// The view and the counts, as of a moment ago.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        self.0.board.load_full()
    }

    /// Where an address is.
    #[must_use]
    pub fn place_of(&self, address: IpAddr) -> Place {
        self.0.places.load().of(address)
    }

    /// For how many bits of a network's address its place holds.
    #[must_use]
    pub fn scope_of(&self, network: IpNet, place: &Place) -> u8 {
        self.0.places.load().scope_of(network, place)
    }

    /// Whether addresses make any difference.
    #[must_use]
    pub fn tells_addresses_apart(&self) -> bool {
        self.0.places.load().tell_addresses_apart()
    }

    /// Networks whose `x-forwarded-for` is believed.
    #[must_use]
    pub fn trusted(&self) -> &Subnets<()> {
        &self.0.trusted
    }

    /// What is wrong with the topology's file, if something is.
    #[must_use]
    pub fn topology_problem(&self) -> Option<String> {
        self.0.topology_problem.load().as_ref().clone()
    }

    /// Every door as of now.
    #[must_use]
    pub fn doors(&self) -> Vec<Arc<Door>> {
        self.0.fleet.lock().doors().cloned().collect()
    }

    /// Takes another topology.
    pub fn adopt(&self, topology: Topology) {
        let name = topology.name.clone();
        let mut fleet = self.0.fleet.lock();
        if **fleet.topology() != topology {
            fleet.adopt(Arc::new(topology), self.now());
            self.publish(&fleet);
            tracing::info!(topology = name, "the topology is in effect");
            metrics::counter!("littoral_router_topology_changes_total").increment(1);
        }
        drop(fleet);
        self.0.topology_problem.store(Arc::new(None));
    }

    /// The topology's file is at fault; the last valid one stays.
    pub fn refuse_topology(&self, problem: String) {
        tracing::error!(problem, "the topology file is not taken; the last valid topology stays in effect");
        metrics::counter!("littoral_router_topology_refused_total").increment(1);
        self.0.topology_problem.store(Arc::new(Some(problem)));
    }

    /// Reads the place database anew.
    ///
    /// # Errors
    /// As [`Router::new`]; the last one stays.
    pub fn reload_places(&self) -> Result<(), String> {
        self.0.places.store(Arc::new(places(&self.0.config)?));
        Ok(())
    }

    /// A door was probed.
    pub fn probed(&self, id: MemberId, finding: Finding, took: Option<Duration>) {
        let mut fleet = self.0.fleet.lock();
        if let Some(event) = fleet.probed(id, finding, took, self.now()) {
            self.publish(&fleet);
            drop(fleet);
            tell(&event);
        }
    }

    /// A door's answer says that its node is about to stop.
    pub fn is_draining(&self, id: MemberId) {
        self.probed(id, Finding::Draining, None);
    }

    /// Whether a door may get requests as things are.
    #[must_use]
    pub fn keeps_its_place(&self, id: MemberId) -> bool {
        self.0.fleet.lock().keeps_its_place(id, self.now())
    }

    /// A request to a door ended.
    pub fn recorded(&self, id: MemberId, outcome: Outcome) {
        let mut fleet = self.0.fleet.lock();
        if let Some(event) = fleet.recorded(id, outcome, self.now()) {
            self.publish(&fleet);
            drop(fleet);
            tell(&event);
        }
    }

    /// Keeps the view up with time, until dropped.
    pub async fn keep_up(self) {
        let mut tick = tokio::time::interval(VIEW_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            let events = {
                let mut fleet = self.0.fleet.lock();
                let events = fleet.returns(self.now());
                self.publish(&fleet);
                events
            };
            events.iter().for_each(tell);
            let usable = self.board().view.members.iter().filter(|member| member.usable).count();
            metrics::gauge!("littoral_router_doors_usable").set(usable as f64);
        }
    }

    /// A request was made: the budgets grow.
    pub fn deposit(&self) {
        let mut spending = self.0.spending.lock();
        spending.retries.deposit();
        spending.hedges.deposit();
    }

    /// Whether there is a retry left to make.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        self.0.spending.lock().retries.withdraw()
    }

    /// Whether there is a hedge left to make.
    #[must_use]
    pub fn may_hedge(&self) -> bool {
        self.0.spending.lock().hedges.withdraw()
    }

    /// After how long a read is slow.
    #[must_use]
    pub fn hedge_after(&self) -> Option<Duration> {
        self.0.spending.lock().hedge_after
    }

    /// A read took so long.
    pub fn read_took(&self, took: Duration) {
        let mut spending = self.0.spending.lock();
        spending.reads.observe(took);
        if spending.until_hedge_after == 0 {
            spending.until_hedge_after = HEDGE_AFTER_EVERY;
            spending.hedge_after = self.0.config.hedge.delay(&spending.reads);
        }
        spending.until_hedge_after -= 1;
    }

    /// Makes the fleet's state the one that decisions are made by. With the fleet's lock held, so that views come out in
    /// order.
    fn publish(&self, fleet: &Fleet) {
        let old = self.0.board.load();
        self.0.board.store(Arc::new(Board::new(fleet.view(self.now()), Some(&old))));
    }
}

fn places(config: &Config) -> Result<Places<Database>, String> {
    let open = |path: &std::path::PathBuf| {
        Database::open(path).map_err(|error| {
            format!(
                "place.database: {} cannot be used: {error}; name a MaxMind DB file, or leave the key out",
                path.display()
            )
        })
    };
    let subnets = config.place.subnets.iter().filter_map(|subnet| {
        let coordinates = crate::decision::coordinates::Coordinates::new(subnet.latitude, subnet.longitude).ok()?;
        Some((subnet.network, coordinates))
    });
    Ok(Places {
        subnets: subnets.collect(),
        database: config.place.database.as_ref().map(open).transpose()?,
        fallback: config.place.fallback,
    })
}

fn tell(event: &Event) {
    match event {
        Event::Health { door, was, is } => {
            tracing::info!(region = %door.region, node = door.name, door = door.address, was = was.as_str(), is = is.as_str(), "health changed");
            metrics::counter!("littoral_router_health_changes_total", "to" => is.as_str()).increment(1);
        }
        Event::Ejected { door, lasts } => {
            tracing::warn!(region = %door.region, node = door.name, door = door.address, ?lasts, "ejected, as its requests fail");
            metrics::counter!("littoral_router_ejections_total").increment(1);
        }
        Event::Left { region, lasts } => {
            tracing::warn!(%region, ?lasts, "left as a whole, as the requests of too many of its doors fail");
            metrics::counter!("littoral_router_regions_left_total").increment(1);
        }
        Event::Retried { region } => {
            tracing::info!(%region, "is tried again; it returns slowly");
        }
        Event::Returned { door } => {
            tracing::info!(region = %door.region, node = door.name, door = door.address, "its ejection is over; it returns slowly");
        }
    }
}
