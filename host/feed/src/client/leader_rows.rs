//! Rows that a leader returned.

use littoral_model::{
    freshness::{Freshness, ReadDemand, Source},
    lineage::RegionLineages,
    position::Position,
    read::{ReadAnswer, ReadError},
    region::Region,
    row::Row,
    token::Watermark,
};
use tokio::time::Instant;

/// Rows as the leader holds them.
#[derive(Clone, Debug)]
pub struct LeaderRows {
    /// The leader's last record, determined before it read the rows: they include everything up to here.
    pub as_of: Position,
    /// The watermark, which includes the other regions.
    pub watermark: Watermark,
    /// For each read and key the row; `None` if there is none.
    pub rows: Vec<Vec<Option<Row>>>,
}

impl LeaderRows {
    /// Returns the rows as the answer to a read, if they include the demanded token by the known lineages. `region` is
    /// the leader's region; `asked_at` is the time before the request was sent: the leader has read the rows after it,
    /// so the time since then bounds the staleness.
    ///
    /// # Errors
    /// [`ReadError::NotFreshEnough`].
    pub fn into_answer(
        self,
        (region, lineages): (Option<Region>, &RegionLineages),
        demand: &ReadDemand,
        source: Source,
        asked_at: Instant,
    ) -> Result<ReadAnswer, ReadError> {
        let mut reached = self.watermark.clone();
        if let Some(region) = region {
            lineages.raise(&mut reached, region, self.as_of);
        }
        if let Some(token) = &demand.at_least
            && !lineages.covers(&reached, token)
        {
            return Err(ReadError::NotFreshEnough {
                wanted: format!("at least '{token}'"),
                have: format!("the leader has '{}'", self.watermark),
            });
        }
        let rows = (self.rows.into_iter())
            .map(|rows| rows.into_iter().map(|row| row.filter(|row| !row.is_tombstone())).collect())
            .collect();
        let staleness = Some(asked_at.elapsed());
        let freshness =
            Freshness { position: self.as_of, watermark: self.watermark, staleness, source, ..Freshness::default() };
        Ok(ReadAnswer { rows, freshness, ..ReadAnswer::default() })
    }
}
