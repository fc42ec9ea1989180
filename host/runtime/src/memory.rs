//! The memory of processes and of the host.

use std::path::{Path, PathBuf};

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

/// Returns the memory that this process may use, in bytes: that of the host, or of its control group if that is less.
/// `None` on systems other than Linux.
#[must_use]
pub fn limit_bytes() -> Option<u64> {
    [control_group_bytes(), host_bytes()].into_iter().flatten().min()
}

/// Returns the lowest limit of the process's control group and the groups above it, as services and containers have
/// them; `None` without one.
fn control_group_bytes() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = limit_files(&groups);
    limits.iter().filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// Returns the files that may hold limits of the memory, from the content of `/proc/self/cgroup`: lines `0::PATH` of
/// version 2, and `N:memory:PATH` of version 1. A container sees its own group as the root.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(path.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(file)));
    }
    files
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
    fn the_limits_of_a_control_group_are_those_of_the_groups_above_it_too() {
        let files = limit_files("0::/system.slice/littoral@a.service\n");
        let expected = ["system.slice/littoral@a.service/", "system.slice/", ""];
        assert_eq!(files, expected.map(|group| PathBuf::from(format!("/sys/fs/cgroup/{group}memory.max"))));
        let files = limit_files("9:cpu,cpuacct:/a\n4:memory:/docker/b\n");
        let expected = ["docker/b/", "docker/", ""];
        assert_eq!(
            files,
            expected.map(|group| PathBuf::from(format!("/sys/fs/cgroup/memory/{group}memory.limit_in_bytes")))
        );
        assert_eq!(limit_files("0::/\n"), [PathBuf::from("/sys/fs/cgroup/memory.max")]);
    }

    #[test]
    fn the_kernel_reports_kib() {
        assert_eq!(resident_in("Name:\tlittoral\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_in("Name:\tlittoral\n"), None);
    }
}
