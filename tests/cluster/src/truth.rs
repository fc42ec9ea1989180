//! Compares the staleness that an edge reports with its true staleness.
//!
//! A writer updates one account at the leader with consecutive numbers, and records when each was acknowledged. An
//! answer of the edge with number `s` has been behind at least since `s + 1` was acknowledged, so its reported
//! staleness must be at least the time from then until the read was sent. This is exact: the edge determines its
//! staleness after it receives the read, and the leader commits before it acknowledges.

use crate::accounts;
use littoral_provision::{Node, http::Client};
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The account that is written and read.
const ACCOUNT: i64 = 1;
/// The pause between two writes, and between two reads.
const PAUSE: Duration = Duration::from_millis(4);
/// The timeout of reads. An edge answers from memory, so one that takes this long does not serve.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A writer at a leader's door and a reader at an edge's. Stopped when dropped.
#[derive(Debug)]
pub struct Watch {
    known: Arc<Known>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Known {
    stop: AtomicBool,
    /// When each number was acknowledged, from number 1 on.
    acknowledged: Mutex<Vec<Instant>>,
    answers: Mutex<Vec<Answer>>,
    /// Failed writes and reads. None may fail: the leader is reached directly, and the edge continues to serve.
    failures: Mutex<Vec<String>>,
}

/// An answer of the edge.
#[derive(Clone, Debug)]
struct Answer {
    asked: Instant,
    held: i64,
    staleness: Option<Duration>,
    degraded: Option<String>,
}

/// The result of a period.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The answers of the edge.
    pub answers: usize,
    /// How many answers lacked a number that was acknowledged before the read was sent.
    pub behind: usize,
    /// The greatest true staleness.
    pub truly_behind_max: Duration,
    /// The median of the reported staleness.
    pub reported_median: Duration,
    /// The greatest reported staleness.
    pub reported_max: Duration,
    /// How many answers stated that the leader is lost.
    pub leader_lost: usize,
}

impl Watch {
    /// Starts the writer. The edge is not read yet.
    #[must_use]
    pub fn write(leader: &Node) -> Self {
        let known = Arc::new(Known::default());
        let (writing, door) = (known.clone(), leader.ready.door);
        Self { known, threads: vec![std::thread::spawn(move || write(&writing, door))] }
    }

    /// Starts the reader. The edge must hold the account already.
    pub fn read(&mut self, edge: &Node) {
        let (reading, door) = (self.known.clone(), edge.ready.door);
        self.threads.push(std::thread::spawn(move || read(&reading, door)));
    }

    /// Returns how many writes were acknowledged.
    #[must_use]
    pub fn written(&self) -> usize {
        locked(&self.known.acknowledged).len()
    }

    /// Returns the median staleness of the newest answers since a moment; `None` before there are enough.
    #[must_use]
    pub fn reported_lately(&self, since: Instant) -> Option<Duration> {
        const LATELY: usize = 25;
        let answers = locked(&self.known.answers);
        let mut lately: Vec<_> = answers
            .iter()
            .rev()
            .take(LATELY)
            .filter(|answer| answer.asked >= since)
            .filter_map(|answer| answer.staleness)
            .collect();
        lately.sort_unstable();
        (lately.len() == LATELY).then(|| lately[LATELY / 2])
    }

