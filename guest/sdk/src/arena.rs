//! The guest's allocator: an arena within the module's own memory, and behind it the usual allocator.
//!
//! A fresh instance begins with the memory that the component declares. Rust's usual allocator asks for more at the first
//! allocation, and growing memory costs a fresh call more than the rest of it together. So small calls are served
//! from an arena that is there from the start; what does not fit goes to the usual allocator.
//!
//! The arena hands out memory upwards and takes back only the newest block; when nothing of it is in use any more, as
//! after each call, it starts over. That suits a batch: many columns, one after the other, all freed at the end.

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

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; LEN]), used: UnsafeCell::new(0), live: UnsafeCell::new(0) };

impl Arena {
    fn start(&self) -> usize {
        self.bytes.get() as usize
    }

    fn holds(&self, pointer: *mut u8) -> bool {
        (self.start()..self.start() + LEN).contains(&(pointer as usize))
    }
}

// SAFETY: blocks never overlap, as `used` only moves past what is handed out, and goes back only over the newest block
// or when no block is live; alignment is rounded up; everything else is the system allocator's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
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
