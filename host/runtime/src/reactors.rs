//! Threads that serve connections, each with its own scheduler, poller and timers.
//!
//! A connection stays on its thread. Where threads share tasks, half of a small request's cost is coordination: waking
//! another thread, moving the task, loading its memory into another core's cache. Long work goes to the workers, which
//! share tasks (`littoral_runtime::workers`).

use crate::metrics::count_tasks_of;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Threads that serve connections; cheap to clone. The default has no threads: the runtime that accepts a connection
/// then serves it.
#[derive(Clone, Debug, Default)]
pub struct Reactors {
    reactors: Arc<[Reactor]>,
    /// Where the search for the least busy thread begins, so that equally busy threads alternate.
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Reactor {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// The running threads.
#[derive(Debug)]
pub(crate) struct Running {
    stop: CancellationToken,
    threads: usize,
    /// Receives one message per thread, when the thread has ended.
    ended: mpsc::Receiver<()>,
}

/// Counts a connection while it is open.
struct Counted(Arc<AtomicUsize>);

impl Reactors {
    /// Starts `threads` threads.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub(crate) fn start(threads: usize, grace: Duration) -> io::Result<(Self, Running)> {
        let (stop, (say_ended, ended)) = (CancellationToken::new(), mpsc::sync_channel(threads));
        let mut reactors = Vec::with_capacity(threads);
        let running = Running { stop: stop.clone(), threads, ended };
        for _ in 0..threads {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            count_tasks_of(runtime.handle());
            reactors.push(Reactor { handle: runtime.handle().clone(), connections: Arc::default() });
            let (stop, say_ended) = (stop.clone(), say_ended.clone());
            thread::Builder::new().name("littoral-reactor".into()).spawn(move || {
                runtime.block_on(stop.cancelled());
                runtime.shutdown_timeout(grace);
                let _ = say_ended.send(());
            })?;
        }
        Ok((Self { reactors: reactors.into(), next: Arc::default() }, running))
    }

    /// Serves a connection on the least busy thread, with the future that `serve` returns for it.
    ///
    /// # Errors
    /// If the thread's poller cannot register the connection.
    pub fn spawn<F>(
        &self,
        tasks: &TaskTracker,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F,
    ) -> io::Result<JoinHandle<()>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let first = self.next.fetch_add(1, Relaxed);
        let in_turn = (0..self.reactors.len()).map(|at| &self.reactors[first.wrapping_add(at) % self.reactors.len()]);
        let Some(reactor) = in_turn.min_by_key(|reactor| reactor.connections.load(Relaxed)) else {
            return Ok(tasks.spawn(serve(stream)));
        };
        let stream = stream.into_std()?;
        let stream = {
            let _on_its_thread = reactor.handle.enter();
            TcpStream::from_std(stream)?
        };
        reactor.connections.fetch_add(1, Relaxed);
        let counted = Counted(reactor.connections.clone());
        let served = serve(stream);
        let connection = async move {
            let _counted = counted;
            served.await;
        };
        Ok(tasks.spawn_on(connection, &reactor.handle))
    }
}

/// Two values are equal if they share the threads.
impl PartialEq for Reactors {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reactors, &other.reactors) || self.reactors.is_empty() && other.reactors.is_empty()
    }
}

impl Running {
    /// Stops the threads and waits for them, for at most `timeout`.
    pub(crate) fn stop(self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.stop.cancel();
        for _ in 0..self.threads {
            if self.ended.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
                return;
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashMap, thread::ThreadId};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::mpsc as channel,
    };

    /// Opens connections. Each echoes a byte and reports its thread.
    async fn threads_of(reactors: &Reactors, connections: usize) -> HashMap<ThreadId, usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, (tell, mut told)) = (TaskTracker::new(), channel::channel(connections));
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            let serve = |mut stream: TcpStream| async move {
                let byte = stream.read_u8().await.unwrap();
                stream.write_u8(byte).await.unwrap();
                tell.send(thread::current().id()).await.unwrap();
                let _ = stream.read_u8().await;
            };
            reactors.spawn(&tasks, stream, serve).unwrap();
        }
        let mut threads = HashMap::new();
        for (n, client) in (0..).zip(&mut clients) {
            client.write_u8(n).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), n);
            *threads.entry(told.recv().await.unwrap()).or_default() += 1;
        }
        drop(clients);
        tasks.close();
        tasks.wait().await;
        threads
    }

    #[tokio::test]
    async fn connections_are_distributed_and_no_longer_count_when_they_end() {
        let (reactors, running) = Reactors::start(3, Duration::from_secs(1)).unwrap();
        for _ in 0..3 {
            let threads = threads_of(&reactors, 9).await;
            assert_eq!(threads.values().copied().collect::<Vec<_>>(), [3, 3, 3]);
            assert!(!threads.contains_key(&thread::current().id()));
            assert!(reactors.reactors.iter().all(|reactor| reactor.connections.load(Relaxed) == 0));
        }
        running.stop(Duration::from_secs(10));
    }

    #[tokio::test]
    async fn without_threads_connections_are_served_where_they_are_accepted() {
        let threads = threads_of(&Reactors::default(), 4).await;
        assert_eq!(threads, HashMap::from([(thread::current().id(), 4)]));
    }
}
