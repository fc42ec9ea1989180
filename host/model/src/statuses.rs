//! The statuses of a column's values.

use crate::column::Status;
use std::ops::Deref;

/// Up to this number of values, a column in which all are present allocates no statuses.
const PRESENT_MAX: usize = 4_096;

static PRESENT: [Status; PRESENT_MAX] = [Status::Present; PRESENT_MAX];

/// The status of each value. Nearly always all values are present, which costs no memory for up to
/// 4,096 values. Dereferences to a slice.
#[derive(Clone, Debug)]
pub struct Statuses(Kept);

#[derive(Clone, Debug)]
enum Kept {
    /// The number of values, all present; at most [`PRESENT_MAX`].
    Present(usize),
    Each(Vec<Status>),
}

impl Statuses {
    /// Creates the statuses of `len` values, all present.
    #[must_use]
    pub fn present(len: usize) -> Self {
        if len <= PRESENT_MAX { Self(Kept::Present(len)) } else { Self(Kept::Each(vec![Status::Present; len])) }
    }

    /// Appends the status of one value.
    #[inline]
    pub fn push(&mut self, status: Status) {
        match &mut self.0 {
            Kept::Present(len) if status == Status::Present && *len < PRESENT_MAX => *len += 1,
            Kept::Present(len) => {
                let mut each = vec![Status::Present; *len];
                each.push(status);
                self.0 = Kept::Each(each);
            }
            Kept::Each(each) => each.push(status),
        }
    }

    /// Appends the statuses of `other`.
    pub fn append(&mut self, other: Self) {
        match (&mut self.0, other.0) {
            (Kept::Present(len), Kept::Present(more)) => *self = Self::present(*len + more),
            (Kept::Present(len), Kept::Each(more)) => {
                let mut each = vec![Status::Present; *len];
                each.extend(more);
                self.0 = Kept::Each(each);
            }
            (Kept::Each(each), Kept::Present(more)) => each.resize(each.len() + more, Status::Present),
            (Kept::Each(each), Kept::Each(more)) => each.extend(more),
        }
    }

    /// Splits off the statuses from index `at` on. Returns an empty list if there are fewer.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        match &mut self.0 {
            Kept::Present(len) => {
                let taken = len.saturating_sub(at);
                *len -= taken;
                Self::present(taken)
            }
            Kept::Each(each) => Self(Kept::Each(each.split_off(at.min(each.len())))),
        }
    }

    /// Returns whether every value is present.
    #[must_use]
    pub fn all_present(&self) -> bool {
        match &self.0 {
            Kept::Present(_) => true,
            Kept::Each(each) => each.iter().all(|status| *status == Status::Present),
        }
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self::present(0)
    }
}

impl Deref for Statuses {
    type Target = [Status];

    fn deref(&self) -> &[Status] {
        match &self.0 {
            Kept::Present(len) => &PRESENT[..*len],
            Kept::Each(each) => each,
        }
    }
}

impl From<Vec<Status>> for Statuses {
    fn from(each: Vec<Status>) -> Self {
        Self(Kept::Each(each))
    }
}

impl PartialEq for Statuses {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<[Status; N]> for Statuses {
    fn eq(&self, other: &[Status; N]) -> bool {
        **self == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_representations_equal_the_slice_that_was_pushed() {
        for absent_at in [0, 3, PRESENT_MAX - 1, PRESENT_MAX, PRESENT_MAX + 7] {
            let len = PRESENT_MAX + 9;
            let status = |at: usize| if at == absent_at { Status::NotFound } else { Status::Present };
            let mut statuses = Statuses::default();
            (0..absent_at).for_each(|at| statuses.push(status(at)));
            assert!(statuses.all_present() && statuses == Statuses::present(absent_at), "{absent_at}");
            (absent_at..len).for_each(|at| statuses.push(status(at)));
            assert!(!statuses.all_present(), "{absent_at}");
            assert_eq!(*statuses, *(0..len).map(status).collect::<Vec<_>>(), "{absent_at}");
            let whole = statuses.clone();
            for at in [0, 3, PRESENT_MAX, len, len + 1] {
                let rest = statuses.split_off(at);
                assert_eq!((&*statuses, &*rest), whole.split_at(at.min(len)), "{absent_at} {at}");
                statuses.append(rest);
                assert_eq!(statuses, whole, "{absent_at} {at}");
            }
        }
    }
}
