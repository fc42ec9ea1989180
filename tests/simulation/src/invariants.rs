//! The invariants after every event, each a function named as a sentence.

use crate::{
    edge::Edge,
    history::History,
    leader::{FULL, KEYS, RESIDENT, RESTRICTED, key},
    world::{EDGES, World, newest_life},
};
use littoral_edge_core::Replica;
use littoral_model::{
    position::{Epoch, Incarnation},
    view::ViewId,
};
use littoral_replica::Held;
use std::collections::BTreeSet;

impl World {
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for edge in 0..EDGES {
            self.a_replica_never_goes_back(edge)?;
            self.an_edge_outside_a_rule_holds_no_row_of_it(edge)?;
            let Some(replica) = self.edges[edge].replica().cloned() else { continue };
            let resume = replica.point.load().resume;
            let log = self.log_at(&replica);
            // An edge that has received nothing of the other history is still checked.
            let is_ambiguous = self.ambiguous.contains(&log);
            let is_checked = !is_ambiguous || !self.edges[edge].mixed;
            let Some(history) = self.histories.get(&log).filter(|_| is_checked) else { continue };
            if !history.holds(&resume) {
                return Err(format!("edge {edge} is at {}, which is not in its log", resume.position));
            }
            let state = &self.edges[edge];
            let corrected = a_full_view_is_the_history_as_of_its_position(edge, state, (&replica, FULL), history)?;
            if self.rule.is_some() && !state.is_outside() {
                a_full_view_is_the_history_as_of_its_position(edge, state, (&replica, RESTRICTED), history)?;
            }
            if replica.routes.load().get(&RESIDENT).is_some() {
                a_resident_row_is_never_older_than_the_position(edge, &replica, history)?;
            }
            // Within one life, what a leader lacks whose host was restored cannot be known.
            if !is_ambiguous || !self.reverted_lives.contains(&newest_life(&replica)) {
                a_read_never_claims_less_staleness_than_it_has(edge, &self.edges[edge], history)?;
            }
            self.edges[edge].forget_corrected(&corrected);
        }
        Ok(())
    }

    fn an_edge_outside_a_rule_holds_no_row_of_it(&self, edge: usize) -> Result<(), String> {
        let state = &self.edges[edge];
        let Some(replica) = state.replica().filter(|_| state.is_outside()) else { return Ok(()) };
        let held = (0..KEYS).find(|number| replica.table.held(RESTRICTED, &key(*number)).is_some());
        match held {
            Some(number) => Err(format!("edge {edge} holds key {number} of a view that its region may not hold")),
            None if state.has_leaked => Err(format!("edge {edge} publishes a row that its region may not hold")),
            None => Ok(()),
        }
    }

    fn a_replica_never_goes_back(&mut self, edge: usize) -> Result<(), String> {
        let Some(replica) = self.edges[edge].replica() else { return Ok(()) };
        let (position, log) = (replica.position(), self.log_at(replica));
        let (last_log, before) = self.last_positions[edge];
        if last_log == Some(log) && position.lsn < before && !self.ambiguous.contains(&log) {
            return Err(format!("edge {edge} went back from record {before} to {}", position.lsn));
        }
        self.last_positions[edge] = (Some(log), position.lsn);
        Ok(())
    }

    /// An edge may hold the last copy of a row: an empty log or another one does not replace its rows.
    pub(crate) fn rows_are_not_replaced_by_another_log_without_an_operator(
        &mut self,
        edge: usize,
    ) -> Result<(), String> {
        let Some(replica) = self.edges[edge].replica() else { return Ok(()) };
        let point = replica.point.load_full();
        let log = point.log();
        let (held, adopted) = &mut self.held_logs[edge];
        if held.is_some_and(|held| held != log) && !adopted.contains(&log) {
            return Err(format!(
                "edge {edge} replaced the rows of its log with those of log {log}, which no operator had it adopt"
            ));
        }
        *held = Some(log);
        Ok(())
    }

    pub(crate) fn an_older_epoch_is_never_followed(
        &mut self,
        edge: usize,
        log: Incarnation,
        epoch: Epoch,
    ) -> Result<(), String> {
        let log = self.log_of(log);
        let newest = self.edges[edge].epochs.entry(log).or_insert(epoch);
        if epoch < *newest {
            return Err(format!("edge {edge} follows epoch {epoch} after epoch {newest}"));
        }
        *newest = epoch;
        Ok(())
    }

    pub(crate) fn what_was_restored_is_the_history(&self) -> Result<(), String> {
        let head = self.leader.head().lsn;
        for view in [FULL, RESIDENT].into_iter().chain(self.rule.map(|_| RESTRICTED)) {
            for (index, key) in (0..KEYS).map(|index| (index, key(index))) {
                let held = self.leader.table.get(view, &key);
                if self.history().at(view, &key, head) != body(&held) {
                    return Err(format!("after a crash the leader's key {index} of view {view} is {held:?}"));
                }
            }
        }
        Ok(())
    }

    /// A round that found no difference was right.
    pub(crate) fn digests_equal_means_rows_equal(&self, edge: usize, at_start: &BTreeSet<u64>) -> Result<(), String> {
        let corrupted = &self.edges[edge].corrupted;
        let certain = self.edges[edge].replica().is_some_and(|replica| !self.ambiguous.contains(&self.log_at(replica)));
        match at_start.intersection(corrupted).find(|_| certain) {
            Some(number) => Err(format!("edge {edge}: key {number} was corrupted in memory and was found equal")),
            None => Ok(()),
        }
    }

    pub(crate) fn replicas_converge_once_the_network_heals(&self) -> Result<(), String> {
        let head = self.leader.head();
        for (number, edge) in self.edges.iter().enumerate() {
            let Some(replica) = edge.replica() else { return Err(format!("edge {number} has no data")) };
            let position = replica.position();
            if position != head {
                return Err(format!("edge {number} is at {position}, the leader at {head}"));
            }
            let certain = !self.ambiguous.contains(&self.log_at(replica));
            if let Some(key) = edge.corrupted.first().filter(|_| certain) {
                return Err(format!("edge {number}: key {key} was corrupted in memory and was never repaired"));
            }
            for view in [FULL].into_iter().chain(self.rule.filter(|_| !edge.is_outside()).map(|_| RESTRICTED)) {
                let full =
                    |table: &littoral_replica::Table| table.digests().into_iter().find(|digest| digest.view == view);
                let (ours, theirs) = (full(&replica.table), full(&self.leader.table));
                if theirs.is_some() && ours != theirs {
                    return Err(format!("edge {number}, view {view}: rows are equal but digests are not"));
                }
            }
        }
        Ok(())
    }
}

