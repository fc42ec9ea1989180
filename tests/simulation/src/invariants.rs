//! What must hold after every event, each a function that is named as a sentence.

use crate::{
    leader::{FULL, KEYS, RESIDENT, key},
    world::{EDGES, World},
};
use littoral_replica::Held;

impl World {
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for edge in 0..EDGES {
            self.a_replica_never_goes_back(edge)?;
            let of_this_log = self.edges[edge]
                .replica
                .as_ref()
                .is_some_and(|(_, resume)| resume.position.incarnation == self.leader.head().incarnation);
            if of_this_log {
                self.a_full_view_is_the_history_as_of_its_position(edge)?;
                self.a_resident_row_is_never_older_than_the_position(edge)?;
                self.a_read_never_claims_less_staleness_than_it_has(edge)?;
            }
        }
        Ok(())
    }

    fn a_replica_never_goes_back(&mut self, edge: usize) -> Result<(), String> {
        let Some((_, resume)) = &self.edges[edge].replica else { return Ok(()) };
        let (incarnation, lsn) = (Some(resume.position.incarnation), resume.position.lsn);
        let (seen, before) = self.seen[edge];
        if seen == incarnation && lsn < before {
            return Err(format!("edge {edge} went back from record {before} to {lsn}"));
        }
        self.seen[edge] = (incarnation, lsn);
        Ok(())
    }

    fn a_full_view_is_the_history_as_of_its_position(&self, edge: usize) -> Result<(), String> {
        let Some((table, resume)) = &self.edges[edge].replica else { return Ok(()) };
        for key in (0..KEYS).map(key) {
            let expected = self.history.at(FULL, &key, resume.position.lsn).and_then(|commit| commit.body.as_deref());
            let held = table.get(FULL, &key);
            if body(&held) != expected {
                return Err(format!("edge {edge}, {key:?}: {held:?} is not the history as of {}", resume.position.lsn));
            }
        }
        Ok(())
    }

    fn a_resident_row_is_never_older_than_the_position(&self, edge: usize) -> Result<(), String> {
        let Some((table, resume)) = &self.edges[edge].replica else { return Ok(()) };
        for key in (0..KEYS).map(key) {
            let held = table.get(RESIDENT, &key);
            if matches!(held, Held::Unknown) {
                continue;
            }
            let states = self.history.since(RESIDENT, &key, resume.position.lsn);
            if !states.iter().any(|state| state.and_then(|commit| commit.body.as_deref()) == body(&held)) {
                return Err(format!("edge {edge}, {key:?}: {held:?} was overtaken before {}", resume.position.lsn));
            }
        }
        Ok(())
    }

    fn a_read_never_claims_less_staleness_than_it_has(&self, edge: usize) -> Result<(), String> {
        let edge_state = &self.edges[edge];
        let Some(fresh_at) = edge_state.staleness.fresh_at() else { return Ok(()) };
        let owed = self.history.acknowledged_before(fresh_at.saturating_sub(edge_state.clock));
        if edge_state.lsn() < owed {
            return Err(format!("edge {edge} at {} claims to have all up to {owed}", edge_state.lsn()));
        }
        Ok(())
    }

    pub(crate) fn replicas_converge_once_the_network_heals(&self) -> Result<(), String> {
        let head = self.leader.head();
        for (number, edge) in self.edges.iter().enumerate() {
            let Some((table, resume)) = &edge.replica else { return Err(format!("edge {number} has nothing")) };
            if resume.position != head {
                return Err(format!("edge {number} stands at {}, the leader at {head}", resume.position));
            }
            let full = |table: &littoral_replica::Table| table.digests().into_iter().find(|digest| digest.view == FULL);
            let (ours, theirs) = (full(table), full(&self.leader.table));
            if theirs.is_some() && ours != theirs {
                return Err(format!("edge {number}: rows are equal and digests are not"));
            }
        }
        Ok(())
    }
}

fn body(held: &Held) -> Option<&[u8]> {
    match held {
        Held::Row(row) => Some(row.body()),
        Held::Absent | Held::Unknown => None,
    }
}
