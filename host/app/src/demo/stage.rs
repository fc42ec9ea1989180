//! What every part of the demo has at hand.

use crate::{
    demo::{airports::Airports, feast::Route},
    failure::Failure,
    local::{Child, Cluster, Regions},
    plain_http::Http,
    project,
};
use std::path::PathBuf;

/// The routes that the demo looks at: busy ones, a long one, a short one, and one out of a storm.
pub const ROUTES: [Route; 6] =
    [("ORD", "LAX"), ("ORD", "BOS"), ("JFK", "LAX"), ("SFO", "LAX"), ("HNL", "OGG"), ("DFW", "CMH")];

/// The hour at which the demo's passengers want to leave.
pub const HOUR: i64 = 17;

/// What every part of the demo has at hand.
pub struct Stage {
    /// The project's root.
    pub project: PathBuf,
    /// Where the nodes keep their data.
    pub dir: PathBuf,
    /// Plain HTTP.
    pub http: Http,
    /// Names of airports.
    pub airports: Airports,
    /// The freshness token of the last write: what every edge must have in the end.
    pub token: String,
    cluster: Option<Cluster>,
    regions: Option<Regions>,
}

impl Stage {
    /// Nothing runs yet.
    ///
    /// # Errors
    /// When the project's files are not found.
    pub fn new(dir: PathBuf) -> Result<Self, Failure> {
        let project = project::root()?;
        let airports = Airports::read(&project.join("tests/fixtures/flights/airports.csv"))?;
        Ok(Self { project, dir, http: Http::new(), airports, token: String::new(), cluster: None, regions: None })
    }

    /// The sample's Parquet file of a view.
    pub fn sample(&self, view: &str) -> PathBuf {
        self.project.join(format!("tests/fixtures/flights/{view}_last_week.parquet"))
    }

    /// Takes the running nodes.
    pub fn set_cluster(&mut self, cluster: Cluster) {
        self.cluster = Some(cluster);
    }

    /// The running nodes.
    ///
    /// # Errors
    /// Before they were started.
    pub fn cluster(&mut self) -> Result<&mut Cluster, Failure> {
        self.cluster.as_mut().ok_or_else(|| Failure::refused("the nodes were not started"))
    }

    /// The leader's door.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn leader(&mut self) -> Result<String, Failure> {
        Ok(self.cluster()?.leader.url())
    }

    /// Every edge: its name and its door.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn edges(&mut self) -> Result<Vec<(String, String)>, Failure> {
        Ok(self.cluster()?.edges.iter().map(|edge| (edge.ready.name.clone(), edge.url())).collect())
    }

    /// The first edge's door.
    ///
    /// # Errors
    /// Before the nodes were started.
    pub fn first_edge(&mut self) -> Result<String, Failure> {
        let first = self.cluster()?.edges.first().map(Child::url);
        first.ok_or_else(|| Failure::refused("there is no edge"))
    }

    /// Takes the running regions.
    pub fn set_regions(&mut self, regions: Regions) {
        self.regions = Some(regions);
    }

    /// The running regions.
    ///
    /// # Errors
    /// Before they were started.
    pub fn regions(&mut self) -> Result<&mut Regions, Failure> {
        self.regions.as_mut().ok_or_else(|| Failure::refused("the regions were not started"))
    }

    /// The door of the router before them.
    ///
    /// # Errors
    /// Before they were started.
    pub fn router(&mut self) -> Result<String, Failure> {
        Ok(self.regions()?.router.url())
    }

    /// Stops the first act's nodes.
    pub async fn next_act(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await;
        }
    }

    /// Stops what runs.
    pub async fn close(&mut self) {
        self.next_act().await;
        if let Some(regions) = self.regions.take() {
            regions.stop().await;
        }
    }
}
