//! Decides which requests share a call: those that arrive while others of the same release wait.
//!
//! No request waits for others to arrive. A request opens a queue, and the queue closes when the host has no other
//! ready work, so requests that arrive in between join. A busy host thus shares much, and an idle one little. A queue
//! that nothing joins, or whose calls fail, lets requests call alone for a while before it opens again.

/// After this many queues in a row with one request each, sharing pauses.
const LONELY_MAX: u32 = 4;

/// The number of requests that then call alone.
const ALONE_WHEN_LONELY: u32 = 32;

/// The number of requests that call alone after a shared call has failed. It doubles with each further failure, up to
/// [`ALONE_MAX`].
const ALONE_WHEN_FAILED: u32 = 64;

/// The upper limit of [`ALONE_WHEN_FAILED`] after doubling.
const ALONE_MAX: u32 = 1 << 16;

/// The next shared call of one release.
#[derive(Debug)]
pub(crate) struct CallQueue<T> {
    open: Option<T>,
    requests: usize,
    rows: usize,
    rows_max: usize,
    lonely: u32,
    alone: u32,
    alone_when_failed: u32,
}

/// What a request must do after [`CallQueue::offer`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered<'a, T> {
    /// The request calls alone.
    Alone,
    /// The request opens the queue ([`CallQueue::open`]), and must ensure that the queue is closed.
    Opens,
    /// The request joins this call.
    Joins(&'a mut T),
}

impl<T> CallQueue<T> {
    /// Creates a queue whose calls have at most `rows_max` rows.
    pub(crate) fn new(rows_max: usize) -> Self {
        Self { open: None, requests: 0, rows: 0, rows_max, lonely: 0, alone: 0, alone_when_failed: ALONE_WHEN_FAILED }
    }

    /// Offers a request of `rows` rows. `may_join` returns whether it may share the open call.
    pub(crate) fn offer(&mut self, rows: usize, may_join: impl FnOnce(&T) -> bool) -> Offered<'_, T> {
        if let Some(open) = &mut self.open {
            if rows > self.rows_max.saturating_sub(self.rows) || !may_join(open) {
                return Offered::Alone;
            }
            self.requests += 1;
            self.rows += rows;
            return Offered::Joins(open);
        }
        // Half of a call is left for others; a larger request gains little by sharing.
        if self.alone > 0 || rows > self.rows_max / 2 {
            self.alone = self.alone.saturating_sub(1);
            return Offered::Alone;
        }
        (self.requests, self.rows) = (1, rows);
        Offered::Opens
    }

    /// Stores the call of the request that opens the queue.
    pub(crate) fn open(&mut self, call: T) {
        self.open = Some(call);
    }

    /// Closes the queue and returns the call to make.
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

    /// Records the outcome of a call that several requests shared.
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

    /// A call consists of the requests that share it: letters of one case.
    fn offer(queue: &mut CallQueue<String>, request: char, rows: usize) -> &'static str {
        let of_one_case = |open: &String| open.chars().all(|c| c.is_ascii_lowercase() == request.is_ascii_lowercase());
        match queue.offer(rows, of_one_case) {
            Offered::Alone => "alone",
            Offered::Joins(call) => {
                call.push(request);
                "joins"
            }
            Offered::Opens => {
                queue.open(request.into());
                "opens"
            }
        }
    }

    #[test]
    fn requests_that_arrive_while_a_queue_is_open_join() {
        let mut queue = CallQueue::new(10);
        assert_eq!(offer(&mut queue, 'a', 1), "opens");
        assert_eq!(offer(&mut queue, 'b', 2), "joins");
        assert_eq!(offer(&mut queue, 'X', 1), "alone", "another kind");
        assert_eq!(offer(&mut queue, 'c', 8), "alone", "too many rows");
        assert_eq!(offer(&mut queue, 'd', 7), "joins");
        assert_eq!(queue.close().as_deref(), Some("abd"));
        assert_eq!(queue.close(), None);
        assert_eq!(offer(&mut queue, 'e', 6), "alone", "more than half of a call does not open a queue");
        assert_eq!(offer(&mut queue, 'f', 5), "opens");
    }

    #[test]
    fn requests_call_alone_for_a_while_after_sharing_found_no_others() {
        let mut queue = CallQueue::new(10);
        for _ in 0..LONELY_MAX {
            assert_eq!(offer(&mut queue, 'a', 1), "opens");
            queue.close();
        }
        for _ in 0..ALONE_WHEN_LONELY {
            assert_eq!(offer(&mut queue, 'a', 1), "alone");
        }
        assert_eq!(offer(&mut queue, 'a', 1), "opens");
    }

    #[test]
    fn sharing_is_retried_later_after_each_failure() {
        let mut queue = CallQueue::new(10);
        let mut fail = || {
            let mut alone = 0;
            while offer(&mut queue, 'a', 1) != "opens" {
                alone += 1;
            }
            assert_eq!(offer(&mut queue, 'b', 1), "joins");
            queue.close();
            queue.ended(false);
            alone
        };
        assert_eq!([fail(), fail(), fail()], [0, ALONE_WHEN_FAILED, 2 * ALONE_WHEN_FAILED]);
        assert_eq!((0..20).map(|_| fail()).max(), Some(ALONE_MAX));
        queue.ended(true);
        assert_eq!(queue.alone_when_failed, ALONE_WHEN_FAILED);
    }
}
