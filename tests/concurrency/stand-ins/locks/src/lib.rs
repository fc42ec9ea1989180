//! The stand-in for `parking_lot` in modelled sources: locks whose order shuttle decides, without poisoning, and a
//! condition variable that takes its guard by reference.

use shuttle::sync::{self, PoisonError};
pub use shuttle::sync::{RwLockReadGuard, RwLockWriteGuard};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// `parking_lot::Mutex`.
#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// `parking_lot::MutexGuard`.
#[derive(Debug)]
pub struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

/// `parking_lot::RwLock`.
#[derive(Default)]
pub struct RwLock<T>(sync::RwLock<T>);

/// `parking_lot::Condvar`.
#[derive(Default)]
pub struct Condvar(sync::Condvar);

// === impl Mutex ===

impl<T> Mutex<T> {
    /// Creates a mutex over `value`.
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Returns the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

// === impl MutexGuard ===

const TAKEN: &str = "a guard is not used while it waits";

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect(TAKEN)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect(TAKEN)
    }
}

// === impl RwLock ===

impl<T> RwLock<T> {
    /// Creates a lock over `value`.
    pub fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits for shared access.
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}

// === impl Condvar ===

impl Condvar {
    /// Creates a variable without waiters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Releases the lock until notified.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.0.take() {
            guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}
