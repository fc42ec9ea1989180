//! The leader's queue of writes that wait for a commit.

#[path = "../../../host/leader/src/queue.rs"]
#[allow(dead_code, reason = "a part of its calls is modelled")]
mod shipped;

use shipped::{Came, PushError, Queue};
use shuttle::thread;
use std::sync::Arc;

const WRITERS: usize = 3;
const WRITES: usize = 3;
const ITEMS_MAX: usize = 3;

/// Writers push while one thread commits, a second nudges it and a third closes the queue: what was taken in is committed once
/// and in its writer's order, what was refused is not, no nudge is lost, and the committer ends.
pub fn every_write_taken_in_is_committed_once_and_in_order() {
    let queue = Arc::new(Queue::new(ITEMS_MAX, 1_000));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let queue = queue.clone();
            thread::spawn(move || {
                let (mut taken_in, mut closed) = (Vec::new(), false);
                for write in 0..WRITES {
                    match queue.push((writer, write), 10) {
                        Ok(()) => {
                            assert!(!closed, "a closed queue took in a write");
                            taken_in.push((writer, write));
                        }
                        Err(PushError::Full) => thread::yield_now(),
                        Err(PushError::Closed) => closed = true,
                    }
                }
                taken_in
            })
        })
        .collect();
    let committer = {
        let queue = queue.clone();
        thread::spawn(move || {
            let (mut committed, mut batch) = (Vec::new(), Vec::new());
            // As while a full batch waits for the one before it.
            assert_eq!(queue.next(&mut batch, 0), Came::Nudge);
            while let Came::Items(bytes) = queue.next(&mut batch, 20) {
                assert!(!batch.is_empty() && batch.len() <= ITEMS_MAX, "a batch of {}", batch.len());
                assert_eq!(bytes, batch.len() * 10);
                committed.append(&mut batch);
            }
            committed
        })
    };
    let nudger = {
        let queue = queue.clone();
        thread::spawn(move || queue.nudge())
    };
    let closer = {
        let queue = queue.clone();
        thread::spawn(move || queue.close())
    };
    let taken_in: Vec<Vec<_>> = writers.into_iter().map(|writer| writer.join().expect("a writer ends well")).collect();
    nudger.join().expect("the nudger ends well");
    closer.join().expect("the closer ends well");
    let committed = committer.join().expect("the committer ends well");
    for (writer, taken_in) in taken_in.iter().enumerate() {
        let of_writer: Vec<_> = committed.iter().copied().filter(|(of, _)| *of == writer).collect();
        assert_eq!(&of_writer, taken_in, "writer {writer}");
    }
    assert_eq!(queue.len(), 0);
}
