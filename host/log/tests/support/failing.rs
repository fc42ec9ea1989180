//! A directory in which one operation fails, or every operation from one on, as if the process ended there.
//! [`Memory::crash`] decides which unsynced writes survive.

use littoral_log::storage::{File, Memory, Room, Storage};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This operation and all later ones fail.
    EndsAt(u64),
    /// This operation fails.
    FailsAt(u64),
    None,
}

/// Counts the operations that change something. Clones share the counter.
#[derive(Clone, Debug)]
pub struct Failing {
    memory: Memory,
    counter: Arc<Counter>,
}

#[derive(Debug)]
struct Counter {
    fault: Fault,
    done: AtomicU64,
}

impl Counter {
    fn step(&self) -> io::Result<()> {
        let now = self.done.fetch_add(1, Relaxed);
        let fails = match self.fault {
            Fault::EndsAt(at) => now >= at,
            Fault::FailsAt(at) => now == at,
            Fault::None => false,
        };
        if fails { Err(io::Error::other(format!("simulated failure of operation {now}"))) } else { Ok(()) }
    }
}

impl Failing {
    pub fn new(memory: &Memory, fault: Fault) -> Self {
        Self { memory: memory.clone(), counter: Arc::new(Counter { fault, done: AtomicU64::new(0) }) }
    }

    /// Returns whether the fault has occurred.
    pub fn has_failed(&self) -> bool {
        match self.counter.fault {
            Fault::EndsAt(at) | Fault::FailsAt(at) => self.counter.done.load(Relaxed) > at,
            Fault::None => false,
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.counter.fault, Fault::EndsAt(_)) && self.has_failed()
    }
}

impl Storage for Failing {
    fn lock(&self) -> io::Result<()> {
        self.memory.lock()
    }

    fn name(&self) -> String {
        self.memory.name()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.memory.list()
    }

    fn create(&self, name: &str, room: Room) -> io::Result<Arc<dyn File>> {
        self.counter.step()?;
        let file = self.memory.create(name, room)?;
        Ok(Arc::new(FailingFile { file, counter: self.counter.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.memory.open(name)?;
        Ok(Arc::new(FailingFile { file, counter: self.counter.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.counter.step()?;
        self.memory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.counter.step()?;
        self.memory.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.counter.step()?;
        Storage::sync(&self.memory)
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn File>,
    counter: Arc<Counter>,
}

impl File for FailingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.counter.step() {
            // A failed write may leave any part of its bytes.
            let _ = self.file.write_at(offset, &bytes[..bytes.len() / 2]);
            return Err(error);
        }
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.counter.step()?;
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}
