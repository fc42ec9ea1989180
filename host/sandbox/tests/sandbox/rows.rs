//! A replica of a few airports, with every kind of answer.

use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    ports::{BoxFuture, FeatureReader},
    position::Lsn,
    read::{ReadAnswer, ReadError, ReadRequest},
    region::Region,
    row::{Row, RowMeta},
    row_body::BodyBuilder,
    value::{Value, ValueType},
    version::Version,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The time of every call.
pub const NOW: EventTime = EventTime(1_700_000_000_000_000_000);
/// How old a row of `airport_hourly` may be.
pub const TTL_MS: u64 = 3_600_000;

/// How the replica answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// At once.
    Now,
    /// After a remote request.
    Later,
    /// After a slow remote answer.
    Slowly,
    /// It is unknown whether the rows exist.
    Unknown,
    /// Never.
    Never,
    /// Once [`Rows::release`] was called.
    WhenReleased,
    /// With an error.
    Fails,
}

/// A replica.
pub struct Rows {
    catalogue: Arc<Catalogue>,
    rows: HashMap<Vec<u8>, Row>,
    answers: Answers,
    waiting: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

fn view(id: u32, name: &str, keys: &[&str], features: &[(&str, ValueType)]) -> FeatureView {
    let key = |name: &&str| JoinKey { name: (*name).into(), entity: (*name).into(), value_type: ValueType::String };
    FeatureView {
        id: ViewId(id),
        name: name.into(),
        join_keys: keys.iter().map(key).collect(),
        features: features.iter().map(|(name, t)| Feature { name: (*name).into(), value_type: *t }).collect(),
        ttl_ms: Some(TTL_MS),
        merge: MergePolicy::LatestEvent,
    }
}

/// The view that guests look up.
pub fn airport_hourly() -> FeatureView {
    let features = [
        ("departures_24h", ValueType::Int64),
        ("delayed_24h", ValueType::Int64),
        ("mean_delay_24h", ValueType::Float),
        ("notes", ValueType::String),
    ];
    view(1, "airport_hourly", &["airport"], &features)
}

impl Rows {
    /// Creates the replica: SFO's row is fresh, LAX's has expired, JFK's mean is null.
    pub fn new(answers: Answers) -> Arc<Self> {
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::PutView(airport_hourly()));
        catalogue.apply(&CatalogueChange::PutView(view(
            2,
            "route_daily",
            &["destination", "origin"],
            &[("mean_delay_24h", ValueType::Float)],
        )));
        let mut rows = Self {
            catalogue: Arc::new(catalogue),
            rows: HashMap::new(),
            answers,
            waiting: watch::Sender::default(),
            released: watch::Sender::default(),
        };
        rows.put("SFO", Value::Float(12.5), NOW);
        rows.put("LAX", Value::Float(7.5), EventTime(NOW.0 - (TTL_MS as i64 + 1) * 1_000_000));
        rows.put("JFK", Value::Null, NOW);
        Arc::new(rows)
    }

    /// Returns once this many reads wait for the release.
    pub async fn waiting(&self, times: usize) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= times).await;
    }

    /// Answers the waiting reads, and later ones at once.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    fn put(&mut self, airport: &str, mean: Value, event_time: EventTime) {
        let values = [Value::Int64(100), Value::Int64(20), mean, Value::String("x".repeat(1_000))];
        let mut body = BodyBuilder::new(values.len());
        for (value, feature) in values.iter().zip(airport_hourly().features) {
            body.push(feature.value_type, value).unwrap();
        }
        let version = Version { hlc: Hlc::new(1, 0), region: Region::NONE };
        let meta = RowMeta { view: ViewId(1), event_time, version, lsn: Lsn(1) };
        let mut key = Vec::new();
        littoral_model::entity_key::push_bytes(&mut key, airport.as_bytes());
        let row = Row::new(meta, &key, Some(&body.finish().unwrap()));
        self.rows.insert(key, row);
    }

    fn answer(&self, request: &ReadRequest) -> ReadAnswer {
        let rows = request.reads.iter().map(|read| read.keys.iter().map(|key| self.rows.get(key).cloned()).collect());
        ReadAnswer { rows: rows.collect(), ..ReadAnswer::default() }
    }
}

impl FeatureReader for Rows {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.clone()
    }

    fn regions(&self) -> Vec<Region> {
        Vec::new()
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        if self.answers == Answers::Now {
            *answer = self.answer(request);
        }
        self.answers == Answers::Now
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move {
            match self.answers {
                Answers::Now | Answers::Later => {
                    tokio::task::yield_now().await;
                    Ok(self.answer(request))
                }
                Answers::Slowly => {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    Ok(self.answer(request))
                }
                Answers::Unknown => {
                    let rows: Vec<Vec<_>> = request.reads.iter().map(|read| vec![None; read.keys.len()]).collect();
                    let unknown = (0..rows.len() as u32)
                        .flat_map(|read| (0..rows[read as usize].len() as u32).map(move |key| (read, key)));
                    Ok(ReadAnswer { unknown: unknown.collect(), rows, ..ReadAnswer::default() })
                }
                Answers::Never => std::future::pending().await,
                Answers::WhenReleased => {
                    self.waiting.send_modify(|waiting| *waiting += 1);
                    let _ = self.released.subscribe().wait_for(|released| *released).await;
                    Ok(self.answer(request))
                }
                Answers::Fails => Err(ReadError::LeaderUnavailable("it is on fire".into())),
            }
        })
    }
}
