//! A small disk that can be filled.

use littoral_provision::Missing;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A file system of its own in memory, unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system of this many MiB at a directory, which is created.
    ///
    /// # Errors
    /// When this process may not mount: not root, or a container without that right.
    pub fn mount(at: &Path, mib: u32) -> Result<Self, Missing> {
        std::fs::create_dir_all(at).map_err(|error| Missing::io("a directory to mount at", &error))?;
        let size = format!("size={mib}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).output();
        let done = done.map_err(|error| Missing::io("mount", &error))?;
        if done.status.success() {
            return Ok(Self(at.to_owned()));
        }
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(Missing::new("a small disk (tmpfs)", why, "run as root where mounting is allowed"))
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Errors
    /// When it cannot be remounted.
    pub fn read_only(&self, read_only: bool) -> std::io::Result<()> {
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        let done = Command::new("mount").args(["-o", how]).arg(&self.0).output()?;
        if done.status.success() { Ok(()) } else { Err(std::io::Error::other(String::from_utf8_lossy(&done.stderr))) }
    }

    /// Fills the free space except for this much, with a file that can be removed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn fill(&self, but: u64) -> std::io::Result<PathBuf> {
        let ballast = self.0.join("ballast");
        let file = std::fs::File::create(&ballast)?;
        let free = rustix::fs::statvfs(&self.0)?;
        let bytes = (free.f_bavail * free.f_frsize).saturating_sub(but).max(1);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
        Ok(ballast)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a process that still uses it is just being killed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