    /// Stops writer and reader.
    pub fn stop(&mut self) {
        self.known.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has printed the reason, and the numbers show it.
            let _ = thread.join();
        }
    }

    /// Checks the answers since a moment.
    ///
    /// # Panics
    /// When an answer claimed to be fresher than it was, went back, or was missing; when a write was not accepted.
    #[track_caller]
    #[must_use]
    pub fn check(&self, since: Instant) -> Report {
        let failures = locked(&self.known.failures);
        assert!(failures.is_empty(), "{} requests failed; the first: {}", failures.len(), failures[0]);
        drop(failures);
        let answers: Vec<_> = locked(&self.known.answers).iter().filter(|one| one.asked >= since).cloned().collect();
        // Taken after the answers, so that it has all that was acknowledged before any read was sent.
        let acknowledged = locked(&self.known.acknowledged).clone();
        let mut report = Report { answers: answers.len(), ..Report::default() };
        let (mut held, mut reported) = (0, Vec::new());
        for answer in &answers {
            assert!(answer.held >= held, "an answer went back from number {held} to {}", answer.held);
            held = answer.held;
            let next = usize::try_from(held).ok().and_then(|next| acknowledged.get(next));
            let truly = next.map_or(Duration::ZERO, |at| answer.asked.saturating_duration_since(*at));
            let claimed = answer.staleness.expect("an edge that has heard from its leader knows its staleness");
            assert!(
                claimed >= truly,
                "an answer with number {held} reported {claimed:?} behind, but number {} had been acknowledged {truly:?} before",
                held + 1
            );
            report.behind += usize::from(!truly.is_zero());
            report.truly_behind_max = report.truly_behind_max.max(truly);
            report.leader_lost += usize::from(answer.degraded.as_deref() == Some("leader_lost"));
            reported.push(claimed);
        }
        reported.sort_unstable();
        report.reported_median = reported.get(reported.len() / 2).copied().unwrap_or_default();
        report.reported_max = reported.last().copied().unwrap_or_default();
        report
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, behind, truly_behind_max, reported_median, reported_max, leader_lost } = self;
        write!(
            f,
            "{answers} answers, {behind} of them behind, in truth by {truly_behind_max:.1?} at most; reported: median \
             {reported_median:.1?}, at most {reported_max:.1?}; {leader_lost} reported that the leader is lost"
        )
    }
}

fn write(known: &Known, leader: SocketAddr) {
    let mut client = Client::new(leader);
    for number in 1.. {
        if known.stop.load(Ordering::Relaxed) {
            return;
        }
        match accounts::write(&mut client, &[accounts::row(ACCOUNT, number)]) {
            Ok(answer) if answer.status == 200 => locked(&known.acknowledged).push(Instant::now()),
            Ok(answer) => return fail(known, format!("write {number}: {}", answer.text())),
            Err(error) => return fail(known, format!("write {number}: {error}")),
        }
        std::thread::sleep(PAUSE);
    }
}

fn read(known: &Known, edge: SocketAddr) {
    let mut client = Client::new(edge).with_timeout(ANSWER_MAX);
    while !known.stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        match accounts::read(&mut client, &[ACCOUNT], &[]) {
            Ok(answer) if answer.status == 200 => {
                let staleness = answer.header("littoral-staleness-ms").and_then(|text| text.parse().ok());
                let source = answer.header("littoral-source");
                let Some(held) =
                    accounts::balances(&answer).first().copied().flatten().filter(|_| source == Some("replica"))
                else {
                    return fail(known, format!("not the replica's number: {:?} {}", answer.headers, answer.text()));
                };
                locked(&known.answers).push(Answer {
                    asked,
                    held,
                    staleness: staleness.map(Duration::from_millis),
                    degraded: answer.header("littoral-degraded").map(str::to_owned),
                });
            }
            Ok(answer) => fail(known, format!("read: {} {}", answer.status, answer.text())),
            Err(error) => fail(known, format!("read: {error}")),
        }
        std::thread::sleep(PAUSE);
    }
}

fn fail(known: &Known, what: String) {
    locked(&known.failures).push(what);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Numbers 1 to 3, acknowledged every 100 ms, and an answer to a read that was sent after 250 ms.
    fn checked(held: i64, reported: u64) -> Report {
        let begun = Instant::now();
        let known = Known::default();
        *locked(&known.acknowledged) = [0, 100, 200].map(|at| begun + ms(at)).to_vec();
        *locked(&known.answers) =
            vec![Answer { asked: begun + ms(250), held, staleness: Some(ms(reported)), degraded: None }];
        Watch { known: Arc::new(known), threads: Vec::new() }.check(begun)
    }

    #[test]
    fn an_answer_may_report_its_staleness_or_more() {
        assert_eq!(checked(1, 150).truly_behind_max, ms(150));
        assert_eq!(checked(2, 50).behind, 1);
        assert_eq!((checked(3, 0).behind, checked(3, 900).reported_max), (0, ms(900)));
    }

    #[test]
    #[should_panic(expected = "number 2 had been acknowledged 150ms before")]
    fn an_answer_that_reports_less_is_found() {
        let _ = checked(1, 149);
    }

    #[test]
    #[should_panic(expected = "1 requests failed; the first: read: closed")]
    fn a_request_that_failed_is_found() {
        let watch = Watch { known: Arc::default(), threads: Vec::new() };
        fail(&watch.known, "read: closed".to_owned());
        let _ = watch.check(Instant::now());
    }
}
