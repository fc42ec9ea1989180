//! The directory with a chain of claims, one file each.
//!
//! Each operation opens the directory once and does everything relative to that descriptor. So all its steps use the
//! same directory, whatever is mounted or unmounted at the path in the meantime: a claim can only be created in the
//! directory in which its predecessor was found. The descriptor is closed at the end, so that the lease does not
//! prevent unmounting. A library that opens every file by its path, such as `object_store`, cannot guarantee that.

use crate::claim::{BYTES_MAX, Claim, InvalidClaim};
use rustix::{
    fd::{AsFd as _, OwnedFd},
    fs::{AtFlags, CWD, Dir, Mode, OFlags, linkat, openat, unlinkat},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The number of a claim's file, and the claim.
pub(crate) type Slot<'a> = (u64, &'a Claim);

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("file {}", file(*.0))]
    Corrupt(u64, #[source] InvalidClaim),
}

/// What follows a claim.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing: it is the newest claim.
    Nothing,
    /// This claim.
    Claim(Claim),
    /// The claim itself does not exist: this is another directory, or the claim was deleted.
    Gone,
}

/// The result of creating a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    Done,
    /// Another process has created it.
    Exists,
    /// The claim that it follows does not exist.
    Gone,
}

/// The directory at a path.
#[derive(Debug)]
pub(crate) struct ClaimDir {
    path: PathBuf,
}

impl ClaimDir {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Opens the directory that is at the path now; `None` if there is none.
    fn open(&self) -> io::Result<Option<OwnedFd>> {
        match openat(CWD, &self.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the numbers of the claims.
    pub(crate) fn list(&self) -> io::Result<Vec<u64>> {
        match self.open()? {
            Some(dir) => list(&dir),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn get(&self, slot: u64) -> Result<Option<Claim>, Unreadable> {
        match self.open()? {
            Some(dir) => get(&dir, slot),
            None => Ok(None),
        }
    }

    /// Returns what follows `before`, if that is in the same directory; `None` stands for the position before the first
    /// claim.
    pub(crate) fn next(&self, before: Option<Slot<'_>>) -> Result<Next, Unreadable> {
        let Some(dir) = self.open()? else {
            return Ok(if before.is_some() { Next::Gone } else { Next::Nothing });
        };
        let next = get(&dir, before.map_or(0, |(slot, _)| slot) + 1)?;
        if !is_in(&dir, before)? {
            return Ok(Next::Gone);
        }
        Ok(next.map_or(Next::Nothing, Next::Claim))
    }

    /// Creates the claim that follows `before`, if that is in the same directory. The claim is durable before it
    /// becomes visible.
    pub(crate) fn create(&self, before: Option<Slot<'_>>, claim: &Claim) -> Result<Created, Unreadable> {
        static STAGED: AtomicU64 = AtomicU64::new(0);
        let Some(dir) = self.open()? else {
            let missing = io::Error::new(io::ErrorKind::NotFound, "the directory does not exist");
            return if before.is_some() { Ok(Created::Gone) } else { Err(missing.into()) };
        };
        if !is_in(&dir, before)? {
            return Ok(Created::Gone);
        }
        if before.is_none() && !list(&dir)?.is_empty() {
            return Ok(Created::Exists);
        }
        let name = file(before.map_or(0, |(slot, _)| slot) + 1);
        let staged = format!("{name}#{}-{}", std::process::id(), STAGED.fetch_add(1, Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut staging =
            File::from(openat(&dir, &staged, flags, Mode::from_raw_mode(0o644)).map_err(io::Error::from)?);
        let linked = staging
            .write_all(&claim.encode())
            .and_then(|()| staging.sync_all())
            .and_then(|()| Ok(linkat(&dir, &staged, &dir, &name, AtFlags::empty())?));
        // If this fails, the next start removes the file.
        let _ = unlinkat(&dir, &staged, AtFlags::empty());
        match linked {
            Ok(()) => {
                rustix::fs::fsync(dir.as_fd()).map_err(io::Error::from)?;
                Ok(Created::Done)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Exists),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn delete(&self, slot: u64) -> io::Result<()> {
        let Some(dir) = self.open()? else { return Ok(()) };
        match unlinkat(&dir, file(slot), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_in(dir: &OwnedFd, before: Option<Slot<'_>>) -> Result<bool, Unreadable> {
    match before {
        Some((slot, claim)) => Ok(get(dir, slot)?.as_ref() == Some(claim)),
        None => Ok(true),
    }
}

fn list(dir: &OwnedFd) -> io::Result<Vec<u64>> {
    let mut slots = Vec::new();
    for entry in Dir::read_from(dir)? {
        slots.extend(entry?.file_name().to_str().ok().and_then(number));
    }
    Ok(slots)
}

fn get(dir: &OwnedFd, slot: u64) -> Result<Option<Claim>, Unreadable> {
    let opened = openat(dir, file(slot), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let opened = match opened {
        Ok(opened) => File::from(opened),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(io::Error::from(error).into()),
    };
    let corrupt = |source| Unreadable::Corrupt(slot, source);
    let len = opened.metadata()?.len();
    if len > BYTES_MAX as u64 {
        return Err(corrupt(InvalidClaim::TooLong(usize::try_from(len).unwrap_or(usize::MAX))));
    }
    let mut bytes = Vec::new();
    opened.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Claim::decode(&bytes).map(Some).map_err(corrupt)
}

pub(crate) fn file(slot: u64) -> String {
    format!("{slot:020}.json")
}

/// Returns the number of a claim's file; `None` for other files.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}
