//! Running candidates, and the file in which their acknowledgements stand.

use littoral_lease::clock;
use littoral_provision::Guarded;
use rustix::process::Signal;
use std::{
    collections::HashMap,
    fs::{self, File},
    process::Command,
    time::{Duration, Instant},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// All processes of a machine read the same.
pub fn now() -> Duration {
    clock::now()
}

/// Where the lease lies.
pub struct Place {
    pub name: &'static str,
    pub address: String,
    pub environment: Vec<(&'static str, String)>,
}

impl Place {
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

pub struct Candidates<'a> {
    place: &'a Place,
    profile: &'static str,
    running: HashMap<String, Guarded>,
    dir: tempfile::TempDir,
}

impl<'a> Candidates<'a> {
    pub fn start(place: &'a Place, profile: &'static str, count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut candidates = Self { place, profile, running: HashMap::new(), dir };
        for name in 1..=count {
            candidates.start_again(&format!("c{name}"));
        }
        candidates
    }

    pub fn start_again(&mut self, name: &str) {
        let path = |what: &str| self.dir.path().join(what);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lease-candidate"));
        command.arg(&self.place.address).args(["--name", name, "--profile", self.profile]);
        command.arg("--log").arg(path(&format!("{name}.log"))).arg("--acknowledged").arg(path("acknowledged"));
        command.envs(self.place.environment.iter().map(|(key, value)| (key, value)));
        let said = File::options().create(true).append(true).open(path(&format!("{name}.said"))).unwrap();
        command.stdout(said);
        let started = Guarded::start(command, name, &path(&format!("{name}.err"))).unwrap();
        self.running.insert(name.to_owned(), started);
    }

    pub fn kill(&mut self, name: &str) {
        self.running.get_mut(name).unwrap().kill();
    }

    pub fn stop(&self, name: &str) {
        self.running[name].signal(Signal::STOP).unwrap();
    }

    pub fn go_on(&self, name: &str) {
        self.running[name].signal(Signal::CONT).unwrap();
    }

    /// Ends it in order, and sees that it does.
    pub fn end(&mut self, name: &str) {
        let status = self.running.get_mut(name).unwrap().stop(PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "{name} ended with {status:?}");
    }

    /// All acknowledgements, in the order of their time. The last line may not be whole yet.
    fn acknowledged(&self) -> Vec<Acknowledged> {
        let text = fs::read_to_string(self.dir.path().join("acknowledged")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut all: Vec<_> = whole.lines().map(parse).collect();
        all.sort_by_key(|acknowledged| acknowledged.at);
        all
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&Acknowledged) -> bool) -> Acknowledged {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.acknowledged().into_iter().find(|acknowledged| wanted(acknowledged)) {
                return found;
            }
            assert!(Instant::now() < deadline, "nobody acknowledges {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The first one later than this.
    pub fn next_acknowledged(&self, since: Duration) -> Acknowledged {
        self.wait_for("any more", |acknowledged| acknowledged.at > since)
    }

    /// The first one by another after the last one of this candidate.
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

    /// Waits until a candidate has noticed that it may not acknowledge any more in this epoch.
    pub fn wait_until_fenced(&self, name: &str, epoch: u64) {
        let deadline = Instant::now() + PATIENCE;
        let noticed = |said: &str| said.lines().any(|line| line.split(' ').nth(2) == Some(&epoch.to_string()));
        while !noticed(&fs::read_to_string(self.dir.path().join(format!("{name}.said"))).unwrap_or_default()) {
            assert!(Instant::now() < deadline, "{name} has not noticed that it may not acknowledge");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Never have two acknowledged: in the order of time epochs never go back, and each is one candidate's.
    pub fn judge(&self) {
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
