//! Starts contenders and reads the shared file of their acknowledgements.

use littoral_lease::clock;
use littoral_provision::Guarded;
use rustix::process::Signal;
use std::{
    collections::HashMap,
    fs::{self, File},
    process::Command,
    time::{Duration, Instant},
};

/// A generous bound for every wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Returns the time; all processes of a machine read the same clock.
pub fn now() -> Duration {
    clock::now()
}

/// The store of the lease.
pub struct Store {
    pub name: &'static str,
    pub address: String,
    pub environment: Vec<(&'static str, String)>,
}

impl Store {
    pub fn new(name: &'static str, address: String) -> Self {
        Self { name, address, environment: Vec::new() }
    }
}

/// One acknowledgement.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub at: Duration,
    pub epoch: u64,
    pub by: String,
}

pub struct Contenders<'a> {
    place: &'a Store,
    profile: &'static str,
    running: HashMap<String, Guarded>,
    dir: tempfile::TempDir,
}

impl<'a> Contenders<'a> {
    pub fn start(place: &'a Store, profile: &'static str, count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut contenders = Self { place, profile, running: HashMap::new(), dir };
        for name in 1..=count {
            contenders.start_again(&format!("c{name}"));
        }
        contenders
    }

    pub fn start_again(&mut self, name: &str) {
        let path = |what: &str| self.dir.path().join(what);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lease-contender"));
        command.arg(&self.place.address).args(["--name", name, "--profile", self.profile]);
        command.arg("--log").arg(path(&format!("{name}.log"))).arg("--acknowledged").arg(path("acknowledged"));
        command.envs(self.place.environment.iter().map(|(key, value)| (key, value)));
        let output = File::options().create(true).append(true).open(path(&format!("{name}.out"))).unwrap();
        command.stdout(output);
        let started = Guarded::start(command, name, &path(&format!("{name}.err"))).unwrap();
        self.running.insert(name.to_owned(), started);
    }

    pub fn kill(&mut self, name: &str) {
        self.running.get_mut(name).unwrap().kill();
    }

    pub fn stop(&self, name: &str) {
        self.running[name].signal(Signal::STOP).unwrap();
    }

    pub fn resume(&self, name: &str) {
        self.running[name].signal(Signal::CONT).unwrap();
    }

    /// Stops a contender, and checks that it exits successfully.
    pub fn end(&mut self, name: &str) {
        let status = self.running.get_mut(name).unwrap().stop(WAIT_MAX);
        assert!(status.is_some_and(|status| status.success()), "{name} ended with {status:?}");
    }

    /// Returns all acknowledgements, ordered by time. The last line may be incomplete.
    fn acknowledged(&self) -> Vec<Acknowledged> {
        let text = fs::read_to_string(self.dir.path().join("acknowledged")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut all: Vec<_> = whole.lines().map(parse).collect();
        all.sort_by_key(|acknowledged| acknowledged.at);
        all
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&Acknowledged) -> bool) -> Acknowledged {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(found) = self.acknowledged().into_iter().find(|acknowledged| wanted(acknowledged)) {
                return found;
            }
            assert!(Instant::now() < deadline, "no contender acknowledges {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the first acknowledgement after `since`.
    pub fn next_acknowledged(&self, since: Duration) -> Acknowledged {
        self.wait_for("any more", |acknowledged| acknowledged.at > since)
    }

    /// Waits for the first acknowledgement by another contender after the last one by this contender.
    pub fn next_acknowledged_after(&self, name: &str) -> Acknowledged {
        let last = self.acknowledged().into_iter().rfind(|acknowledged| acknowledged.by == name).unwrap();
        self.wait_for("after the loss", |next| next.epoch > last.epoch && next.by != name)
    }

    pub fn acknowledged_since(&self, since: Duration) -> usize {
        self.acknowledged().iter().filter(|acknowledged| acknowledged.at > since).count()
    }

    pub fn acknowledged_in(&self, epoch: u64, since: Duration) -> usize {
        self.acknowledged().iter().filter(|acknowledged| acknowledged.epoch == epoch && acknowledged.at > since).count()
    }

    /// Waits until a contender has noticed that it may no longer acknowledge in this epoch.
    pub fn wait_until_fenced(&self, name: &str, epoch: u64) {
        let deadline = Instant::now() + WAIT_MAX;
        let noticed = |output: &str| output.lines().any(|line| line.split(' ').nth(2) == Some(&epoch.to_string()));
        while !noticed(&fs::read_to_string(self.dir.path().join(format!("{name}.out"))).unwrap_or_default()) {
            assert!(Instant::now() < deadline, "{name} has not noticed that it may no longer acknowledge");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Checks that two contenders never acknowledge at the same time: ordered by time, epochs never decrease, and each
    /// belongs to one contender.
    pub fn check(&self) {
        let all = self.acknowledged();
        for pair in all.windows(2) {
            let [a, b] = pair else { unreachable!() };
            assert!(b.epoch >= a.epoch, "epochs go back: {a:?}, {b:?}");
            assert!(b.epoch > a.epoch || a.by == b.by, "two acknowledge in one epoch: {a:?}, {b:?}");
        }
        assert!(all.len() > 10, "only {} acknowledgements", all.len());
    }
}

fn parse(line: &str) -> Acknowledged {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_else(|| panic!("not an acknowledgement: '{line}'"));
    Acknowledged {
        at: Duration::from_nanos(word().parse().unwrap()),
        epoch: word().parse().unwrap(),
        by: word().to_owned(),
    }
}
