//! Rows that were asked of a leader.

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

/// Rows as the leader has them.
#[derive(Clone, Debug)]
pub struct LeaderRows {
    /// The leader's last record, taken before it read: everything up to here is in the rows.
    pub as_of: Position,
    /// The same for every region.
    pub watermark: Watermark,
    /// Per read, per key: the row; `None` where there is none.
    pub rows: Vec<Vec<Option<Row>>>,
}

impl LeaderRows {
    /// Them as an answer to a read, if the demanded token is in it, by the histories that are known. `region` is the leader's, `asked_at` when it was asked: it
    /// has read after that.
    ///
    /// # Errors
    /// [`ReadError::NotFreshEnough`].
    pub fn into_answer(
        self,
        (region, lives): (Option<Region>, &RegionLineages),
        demand: &ReadDemand,
        source: Source,
        asked_at: Instant,
    ) -> Result<ReadAnswer, ReadError> {
        let mut reached = self.watermark.clone();
        if let Some(region) = region {
            lives.raise(&mut reached, region, self.as_of);
        }
        if let Some(token) = &demand.at_least
            && !lives.covers(&reached, token)
        {
            return Err(ReadError::NotFreshEnough {
                wanted: format!("at least '{token}' was demanded"),
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
