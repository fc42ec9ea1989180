//! Threads that serve connections, each with a scheduler, a poller and timers of its own.
//!
//! A connection stays on its thread. Between threads that share tasks, half of what a small request costs is telling the other
//! threads that there is one: waking them, handing it over, fetching its memory from another core's cache. What is long goes to
//! the workers, which share (`littoral_runtime::workers`).

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

/// Threads that serve connections; cheap to clone. The default has none: connections are then served by the runtime that has
/// accepted them.
#[derive(Clone, Debug, Default)]
pub struct Reactors {
    reactors: Arc<[Reactor]>,
    /// Where the search for the least busy one begins, so that equals take turns.
    next: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Reactor {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

/// The threads, until they are stopped.
#[derive(Debug)]
pub(crate) struct Running {
    stop: CancellationToken,
    threads: usize,
    /// Says of each that it has ended.
    ended: mpsc::Receiver<()>,
}

/// A connection that counts as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Reactors {
    /// Starts so many threads.
    ///
    /// # Errors
    /// When the system gives none.
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

    /// Serves a connection on the least busy thread, by the future that `serve` makes of it.
    ///
    /// # Errors
    /// When the thread's poller does not take the connection in.
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

/// Equal are those that are the same threads.
impl PartialEq for Reactors {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reactors, &other.reactors) || self.reactors.is_empty() && other.reactors.is_empty()
    }
}

impl Running {
    /// Stops the threads and waits for them for so long at most.
    pub(crate) fn stop(self, patience: Duration) {
        let deadline = Instant::now() + patience;
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

    /// Opens so many connections, each of which echoes a byte and tells its thread.
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
    async fn connections_are_spread_and_forgotten_when_they_end() {
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
    async fn without_threads_they_are_served_where_they_are_accepted() {
        let threads = threads_of(&Reactors::default(), 4).await;
        assert_eq!(threads, HashMap::from([(thread::current().id(), 4)]));
    }
}
