//! The machine that was measured.

use serde::Serialize;
use std::{fs, time::Duration};

/// A tick of the processor times in the kernel's statistics of processes.
const TICK: Duration = Duration::from_millis(10);

/// The machine, as every report begins with it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The model of the processor.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// `release`, or `debug`, whose figures mean nothing.
    pub build: &'static str,
}

impl Machine {
    /// Returns this machine.
    pub fn this() -> Self {
        let field = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
            line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let memory_kb: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kb.div_ceil(1 << 20),
            kernel,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

/// Returns the processor time of a process and its children.
pub fn processor_time(pid: u32) -> Duration {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ticks = processes.filter_map(|entry| {
        let own: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name may contain anything, and ends with the last parenthesis. After it come the state and the parent.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<u32>().ok();
        let is_of_it = own == pid || number(1)? == pid;
        is_of_it.then(|| number(11)?.checked_add(number(12)?)).flatten()
    });
    TICK * ticks.sum::<u32>()
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, memory_gib, kernel, build } = self;
        write!(f, "{processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}, {build} build, loopback")
    }
}
