//! The leader's queue of writes that wait for a commit.

#[path = "../../../host/leader/src/queue.rs"]
#[allow(dead_code, reason = "a part of its calls is modelled")]
mod shipped;

use shipped::{PushError, Queue};
use shuttle::thread;
use std::sync::Arc;

const WRITERS: usize = 3;
const WRITES: usize = 3;
const ITEMS_MAX: usize = 3;

/// Writers push while one thread commits and another closes the queue. Every accepted write is committed once and in
/// its writer's order, no rejected write is, and the committer ends.
pub fn every_accepted_write_is_committed_once_and_in_order() {
    let queue = Arc::new(Queue::new(ITEMS_MAX, 1_000));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let queue = queue.clone();
            thread::spawn(move || {
                let (mut accepted, mut closed) = (Vec::new(), false);
                for write in 0..WRITES {
                    match queue.push((writer, write), 10) {
                        Ok(()) => {
                            assert!(!closed, "a closed queue accepted a write");
                            accepted.push((writer, write));
                        }
                        Err(PushError::Full) => thread::yield_now(),
                        Err(PushError::Closed) => closed = true,
                    }
                }
                accepted
            })
        })
        .collect();
    let committer = {
        let queue = queue.clone();
        thread::spawn(move || {
            let (mut committed, mut batch) = (Vec::new(), Vec::new());
            while let Some(bytes) = queue.next(&mut batch, 20) {
                assert!(!batch.is_empty() && batch.len() <= ITEMS_MAX, "a batch of {}", batch.len());
                assert_eq!(bytes, batch.len() * 10);
                committed.append(&mut batch);
            }
            committed
        })
    };
    let closer = {
        let queue = queue.clone();
        thread::spawn(move || queue.close())
    };
    let accepted: Vec<Vec<_>> =
        writers.into_iter().map(|writer| writer.join().expect("a writer does not panic")).collect();
    closer.join().expect("the closer does not panic");
    let committed = committer.join().expect("the committer does not panic");
    for (writer, accepted) in accepted.iter().enumerate() {
        let of_writer: Vec<_> = committed.iter().copied().filter(|(of, _)| *of == writer).collect();
        assert_eq!(&of_writer, accepted, "writer {writer}");
    }
    assert_eq!(queue.len(), 0);
}
