//! Metrics of reads, by view. The handles are prepared once per plan, as a search by labels costs more than a count.

use super::blocks::Block;
use littoral_model::{catalogue::Catalogue, column::Status, event_time::EventTime, project, read::age};
use littoral_read::{Plan, plan::Output};
use littoral_runtime::metrics::label;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The statuses, in the order in which [`Block::counts`] counts them.
const STATUSES: [Status; Block::STATUSES] =
    [Status::Present, Status::NullValue, Status::NotFound, Status::OutsideMaxAge, Status::Unknown];

/// The bounds with which Feast labels the number of features.
const FEATURE_COUNT_BOUNDS: [usize; 3] = [10, 50, 200];

/// The metrics of the reads of a plan.
pub(super) struct Meter {
    lookups: Vec<Lookup>,
    feature_count: usize,
    view_count: usize,
    feast: OnceLock<Feast>,
}

/// The metrics of a lookup's view.
struct Lookup {
    /// The label of its stored name, so that views of different projects have series of their own.
    view: Arc<str>,
    /// The number of the answer's columns that are features of this lookup.
    columns: u64,
    /// `None` if an earlier lookup of the plan reads the same view.
    seconds: Option<Histogram>,
    values: [Counter; Block::STATUSES],
}

/// The metrics under Feast's names.
struct Feast {
    /// Per lookup: values that are present, values that are not, and the age of the newest row.
    lookups: Vec<([Counter; 2], Gauge)>,
    seconds: Histogram,
}

impl Meter {
    pub(super) fn new(plan: &Plan, catalogue: &Catalogue) -> Self {
        let features = || {
            plan.outputs
                .iter()
                .filter_map(|output| if let Output::Feature(cell) = output { Some(cell.lookup) } else { None })
        };
        let mut lookups: Vec<Lookup> = Vec::with_capacity(plan.lookups.len());
        for (at, lookup) in plan.lookups.iter().enumerate() {
            let view = catalogue.view_by_id(lookup.view).map(|view| catalogue.stored_name(&view.name));
            let view: Arc<str> = label(&view.unwrap_or_default()).into();
            let seconds = (!lookups.iter().any(|earlier| earlier.view == view))
                .then(|| histogram!("littoral_door_view_read_seconds", "view" => view.to_string()));
            let values = STATUSES.map(|status| {
                counter!("littoral_door_values_total", "view" => view.to_string(), "status" => status.as_str())
            });
            let columns = features().filter(|lookup| *lookup == at).count() as u64;
            lookups.push(Lookup { view, columns, seconds, values });
        }
        let (feature_count, view_count) = (features().count(), plan.views.len());
        Self { lookups, feature_count, view_count, feast: OnceLock::new() }
    }

    /// Counts the values of an answer. `feast` also counts them under Feast's names.
    pub(super) fn count(&self, blocks: &[Block], now: EventTime, feast: bool) {
        for (lookup, block) in self.lookups.iter().zip(blocks) {
            for (counter, count) in lookup.values.iter().zip(block.counts(lookup.columns)) {
                if count > 0 {
                    counter.increment(count);
                }
            }
        }
        if !feast {
            return;
        }
        for ((lookup, block), (values, freshness)) in self.lookups.iter().zip(blocks).zip(&self.feast().lookups) {
            // To Feast a null of a row that it holds is present.
            let [present, null, absent @ ..] = block.counts(lookup.columns);
            values[0].increment(present + null);
            values[1].increment(absent.iter().sum());
            if let Some(newest) = block.newest() {
                freshness.set(age(newest, now).as_secs_f64());
            }
        }
    }

    /// Records the duration of a read.
    pub(super) fn took(&self, duration: Duration, feast: bool) {
        for seconds in self.lookups.iter().filter_map(|lookup| lookup.seconds.as_ref()) {
            seconds.record(duration.as_secs_f64());
        }
        if feast {
            self.feast().seconds.record(duration.as_secs_f64());
        }
    }

    fn feast(&self) -> &Feast {
        self.feast.get_or_init(|| {
            let lookups = self.lookups.iter().map(|Lookup { view, .. }| {
                let values = ["present", "not_found"].map(|status| {
                    counter!("feast_online_features_status_total", "feature_view" => view.to_string(), "status" => status)
                });
                let (project, name) = project::split(view);
                let labels = [("feature_view", name.to_owned()), ("project", project.to_owned())];
                (values, gauge!("feast_feature_freshness_seconds", &labels))
            });
            let labels = [
                ("endpoint", "/get-online-features".to_owned()),
                ("feature_count", feature_count(self.feature_count)),
                ("feature_view_count", self.view_count.min(100).to_string()),
            ];
            Feast { lookups: lookups.collect(), seconds: histogram!("feast_feature_server_request_latency_seconds", &labels) }
        })
    }
}

/// Returns the range of a number of features, as Feast labels it.
fn feature_count(count: usize) -> String {
    if count == 0 {
        return "0".to_owned();
    }
    let mut lower = 1;
    for upper in FEATURE_COUNT_BOUNDS {
        if count <= upper {
            return format!("{lower}-{upper}");
        }
        lower = upper + 1;
    }
    format!("{lower}+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_features_are_labelled_as_feast_does() {
        let labels = [0, 1, 10, 11, 50, 200, 201].map(feature_count);
        assert_eq!(labels, ["0", "1-10", "1-10", "11-50", "11-50", "51-200", "201+"]);
    }

    #[test]
    fn statuses_are_in_the_order_in_which_they_are_counted() {
        assert!(STATUSES.iter().enumerate().all(|(at, status)| *status as usize == at));
    }
}
