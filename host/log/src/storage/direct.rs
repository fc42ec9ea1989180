//! Appends with `O_DIRECT`, from memory to the disk, bypassing the page cache. That makes a large batch's commit a
//! tenth shorter, because no page has to be allocated, filled and written back, and leaves the cache to readers.
//!
//! Reads use the cache. The kernel keeps the two consistent: a direct write invalidates the cached pages of its blocks.

use rustix::fs::{Mode, OFlags};
use std::{
    fs, io,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
};

/// The unit of direct writes: the largest block size of common disks.
const BLOCK: usize = 4_096;

/// How much is copied and written at once, in bytes.
const PIECE: usize = 1 << 20;

/// Direct access to a preallocated file.
#[derive(Debug)]
pub(super) struct Direct {
    file: fs::File,
    /// The length of the file.
    room: u64,
    /// The end of everything written. Beyond it the file reads as zeros.
    written: u64,
    /// The block in which the last append ended: its offset, and its bytes up to that end.
    last: Option<(u64, Vec<u8>)>,
    memory: Vec<u8>,
}

impl Direct {
    /// Opens direct access to a newly created file that reads as `room` zeros; `None` if the system does not support
    /// it.
    pub(super) fn into(file: &fs::File, room: u64) -> Option<Self> {
        if room == 0 {
            return None;
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?.into();
        // One block more than a piece, so that an aligned piece fits.
        Some(Self { file, room, written: 0, last: None, memory: vec![0; PIECE + BLOCK] })
    }

    /// Appends `bytes`. Returns `false`, and writes nothing, if `offset` is before the end of an earlier write or whole
    /// blocks do not fit in the file. Every write to the file must pass through here first.
    ///
    /// # Errors
    /// A disk error. Any part may have been written. [`io::ErrorKind::InvalidInput`] if the file system does not
    /// support direct writes.
    pub(super) fn append(&mut self, cached: &fs::File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let end = offset + bytes.len() as u64;
        let behind_all = offset >= self.written;
        self.written = self.written.max(end);
        let last = self.last.take();
        if !behind_all || end.next_multiple_of(BLOCK as u64) > self.room {
            return Ok(false);
        }
        let within = (offset % BLOCK as u64) as usize;
        let mut at = offset - within as u64;
        let begin = self.memory.as_ptr().align_offset(BLOCK);
        let memory = &mut self.memory[begin..begin + PIECE];
        // Fill the beginning of the first block with the bytes that precede `offset`.
        match last {
            Some((known, before)) if known == at && before.len() == within => memory[..within].copy_from_slice(&before),
            _ => cached.read_exact_at(&mut memory[..within], at)?,
        }
        let (mut filled, mut rest) = (within, bytes);
        loop {
            let (now, later) = rest.split_at(rest.len().min(PIECE - filled));
            memory[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            let whole = filled.next_multiple_of(BLOCK);
            memory[filled..whole].fill(0);
            self.file.write_all_at(&memory[..whole], at)?;
            if later.is_empty() {
                let begun = filled - filled % BLOCK;
                self.last = Some((at + begun as u64, memory[begun..filled].to_vec()));
                return Ok(true);
            }
            at += filled as u64;
            (filled, rest) = (0, later);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Disk, Room, Storage as _};
    use proptest::prelude::*;

    const ROOM: u64 = 3 << 20;

    #[derive(Clone, Debug)]
    enum Step {
        /// Appends this many bytes.
        Append(usize),
        /// Appends after a gap.
        Skip(u64, usize),
        /// Writes over an earlier write.
        Again(u64, usize),
        Read(u64, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let len = || prop_oneof![4 => 1_usize..300, 2 => 4_000_usize..9_000, 1 => 100_000_usize..1_500_000];
        let step = prop_oneof![
            6 => len().prop_map(Step::Append),
            1 => (1_u64..9_000, len()).prop_map(|(gap, len)| Step::Skip(gap, len)),
            1 => (any::<u64>(), 1_usize..9_000).prop_map(|(at, len)| Step::Again(at, len)),
            3 => (any::<u64>(), 1_usize..20_000).prop_map(|(at, len)| Step::Read(at, len)),
        ];
        proptest::collection::vec(step, 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 48 } else { 512 }))]

        #[test]
        fn a_file_reads_as_written_with_direct_and_cached_writes(steps in steps(), zeros: bool) {
            let dir = tempfile::tempdir().unwrap();
            let storage = Disk::at(dir.path()).unwrap();
            let room = if zeros { Room::Zeros(ROOM) } else { Room::Reserved(ROOM) };
            let file = storage.create("file", room).unwrap();
            let (mut model, mut end) = (vec![0_u8; ROOM as usize], 0_u64);
            for (number, step) in steps.into_iter().enumerate() {
                let (at, len) = match step {
                    Step::Read(at, len) => {
                        let at = at % (ROOM - len as u64);
                        let mut read = vec![0; len];
                        file.read_at(at, &mut read).unwrap();
                        prop_assert!(read == model[at as usize..at as usize + len], "step {number}, at {at}");
                        continue;
                    }
                    Step::Append(len) => (end, len),
                    Step::Skip(gap, len) => (end + gap, len),
                    Step::Again(at, len) => (at % (end + 1), len),
                };
                if at + len as u64 > ROOM {
                    continue;
                }
                let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8 ^ number as u8 | 1).collect();
                file.write_at(at, &bytes).unwrap();
                file.sync().unwrap();
                model[at as usize..at as usize + len].copy_from_slice(&bytes);
                end = end.max(at + len as u64);
            }
            file.drop_pages();
            let mut read = vec![0; ROOM as usize];
            storage.open("file").unwrap().read_at(0, &mut read).unwrap();
            prop_assert!(read == model);
        }
    }

    #[test]
    fn appends_are_direct_if_the_file_system_supports_it() {
        // Next to the test's executable: directories of temporary files may be in memory.
        let exe = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(exe.parent().unwrap()).unwrap();
        file.set_len(ROOM).unwrap();
        let Some(mut direct) = Direct::into(&file, ROOM) else {
            assert!(std::env::var_os("CI").is_none(), "{} is on a file system without O_DIRECT", exe.display());
            eprintln!("NOT TESTED: {} is on a file system without O_DIRECT; the log works there too", exe.display());
            return;
        };
        assert!(direct.append(&file, 0, &[7; 10_000]).unwrap(), "an append");
        assert!(direct.append(&file, 10_000, &[8; 10]).unwrap(), "the next");
        assert!(!direct.append(&file, 9_000, &[9; 10]).unwrap(), "not at the end");
        assert!(direct.append(&file, 10_010, &[8; 10]).unwrap(), "the next append");
        assert!(!direct.append(&file, ROOM - 1, &[1; 2]).unwrap(), "no room");
        assert!(Direct::into(&file, 0).is_none(), "a file that grows");
    }
}