/// Returns the rows that were corrupted and are correct again. Until the snapshot's newest row is reached, rows may be
/// newer than the position.
fn a_full_view_is_the_history_as_of_its_position(
    number: usize,
    edge: &Edge,
    (replica, view): (&Replica, ViewId),
    history: &History,
) -> Result<BTreeSet<u64>, String> {
    let lsn = replica.position().lsn;
    let mut corrected = BTreeSet::new();
    for (index, key) in (0..KEYS).map(|index| (index, key(index))) {
        let held = replica.table.get(view, &key);
        let is_correct = if lsn < replica.exact_from() {
            history.since(view, &key, lsn).contains(&body(&held))
        } else {
            history.at(view, &key, lsn) == body(&held)
        };
        if is_correct {
            corrected.insert(index);
        } else if view != FULL || !edge.corrupted.contains(&index) {
            return Err(format!("edge {number}, key {index} of view {view}: {held:?} is not the history as of {lsn}"));
        }
    }
    Ok(corrected)
}

fn a_resident_row_is_never_older_than_the_position(
    number: usize,
    replica: &Replica,
    history: &History,
) -> Result<(), String> {
    let lsn = replica.position().lsn;
    for (index, key) in (0..KEYS).map(|index| (index, key(index))) {
        let held = replica.table.get(RESIDENT, &key);
        if !matches!(held, Held::Unknown) && !history.since(RESIDENT, &key, lsn).contains(&body(&held)) {
            return Err(format!("edge {number}, key {index}: {held:?} was outdated before {lsn}"));
        }
    }
    Ok(())
}

fn a_read_never_claims_less_staleness_than_it_has(number: usize, edge: &Edge, history: &History) -> Result<(), String> {
    let Some(fresh_at) = edge.fresh_at else { return Ok(()) };
    let required = history.acknowledged_before(fresh_at.saturating_sub(edge.clock));
    if edge.lsn() < required {
        return Err(format!("edge {number} at {} claims to have everything up to {required}", edge.lsn()));
    }
    Ok(())
}

fn body(held: &Held) -> Option<&[u8]> {
    match held {
        Held::Row(row) => Some(row.body()),
        Held::Absent | Held::Unknown => None,
    }
}
