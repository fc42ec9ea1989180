//! The memory of processes and of the host.

/// Returns the resident memory of this process in bytes; `None` on systems other than Linux.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    resident_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Returns the resident memory of another process in bytes; `None` if it has exited, or on systems other than Linux.
#[must_use]
pub fn resident_bytes_of(pid: u32) -> Option<u64> {
    resident_in(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn host_bytes() -> Option<u64> {
    bytes_of("MemTotal:", &std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Returns the memory that this process may use, in bytes: that of the host, or of its control group if that is less. `None` on
/// systems other than Linux.
#[must_use]
pub fn limit_bytes() -> Option<u64> {
    [control_group_bytes(), host_bytes()].into_iter().flatten().min()
}

/// Returns the limit of the control group, as containers have it; `None` without one.
fn control_group_bytes() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    files.iter().find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok())
}

fn resident_in(status: &str) -> Option<u64> {
    bytes_of("VmRSS:", status)
}

/// Returns the value of a field that the kernel reports in kibibytes.
fn bytes_of(field: &str, text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_reports_kib() {
        assert_eq!(resident_in("Name:\tlittoral\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_in("Name:\tlittoral\n"), None);
    }
}
