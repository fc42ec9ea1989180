//! The guest's allocator: an arena within the module's own memory, with the usual allocator as fallback.
//!
//! A fresh instance starts with the memory that the component declares. Rust's usual allocator grows the memory at the
//! first allocation, which costs a fresh call more than the rest of the call. An arena that exists from the start
//! therefore serves small calls; allocations that do not fit go to the usual allocator.
//!
//! The arena allocates upwards and reclaims only the newest block. When no block is in use, as after each call, it
//! starts over. That suits a batch: many columns, one after the other, all freed at the end.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::UnsafeCell,
};

const LEN: usize = 96 * 1024;

#[repr(align(16))]
struct Arena {
    bytes: UnsafeCell<[u8; LEN]>,
    used: UnsafeCell<usize>,
    live: UnsafeCell<usize>,
}

// SAFETY: a module has one thread.
unsafe impl Sync for Arena {}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: Arena = Arena::new();

impl Arena {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; LEN]), used: UnsafeCell::new(0), live: UnsafeCell::new(0) }
    }

    fn start(&self) -> usize {
        self.bytes.get() as usize
    }

    fn holds(&self, pointer: *mut u8) -> bool {
        (self.start()..self.start() + LEN).contains(&(pointer as usize))
    }
}

// SAFETY: blocks never overlap, because `used` only moves past allocated blocks, and goes back only over the newest
// block or when no block is live; alignment is rounded up; all other allocations belong to the system allocator.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread uses the cells, and no reference to them outlives a statement. What the arena has no room
        // for goes to the system's allocator under the caller's promises.
        unsafe {
            let used = *self.used.get();
            let at = (self.start() + used).next_multiple_of(layout.align()) - self.start();
            match at.checked_add(layout.size()) {
                Some(end) if end <= LEN => {
                    *self.used.get() = end;
                    *self.live.get() += 1;
                    (self.start() + at) as *mut u8
                }
                _ => System.alloc(layout),
            }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: one thread uses the cells, and no reference to them outlives a statement. A block outside the arena
        // came from the system's allocator, with this layout.
        unsafe {
            if !self.holds(pointer) {
                return System.dealloc(pointer, layout);
            }
            *self.live.get() -= 1;
            if *self.live.get() == 0 {
                *self.used.get() = 0;
            } else if pointer as usize + layout.size() == self.start() + *self.used.get() {
                *self.used.get() = pointer as usize - self.start();
            }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`. The caller promises that `size` and the alignment form a layout. The old and the new
        // block are both live, so they do not overlap, and each has at least the bytes that are copied.
        unsafe {
            if !self.holds(pointer) {
                return System.realloc(pointer, layout, size);
            }
            let at = pointer as usize - self.start();
            let is_newest = at + layout.size() == *self.used.get();
            if is_newest && at.checked_add(size).is_some_and(|end| end <= LEN) {
                *self.used.get() = at + size;
                return pointer;
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(pointer, new, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let arena = Box::new(Arena::new());
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        for (size, align) in [(3, 1), (8, 8), (1, 1), (100, 16), (5, 4), (64, 64)] {
            // SAFETY: the size is not zero.
            let at = unsafe { arena.alloc(layout(size, align)) } as usize;
            assert_eq!(at % align, 0);
            assert!(blocks.iter().all(|(start, end)| at >= *end || at + size <= *start), "{at} {blocks:?}");
            blocks.push((at, at + size));
        }
    }

    #[test]
    fn the_newest_block_grows_where_it_is_and_an_older_one_moves_with_its_bytes() {
        let arena = Box::new(Arena::new());
        // SAFETY: each block is used within its layout and while it is live.
        unsafe {
            let older = arena.alloc(layout(4, 4));
            older.cast::<u32>().write(0xfeed);
            let newest = arena.alloc(layout(16, 8));
            assert_eq!(arena.realloc(newest, layout(16, 8), 64), newest);
            let moved = arena.realloc(older, layout(4, 4), 32);
            assert!(moved as usize >= newest as usize + 64);
            assert_eq!(moved.cast::<u32>().read(), 0xfeed);
        }
    }

    #[test]
    fn allocations_that_do_not_fit_use_the_system_allocator() {
        let arena = Box::new(Arena::new());
        // SAFETY: each block is returned once, with its layout.
        unsafe {
            let small = arena.alloc(layout(1_000, 8));
            let large = arena.alloc(layout(LEN, 8));
            assert!(arena.holds(small) && !arena.holds(large));
            let outgrown = arena.realloc(small, layout(1_000, 8), LEN + 1);
            assert!(!arena.holds(outgrown));
            arena.dealloc(large, layout(LEN, 8));
            arena.dealloc(outgrown, layout(LEN + 1, 8));
            assert_eq!(*arena.live.get(), 0);
        }
    }

    #[test]
    fn when_nothing_is_in_use_the_arena_starts_over() {
        let arena = Box::new(Arena::new());
        // SAFETY: each block is returned once, with its layout.
        unsafe {
            let first = arena.alloc(layout(40, 8));
            let second = arena.alloc(layout(40, 8));
            arena.dealloc(first, layout(40, 8));
            let third = arena.alloc(layout(8, 8));
            assert!(third as usize > second as usize);
            arena.dealloc(third, layout(8, 8));
            arena.dealloc(second, layout(40, 8));
            assert_eq!(arena.alloc(layout(40, 8)), first);
        }
    }
}
