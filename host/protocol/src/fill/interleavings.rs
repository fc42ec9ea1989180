//! Explores every interleaving of fills, feed and eviction over one stripe, with small numbers of
//! each.
//!
//! The leader commits records to two keys of one stripe. The feed applies them in order. A fill
//! queries the leader, which reads atomically at its head, and inserts the row some time later; a
//! rejected fill queries again. An eviction may remove the row at any time. After every step, the
//! replica's row for a key is no older than what the feed has applied to the key. At the end, when
//! the feed has applied everything and every fill has ended, the replica holds what the leader
//! has.
//!
//! The test without the check (`Rule::Unchecked`) shows that the exploration finds the fault: a
//! fill queries, the leader answers "version 1 as of record 1", the leader commits record 2 (or
//! deletes the row), the feed applies record 2 to a replica that does not hold the key (so there
//! is nothing to update), and the fill inserts version 1. No later record corrects the row.

use super::Stripe;
use littoral_model::position::Lsn;
use std::collections::HashSet;

const KEYS: usize = 2;
const FILLS: usize = 2;

/// Records: each has a key, and a value or a deletion. A record's LSN is its index plus one.
type Log = &'static [(usize, Option<u8>)];

/// What the replica holds for a key: the record that created it, and its value; no value means
/// that no row exists.
type Cell = Option<(Lsn, Option<u8>)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Checked,
    Unchecked,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Fill {
    Idle,
    /// The leader has answered, as of a record.
    Replied {
        as_of: Lsn,
        cell: (Lsn, Option<u8>),
    },
    Done,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    committed: usize,
    applied: usize,
    stripe: Lsn,
    held: [Cell; KEYS],
    fills: [Fill; FILLS],
    evictions: usize,
}

#[derive(Clone, Copy)]
enum Step {
    Commit,
    Apply,
    Query(usize),
    Insert(usize),
    Evict(usize),
}

fn last_write(log: Log, committed: usize, key: usize) -> (Lsn, Option<u8>) {
    let write = log[..committed].iter().rposition(|(of, _)| *of == key);
    write.map_or((Lsn::NONE, None), |index| (Lsn(index as u64 + 1), log[index].1))
}

impl World {
    fn new() -> Self {
        Self {
            committed: 0,
            applied: 0,
            stripe: Lsn::NONE,
            held: [None; KEYS],
            fills: [Fill::Idle; FILLS],
            evictions: 1,
        }
    }

    fn steps(&self, log: Log) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.committed < log.len() {
            steps.push(Step::Commit);
        }
        if self.applied < self.committed {
            steps.push(Step::Apply);
        }
        for (index, fill) in self.fills.iter().enumerate() {
            match fill {
                Fill::Idle => steps.push(Step::Query(index)),
                Fill::Replied { .. } => steps.push(Step::Insert(index)),
                Fill::Done => {}
            }
        }
        if self.evictions > 0 {
            steps.extend((0..KEYS).filter(|key| self.held[*key].is_some()).map(Step::Evict));
        }
        steps
    }

    fn after(&self, step: Step, log: Log, fill_keys: [usize; FILLS], rule: Rule) -> World {
        let mut next = self.clone();
        match step {
            Step::Commit => next.committed += 1,
            Step::Apply => {
                let (key, value) = log[next.applied];
                next.applied += 1;
                let lsn = Lsn(next.applied as u64);
                let mut stripe = Stripe { applied: next.stripe };
                stripe.publish(lsn);
                next.stripe = stripe.applied;
                // In a resident view, only a held row is updated, and only by a newer record.
                if let Some(held) = &mut next.held[key]
                    && held.0 < lsn
                {
                    *held = (lsn, value);
                }
            }
            Step::Query(fill) => {
                let as_of = Lsn(next.committed as u64);
                next.fills[fill] = Fill::Replied { as_of, cell: last_write(log, next.committed, fill_keys[fill]) };
            }
            Step::Insert(fill) => {
                let Fill::Replied { as_of, cell } = next.fills[fill] else { return next };
                let admitted = Stripe { applied: next.stripe }.admit(as_of).is_ok() || rule == Rule::Unchecked;
                next.fills[fill] = if admitted { Fill::Done } else { Fill::Idle };
                if admitted {
                    let held = &mut next.held[fill_keys[fill]];
                    if held.is_none_or(|held| held.0 < cell.0) {
                        *held = Some(cell);
                    }
                }
            }
            Step::Evict(key) => {
                next.held[key] = None;
                next.evictions -= 1;
            }
        }
        next
    }

    fn holds_nothing_older_than_the_feed(&self, log: Log) -> bool {
        (0..KEYS).all(|key| self.held[key].is_none_or(|held| held.0 >= last_write(log, self.applied, key).0))
    }

    fn equals_the_leader(&self, log: Log) -> bool {
        (0..KEYS).all(|key| self.held[key].is_none_or(|held| held == last_write(log, log.len(), key)))
    }
}

/// Visits every reachable world. Returns their number, or the steps that lead to the first faulty
/// world.
fn explore(log: Log, fill_keys: [usize; FILLS], rule: Rule) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut waiting = vec![(World::new(), String::new())];
    while let Some((world, path)) = waiting.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        let steps = world.steps(log);
        if !world.holds_nothing_older_than_the_feed(log) {
            return Err(format!("holds a row that the feed has overtaken after:{path}"));
        }
        if world.applied == log.len()
            && world.fills.iter().all(|fill| *fill == Fill::Done)
            && !world.equals_the_leader(log)
        {
            return Err(format!("differs from the leader after:{path}"));
        }
        for step in steps {
            let name = match step {
                Step::Commit => "commit".to_owned(),
                Step::Apply => "apply".to_owned(),
                Step::Query(fill) => format!("query {fill}"),
                Step::Insert(fill) => format!("insert {fill}"),
                Step::Evict(key) => format!("evict {key}"),
            };
            waiting.push((world.after(step, log, fill_keys, rule), format!("{path} {name},")));
        }
    }
    Ok(seen.len())
}

const LOGS: [Log; 5] = [
    &[(0, Some(1)), (0, Some(2)), (0, Some(3))],
    &[(0, Some(1)), (0, None)],
    &[(0, Some(1)), (0, None), (0, Some(3))],
    &[(0, Some(1)), (1, Some(2)), (0, Some(3))],
    &[(0, None), (1, Some(2)), (1, None)],
];

#[test]
fn no_interleaving_restores_a_row_that_the_feed_has_overtaken() {
    for log in LOGS {
        for fill_keys in [[0, 0], [0, 1], [1, 1]] {
            let worlds = explore(log, fill_keys, Rule::Checked).unwrap_or_else(|path| panic!("{log:?}: {path}"));
            assert!(worlds > 50, "{log:?} explored only {worlds} worlds");
        }
    }
}

#[test]
fn without_the_check_the_exploration_finds_the_lost_update() {
    let path = explore(&[(0, Some(1)), (0, Some(2))], [0, 0], Rule::Unchecked).expect_err("a lost update");
    assert!(path.contains("insert"), "{path}");
    explore(&[(0, Some(1)), (0, None)], [0, 0], Rule::Unchecked).expect_err("an undone deletion");
}
