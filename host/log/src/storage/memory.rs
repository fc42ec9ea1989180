//! A directory in memory that loses, tears and fails writes as disks do, for tests and simulation. Its only randomness
//! is the seed that [`Memory::crash`] receives.

use super::{File, Room, Storage};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// The unit that is kept or lost as a whole when power fails.
const SECTOR: usize = 512;

/// The faults to inject from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The total size of all files; `None` for no limit.
    pub capacity: Option<u64>,
    /// After this many further syncs, one sync fails and loses what was not durable. `None` for never.
    pub sync_fails_after: Option<u32>,
    /// After this many further bytes, one write fails part way. `None` for never.
    pub write_fails_after: Option<u64>,
    /// Reads fail.
    pub reads_fail: bool,
    /// Files cannot be removed.
    pub removals_fail: bool,
}

/// A directory in memory. Clones refer to the same directory.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    /// The lock of this clone, which stands for a process.
    lock: Arc<Holder>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    locked: AtomicBool,
}

#[derive(Debug)]
struct Holder {
    shared: Arc<Shared>,
    holds: AtomicBool,
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.holds.load(Relaxed) {
            self.shared.locked.store(false, Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// The names as programs see them.
    names: BTreeMap<String, Arc<Mutex<Content>>>,
    /// The names that remain after a loss of power.
    durable_names: BTreeMap<String, Arc<Mutex<Content>>>,
    faults: Faults,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Content {
    /// What reads see: the page cache.
    seen: Vec<u8>,
    /// What remains after a loss of power.
    durable: Vec<u8>,
    /// The ranges written since the last sync.
    dirty: Vec<(usize, usize)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// Creates an empty directory without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::over(Arc::default())
    }

    fn over(shared: Arc<Shared>) -> Self {
        let lock = Arc::new(Holder { shared: shared.clone(), holds: AtomicBool::new(false) });
        Self { shared, lock }
    }

    /// Returns the same directory as another process opens it.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self::over(self.shared.clone())
    }

    /// Sets the faults to inject from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state.lock().faults = faults;
    }

    /// Returns how many syncs of files and of the directory have succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.shared.state.lock().syncs
    }

    /// Returns the directory after a loss of power. The seed decides for every unsynced sector, and for the unsynced
    /// names, whether it reached the disk. Files opened before the crash do not affect the result.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Memory {
        let mut chance = seed;
        let mut state = State::default();
        let old = self.shared.state.lock();
        // Renames and removals become durable in order, as in a journal: all or none of those since the last sync.
        let names = if next(&mut chance) & 1 == 0 { &old.durable_names } else { &old.names };
        for (name, content) in names {
            let content = content.lock();
            let mut left = content.durable.clone();
            for (start, end) in &content.dirty {
                let mut at = *start;
                while at < *end {
                    let stop = ((at / SECTOR + 1) * SECTOR).min(*end);
                    if next(&mut chance) & 1 == 0 {
                        if left.len() < stop {
                            left.resize(stop, 0);
                        }
                        left[at..stop].copy_from_slice(&content.seen[at..stop]);
                    }
                    at = stop;
                }
            }
            let content = Content { seen: left.clone(), durable: left, dirty: Vec::new() };
            state.names.insert(name.clone(), Arc::new(Mutex::new(content)));
        }
        state.durable_names = state.names.clone();
        Self::over(Arc::new(Shared { state: Mutex::new(state), locked: AtomicBool::new(false) }))
    }

    /// Inverts the bits of a byte of a file, as a disk error does. Returns false if there is no such byte.
    pub fn flip(&self, name: &str, offset: usize) -> bool {
        let state = self.shared.state.lock();
        let Some(content) = state.names.get(name) else { return false };
        let mut content = content.lock();
        let Some(byte) = content.seen.get_mut(offset) else { return false };
        *byte ^= 0xff;
        let flipped = *byte;
        if let Some(byte) = content.durable.get_mut(offset) {
            *byte = flipped;
        }
        true
    }

    /// Returns a file's bytes as reads see them.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.shared.state.lock().names.get(name)?.lock().seen.clone())
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl State {
    fn used(&self) -> u64 {
        self.names.values().map(|content| content.lock().seen.len() as u64).sum()
    }

    fn inject_sync_fault(&mut self) -> io::Result<()> {
        match &mut self.faults.sync_fails_after {
            Some(0) => {
                self.faults.sync_fails_after = None;
                Err(io::Error::other("simulated failure of fsync"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file '{name}'"))
}

impl Storage for Memory {
    fn lock(&self) -> io::Result<()> {
        if self.lock.holds.load(Relaxed) {
            return Ok(());
        }
        if self.shared.locked.swap(true, Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.lock.holds.store(true, Relaxed);
        Ok(())
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.shared.state.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, room: Room) -> io::Result<Arc<dyn File>> {
        let mut state = self.shared.state.lock();
        if let Some(capacity) = state.faults.capacity
            && state.used() + room.bytes() > capacity
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; room.bytes() as usize];
        let content = Arc::new(Mutex::new(Content { seen: zeros.clone(), durable: zeros, dirty: Vec::new() }));
        state.names.insert(name.to_owned(), content.clone());
        Ok(Arc::new(MemoryFile { content, shared: self.shared.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.shared.state.lock();
        let content = state.names.get(name).ok_or_else(|| not_found(name))?.clone();
        Ok(Arc::new(MemoryFile { content, shared: self.shared.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let content = state.names.remove(from).ok_or_else(|| not_found(from))?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if state.faults.removals_fail && state.names.contains_key(name) {
            return Err(io::Error::other("removal failed"));
        }
        state.names.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.inject_sync_fault()?;
        state.durable_names = state.names.clone();
        state.syncs += 1;
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile {
    content: Arc<Mutex<Content>>,
    shared: Arc<Shared>,
}

impl File for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.shared.state.lock().faults.reads_fail {
            return Err(io::Error::other("simulated failure of a read"));
        }
        let content = self.content.lock();
        let start = offset as usize;
        let from = content.seen.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(from);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let mut take = bytes.len();
        let mut failure = None;
        if let Some(left) = state.faults.write_fails_after {
            if (left as usize) < take {
                take = left as usize;
                state.faults.write_fails_after = None;
                failure = Some(io::Error::other("simulated failure of a write"));
            } else {
                state.faults.write_fails_after = Some(left - take as u64);
            }
        }
        let start = offset as usize;
        if let Some(capacity) = state.faults.capacity {
            let len = self.content.lock().seen.len();
            let grow = (start + take).saturating_sub(len) as u64;
            let room = capacity.saturating_sub(state.used());
            if grow > room {
                take = take.saturating_sub((grow - room) as usize);
                failure = Some(io::ErrorKind::StorageFull.into());
            }
        }
        let mut content = self.content.lock();
        let end = start + take;
        if take > 0 {
            if content.seen.len() < end {
                content.seen.resize(end, 0);
            }
            content.seen[start..end].copy_from_slice(&bytes[..take]);
            content.dirty.push((start, end));
        }
        failure.map_or(Ok(()), Err)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let allowed = state.inject_sync_fault();
        let mut content = self.content.lock();
        let dirty = std::mem::take(&mut content.dirty);
        // Like the kernel: after a failure the pages count as clean though they are not on the disk.
        allowed?;
        let len = content.seen.len();
        if content.durable.len() < len {
            content.durable.resize(len, 0);
        }
        let Content { seen, durable, .. } = &mut *content;
        for (start, end) in dirty {
            durable[start..end].copy_from_slice(&seen[start..end]);
        }
        state.syncs += 1;
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().seen.len() as u64)
    }
}
