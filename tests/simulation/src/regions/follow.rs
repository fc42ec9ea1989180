//! Streams of the world of regions: leaders replicate to each other, and the edge follows one of them.

use super::{
    COUNT, Stream, World,
    event::{self, Event},
    name,
};
use crate::publish;
use littoral_edge_core::follower::{Effect, Fault};
use littoral_leader_core::{
    LogCommand,
    cross_region::{RegionFeed, Step},
    gives_catalogue,
};
use littoral_model::{project::Receiver, region::Region};
use littoral_protocol::frame::Downstream;

impl World {
    /// Delivers one message from one region's leader to another's.
    pub(super) fn replicate(&mut self, to: usize, from: usize) -> Result<(), String> {
        if !self.streams.contains_key(&(to, from)) {
            let known = self.leaders[to].published.known();
            let is_home = gives_catalogue(name(from), name(to), Some(name(0)), &known);
            let feed = RegionFeed::new(name(from), name(to), is_home, &known, &self.epochs[to]);
            let hello = feed.hello("leader");
            // An address may be another region's leader than the configured one.
            let misdirected = self.with_rollbacks && !self.healing && self.random.one_in(30);
            let publisher = if misdirected { COUNT - to - from } else { from };
            self.detect_rollback(publisher, &hello)?;
            let receiver = Receiver::In(self.counts_as(to));
            let (message, publishing) = publish::greet(&self.leaders[publisher], &hello, receiver, false);
            let Some(publishing) = publishing else { return Ok(()) };
            if let Downstream::Hello(answer) = &message {
                self.events.note(self.now, || Event::Greeted {
                    to,
                    from: publisher,
                    head: answer.head,
                    mode: answer.mode,
                    resume: hello.resume.map(|resume| resume.position),
                    holds: hello.holds,
                    forked: answer.forked.map(|fork| fork.position),
                });
                if answer.forked.is_some() {
                    self.request_snapshot(publisher, to)?;
                }
            }
            self.streams.insert((to, from), Stream { feed, publishing });
            if misdirected {
                self.deliver(to, from, message)?;
                let rejected = !self.streams.contains_key(&(to, from));
                return rejected
                    .then_some(())
                    .ok_or_else(|| format!("{} follows {} as {}", name(to), name(publisher), name(from)));
            }
            return self.deliver(to, from, message);
        }
        let Some(stream) = self.streams.get_mut(&(to, from)) else { return Ok(()) };
        match stream.publishing.next(&self.leaders[from]) {
            Ok(Some(message)) => {
                self.no_restricted_row_is_sent(to, &message)?;
                self.deliver(to, from, message)
            }
            Ok(None) => Ok(()),
            Err(_) => {
                self.streams.remove(&(to, from));
                Ok(())
            }
        }
    }

    fn deliver(&mut self, to: usize, from: usize, message: Downstream) -> Result<(), String> {
        let Some(stream) = self.streams.get_mut(&(to, from)) else { return Ok(()) };
        let leader = &mut self.leaders[to];
        let step = match stream.feed.receive(message, &mut self.epochs[to], (&leader.published, &leader.table)) {
            Ok(step) => step,
            Err(fault) => {
                self.events.note(self.now, || Event::StreamEnded { to, from, fault: fault.to_string() });
                self.streams.remove(&(to, from));
                return Ok(());
            }
        };
        if let Step::Submit { imports, done, .. } = step {
            for import in imports {
                self.events.note(self.now, || Event::Imported {
                    to,
                    from,
                    head: leader.head().lsn,
                    records: event::summaries(&import.records),
                    snapshot: import.snapshot,
                    through: import.through.map(|(lsn, _)| lsn),
                    seen: import.seen.len(),
                });
                let answered = leader.commit(vec![LogCommand::Import(import)], self.now)?.remove(0);
                // Records that cannot be imported yet are requested again on a new stream.
                if let Err(error) = answered {
                    self.events.note(self.now, || Event::ImportRejected { to, from, reason: error.to_string() });
                    self.streams.remove(&(to, from));
                    return Ok(());
                }
            }
            stream.feed.done(&done, &mut self.epochs[to]);
        }
        Ok(())
    }

    /// Returns the region in which a node of the region `to` is, for the residency rule of its publisher. A publisher
    /// that lies ignores where the node is.
    fn counts_as(&self, to: usize) -> Region {
        name(if self.rule.is_some_and(|rule| rule.lies) { 0 } else { to })
    }

    /// Delivers one message to the edge, from the publisher that it follows.
    pub(super) fn follow(&mut self) -> Result<(), String> {
        let message = match &mut self.edge_at {
            None => {
                let at = self.random.below(COUNT as u64) as usize;
                let hello = self.edge.connected(at, self.now);
                self.detect_rollback(at, &hello)?;
                let receiver = self.rule.map_or(Receiver::Unknown, |rule| Receiver::In(self.counts_as(rule.edge_in)));
                let (message, publishing) = publish::greet(&self.leaders[at], &hello, receiver, false);
                self.edge_at = publishing.map(|publishing| (at, publishing));
                Some(message)
            }
            Some((at, publishing)) => match publishing.next(&self.leaders[*at]) {
                Ok(None) => None,
                Ok(Some(message)) => {
                    if let Some(rule) = self.rule {
                        self.no_restricted_row_is_sent(rule.edge_in, &message)?;
                    }
                    Some(message)
                }
                Err(_) => {
                    self.edge_at = None;
                    self.edge.disconnected(&Fault::Lost);
                    None
                }
            },
        };
        let Some(message) = message else { return Ok(()) };
        match self.edge.receive(message) {
            Ok(Effect::Greeted(hello)) => {
                self.events.note(self.now, || Event::EdgeGreeted {
                    region: hello.region,
                    mode: hello.mode,
                    head: hello.head,
                });
            }
            Ok(Effect::Rehomed { replica, hello }) => {
                let point = replica.point.load_full();
                self.events.note(self.now, || Event::EdgeRehomed {
                    region: hello.region,
                    at: point.resume.position,
                    head: hello.head,
                    portable: point.portable_watermark.clone(),
                    beyond: point.beyond.clone(),
                });
                self.rehomed += 1;
                self.edge_exact = replica.exact_from();
            }
            Ok(Effect::Serve { replica, .. }) => {
                let (at, exact) = (replica.position(), replica.exact_from());
                self.events.note(self.now, || Event::EdgeServes { at, exact });
                self.snapshots += 1;
                self.edge_exact = replica.exact_from();
            }
            Ok(Effect::Applied { block, level, position, .. }) => {
                self.events.note(self.now, || Event::EdgeApplied { first: block.first, position, level });
                if level {
                    self.edge_exact = block.last;
                }
            }
            Ok(_) => {}
            Err(violation) => {
                self.events.note(self.now, || Event::EdgeEndedStream { violation: violation.to_string() });
                self.edge_at = None;
                self.edge.disconnected(&Fault::Violation(violation));
            }
        }
        Ok(())
    }
}
