//! Which requests share a call: those that come while others of the same release wait for their turn.
//!
//! Nobody waits for company. A lane is opened by a request and closed when the host has nothing else to do at once, so what
//! has come in between goes along; that is many when the host is busy, and then it matters. A lane that finds nobody to share with, or
//! whose calls fail, lets requests go alone for a while and tries again.

/// So many lanes in a row with one request each show that sharing finds nobody.
const LONELY_MAX: u32 = 4;

/// So many requests go alone then.
const ALONE_WHEN_LONELY: u32 = 32;

/// So many requests go alone after a shared call has failed; twice as many each time that it fails again, up to
/// [`ALONE_MAX`].
const ALONE_WHEN_FAILED: u32 = 64;

/// See [`ALONE_WHEN_FAILED`].
const ALONE_MAX: u32 = 1 << 16;

/// The call that requests of one release may share next.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    open: Option<T>,
    requests: usize,
    rows: usize,
    rows_max: usize,
    lonely: u32,
    alone: u32,
    alone_when_failed: u32,
}

/// What a request is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered<'a, T> {
    /// It goes alone.
    Alone,
    /// It opens the lane ([`Lane::open`]), and must see to it that the lane is closed.
    Opens,
    /// It goes along with this call.
    Joins(&'a mut T),
}

impl<T> Lane<T> {
    /// A lane whose calls have at most so many rows.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self { open: None, requests: 0, rows: 0, rows_max, lonely: 0, alone: 0, alone_when_failed: ALONE_WHEN_FAILED }
    }

    /// A request of so many rows. `goes_with` says whether it may share the call that is open.
    pub(crate) fn offer(&mut self, rows: usize, goes_with: impl FnOnce(&T) -> bool) -> Offered<'_, T> {
        if let Some(open) = &mut self.open {
            if rows > self.rows_max.saturating_sub(self.rows) || !goes_with(open) {
                return Offered::Alone;
            }
            self.requests += 1;
            self.rows += rows;
            return Offered::Joins(open);
        }
        // Half of a call is left for others; a request that is larger gains little by sharing.
        if self.alone > 0 || rows > self.rows_max / 2 {
            self.alone = self.alone.saturating_sub(1);
            return Offered::Alone;
        }
        (self.requests, self.rows) = (1, rows);
        Offered::Opens
    }

    /// The call of the request that opens the lane.
    pub(crate) fn open(&mut self, call: T) {
        self.open = Some(call);
    }

    /// The call as it is to be made now.
    pub(crate) fn close(&mut self) -> Option<T> {
        let call = self.open.take()?;
        if self.requests > 1 {
            self.lonely = 0;
        } else {
            self.lonely += 1;
            if self.lonely >= LONELY_MAX {
                (self.lonely, self.alone) = (0, ALONE_WHEN_LONELY);
            }
        }
        Some(call)
    }

    /// What came of a call that several have shared.
    pub(crate) fn ended(&mut self, well: bool) {
        if well {
            self.alone_when_failed = ALONE_WHEN_FAILED;
        } else {
            self.alone = self.alone_when_failed;
            self.alone_when_failed = (self.alone_when_failed * 2).min(ALONE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call is the requests that share it: those whose letters are of one case.
    fn offer(lane: &mut Lane<String>, request: char, rows: usize) -> &'static str {
        let of_one_case = |open: &String| open.chars().all(|c| c.is_ascii_lowercase() == request.is_ascii_lowercase());
        match lane.offer(rows, of_one_case) {
            Offered::Alone => "alone",
            Offered::Joins(call) => {
                call.push(request);
                "joins"
            }
            Offered::Opens => {
                lane.open(request.into());
                "opens"
            }
        }
    }

    #[test]
    fn what_comes_while_a_lane_is_open_goes_along() {
        let mut lane = Lane::new(10);
        assert_eq!(offer(&mut lane, 'a', 1), "opens");
        assert_eq!(offer(&mut lane, 'b', 2), "joins");
        assert_eq!(offer(&mut lane, 'X', 1), "alone", "it is of another kind");
        assert_eq!(offer(&mut lane, 'c', 8), "alone", "it has too many rows");
        assert_eq!(offer(&mut lane, 'd', 7), "joins");
        assert_eq!(lane.close().as_deref(), Some("abd"));
        assert_eq!(lane.close(), None);
        assert_eq!(offer(&mut lane, 'e', 6), "alone", "more than half of a call opens none");
        assert_eq!(offer(&mut lane, 'f', 5), "opens");
    }

    #[test]
    fn who_finds_nobody_goes_alone_for_a_while() {
        let mut lane = Lane::new(10);
        for _ in 0..LONELY_MAX {
            assert_eq!(offer(&mut lane, 'a', 1), "opens");
            lane.close();
        }
        for _ in 0..ALONE_WHEN_LONELY {
            assert_eq!(offer(&mut lane, 'a', 1), "alone");
        }
        assert_eq!(offer(&mut lane, 'a', 1), "opens");
    }

    #[test]
    fn a_shared_call_that_fails_is_tried_again_ever_later() {
        let mut lane = Lane::new(10);
        let mut fail = || {
            let mut alone = 0;
            while offer(&mut lane, 'a', 1) != "opens" {
                alone += 1;
            }
            assert_eq!(offer(&mut lane, 'b', 1), "joins");
            lane.close();
            lane.ended(false);
            alone
        };
        assert_eq!([fail(), fail(), fail()], [0, ALONE_WHEN_FAILED, 2 * ALONE_WHEN_FAILED]);
        assert_eq!((0..20).map(|_| fail()).max(), Some(ALONE_MAX));
        lane.ended(true);
        assert_eq!(lane.alone_when_failed, ALONE_WHEN_FAILED);
    }
}
