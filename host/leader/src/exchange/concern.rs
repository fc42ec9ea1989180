//! What other regions have made durable, and writes that wait for that.

use littoral_model::{position::Lsn, region::Region};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

/// Up to where of our log each other region's leader has everything durably, as it says.
#[derive(Debug)]
pub(crate) struct Taken(watch::Sender<BTreeMap<Region, Lsn>>);

impl Default for Taken {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }
}

impl Taken {
    pub(crate) fn by(&self, region: Region) -> Option<Lsn> {
        self.0.borrow().get(&region).copied()
    }

    /// A region says that it has everything up to `lsn`. It may have begun its log anew and then say less than before.
    pub(crate) fn said(&self, region: Region, lsn: Lsn) {
        self.0.send_if_modified(|taken| taken.insert(region, lsn) != Some(lsn));
    }

    /// Waits until at least `count` regions have everything up to `lsn`.
    ///
    /// # Errors
    /// Those that had it when the time was over.
    pub(crate) async fn reached(&self, lsn: Lsn, count: u8, wait_max: Duration) -> Result<(), Vec<Region>> {
        let having = |taken: &BTreeMap<Region, Lsn>| -> Vec<Region> {
            taken.iter().filter(|(_, has)| **has >= lsn).map(|(region, _)| *region).collect()
        };
        let mut changes = self.0.subscribe();
        let enough = changes.wait_for(|taken| having(taken).len() >= usize::from(count));
        match tokio::time::timeout(wait_max, enough).await {
            Ok(Ok(_)) => Ok(()),
            // The sender is ours, so only the time can be over.
            _ => Err(having(&self.0.borrow())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_waits_until_enough_regions_have_it() {
        let taken = Taken::default();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        taken.said(a, Lsn(7));
        let soon = Duration::from_millis(20);
        assert_eq!(taken.reached(Lsn(7), 1, soon).await, Ok(()));
        assert_eq!(taken.reached(Lsn(7), 2, soon).await, Err(vec![a]));
        assert_eq!(taken.reached(Lsn(8), 1, soon).await, Err(vec![]));
        let (waited, ()) = tokio::join!(taken.reached(Lsn(8), 2, Duration::from_secs(60)), async {
            taken.said(a, Lsn(9));
            taken.said(b, Lsn(8));
        });
        assert_eq!(waited, Ok(()));
        taken.said(b, Lsn(1));
        assert_eq!(taken.reached(Lsn(8), 2, soon).await, Err(vec![a]), "its log was begun anew");
    }
}
