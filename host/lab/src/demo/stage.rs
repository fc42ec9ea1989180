//! The state that all steps of the demo share.

use crate::{
    demo::{airports::Airports, feast::Route},
    failure::Failure,
    local::{Child, Cluster, Regions},
    plain_http::Http,
};
use littoral_provision::project;
use std::path::PathBuf;

/// The definitions that the demo applies.
pub const DEFINITIONS: &str = "edge-config/feature-views.toml";

/// The regions that the second act runs.
pub const TOPOLOGY: &str = "edge-config/topology-us-regions.toml";

/// The source of the module that the demo builds and uploads.
pub const MODULE: &str = "guest/modules/delay_risk";

const AIRPORTS: &str = "tests/fixtures/flights/airports.csv";
const HOURLY: &str = "tests/fixtures/flights/airport_hourly_last_week.parquet";
const DAILY: &str = "tests/fixtures/flights/route_daily_last_week.parquet";

/// The routes that the demo reads: busy ones, a long one, a short one, and one out of a storm.
pub const ROUTES: [Route; 6] =
    [("ORD", "LAX"), ("ORD", "BOS"), ("JFK", "LAX"), ("SFO", "LAX"), ("HNL", "OGG"), ("DFW", "CMH")];

/// The hour at which the demo's passengers want to leave.
pub const HOUR: i64 = 17;

/// The state that all steps of the demo share.
pub struct Stage {
    /// The project's root.
    pub project: PathBuf,
    /// Where the nodes keep their data.
    pub dir: PathBuf,
    /// Plain HTTP.
    pub http: Http,
    /// Names of airports.
    pub airports: Airports,
    /// The freshness token of the last write, which every edge must reach in the end.
    pub token: String,
    cluster: Option<Cluster>,
    regions: Option<Regions>,
}

impl Stage {
    /// Returns a stage on which nothing runs yet.
    ///
    /// # Errors
    /// When the project is not found or lacks files that the demo needs; the message names them.
    pub fn new(dir: PathBuf) -> Result<Self, Failure> {
        let needed = [DEFINITIONS, TOPOLOGY, MODULE, "guest/sdk", "wit", AIRPORTS, HOURLY, DAILY];
        let project =
            project::with(&needed).map_err(|missing| Failure::usage(format!("the demo cannot run: {missing}")))?;
        let airports = Airports::read(&project.join(AIRPORTS))?;
        Ok(Self { project, dir, http: Http::new(), airports, token: String::new(), cluster: None, regions: None })
    }

    /// Returns the path of the sample's Parquet file of a view.
    pub fn sample(&self, view: &str) -> PathBuf {
        self.project.join(if view == "route_daily" { DAILY } else { HOURLY })
    }

    /// Keeps the running nodes.
    pub fn set_cluster(&mut self, cluster: Cluster) {
        self.cluster = Some(cluster);
    }

    /// Returns the running nodes.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn cluster(&mut self) -> Result<&mut Cluster, Failure> {
        self.cluster.as_mut().ok_or_else(|| Failure::rejected("the nodes were not started"))
    }

    /// Returns the leader's URL.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn leader(&mut self) -> Result<String, Failure> {
        Ok(self.cluster()?.leader.url())
    }

    /// Returns the name and URL of every edge.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn edges(&mut self) -> Result<Vec<(String, String)>, Failure> {
        Ok(self.cluster()?.edges.iter().map(|edge| (edge.ready.name.clone(), edge.url())).collect())
    }

    /// Returns the first edge's URL.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn first_edge(&mut self) -> Result<String, Failure> {
        let first = self.cluster()?.edges.first().map(Child::url);
        first.ok_or_else(|| Failure::rejected("there is no edge"))
    }

    /// Keeps the running regions.
    pub fn set_regions(&mut self, regions: Regions) {
        self.regions = Some(regions);
    }

    /// Returns the running regions.
    ///
    /// # Errors
    /// Before the regions were started.
    pub fn regions(&mut self) -> Result<&mut Regions, Failure> {
        self.regions.as_mut().ok_or_else(|| Failure::rejected("the regions were not started"))
    }

    /// Returns the door of the router in front of the regions.
    ///
    /// # Errors
    /// Before the regions were started.
    pub fn router(&mut self) -> Result<String, Failure> {
        self.regions()?.router_url()
    }

    /// Stops the first act's nodes.
    pub async fn next_act(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await;
        }
    }

    /// Stops all that runs.
    pub async fn close(&mut self) {
        self.next_act().await;
        if let Some(regions) = self.regions.take() {
            regions.stop().await;
        }
    }
}
