//! One connection over a link, from its opening to its end.

use super::{
    Inner,
    conditions::{Conditions, Direction, Newcomers, Side},
    lane::{Broken, Carrier},
};
use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, Interest},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// How long the target may take to accept: longer than any client waits.
const DIAL_MAX: Duration = Duration::from_secs(20);

/// The fate of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is forwarded.
    Carried,
    /// Bytes in these directions vanish, and so does the end of the stream.
    Swallowed(Side),
    /// One end is closed, and the other does not notice.
    Orphaned(End),
    /// Both ends are reset.
    Reset,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client.
    Client,
    /// The target.
    Target,
}

impl Fate {
    pub(super) fn swallows(self, direction: Direction) -> bool {
        matches!(self, Self::Swallowed(side) if side.includes(direction))
    }
}

/// Forwards a connection until both directions have ended.
pub(super) async fn serve(inner: Arc<Inner>, number: u64, client: TcpStream, mut fate: watch::Receiver<Fate>) {
    let opened = tokio::select! {
        opened = open(&inner, &client) => opened,
        () = abandoned(&mut fate) => None,
    };
    let Some(mut target) = opened else { return reset(&client) };
    let mut client = client;
    // A closed socket is noticed when it is read.
    let _ = client.set_nodelay(true).and_then(|()| target.set_nodelay(true));
    let seen = fate.clone();
    let ended = tokio::select! {
        carried = carry(&inner, number, &mut client, &mut target, &seen) => carried,
        () = abandoned(&mut fate) => Err(Broken),
    };
    let fate = *fate.borrow();
    match (ended, fate) {
        (Err(Broken), Fate::Orphaned(End::Client)) => orphan(client, target).await,
        (Err(Broken), Fate::Orphaned(End::Target)) => orphan(target, client).await,
        (Err(Broken), _) => {
            reset(&client);
            reset(&target);
        }
        (Ok(()), _) => {}
    }
}

/// Connects to the target under the conditions; `None` when that fails.
async fn open(inner: &Inner, client: &TcpStream) -> Option<TcpStream> {
    let mut conditions: watch::Receiver<Conditions> = inner.conditions.subscribe();
    let served = *conditions.wait_for(|conditions| conditions.newcomers != Newcomers::Unanswered).await.ok()?;
    // Opening a connection takes one round trip.
    tokio::time::sleep(served.to_target.latency + served.to_client.latency).await;
    if has_left(client) {
        return None;
    }
    let dial = async { inner.network.socket(inner.target)?.connect(inner.target).await };
    match timeout(DIAL_MAX, dial).await {
        Ok(Ok(target)) => Some(target),
        Ok(Err(error)) => {
            tracing::debug!(target = %inner.target, %error, "cannot connect to the link's target");
            None
        }
        Err(_) => None,
    }
}

/// Returns whether a client has closed its connection while it waited. Then it must not be forwarded.
fn has_left(client: &TcpStream) -> bool {
    use std::task::{Context, Poll, Waker};
    let ready = std::pin::pin!(client.ready(Interest::READABLE));
    match ready.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

async fn carry(
    inner: &Inner,
    number: u64,
    client: &mut TcpStream,
    target: &mut TcpStream,
    fate: &watch::Receiver<Fate>,
) -> Result<(), Broken> {
    let (client_broken, target_broken) = (AtomicBool::new(false), AtomicBool::new(false));
    let (mut from_client, mut to_client) = client.split();
    let (mut from_target, mut to_target) = target.split();
    let there = Carrier {
        direction: Direction::ToTarget,
        shared: &inner.to_target,
        conditions: inner.conditions.subscribe(),
        fate: fate.clone(),
        random: fastrand::Rng::with_seed(inner.seed ^ (number << 1)),
        source_broken: &client_broken,
        sink_broken: &target_broken,
    };
    let back = Carrier {
        direction: Direction::ToClient,
        shared: &inner.to_client,
        conditions: inner.conditions.subscribe(),
        fate: fate.clone(),
        random: fastrand::Rng::with_seed(inner.seed ^ (number << 1 | 1)),
        source_broken: &target_broken,
        sink_broken: &client_broken,
    };
    tokio::try_join!(there.carry(&mut from_client, &mut to_target), back.carry(&mut from_target, &mut to_client))?;
    Ok(())
}

/// Waits until the connection must not be forwarded any more.
async fn abandoned(fate: &mut watch::Receiver<Fate>) {
    // An error means that the link was dropped, and the connection with it.
    let _ = fate.wait_for(|fate| matches!(fate, Fate::Orphaned(_) | Fate::Reset)).await;
}

/// Closes one end, and keeps the other open until it closes: reads from it, and sends nothing.
async fn orphan(mut kept: TcpStream, gone: TcpStream) {
    drop(gone);
    let mut unheard = vec![0; 4 << 10];
    while kept.read(&mut unheard).await.is_ok_and(|len| len > 0) {}
}

fn reset(socket: &TcpStream) {
    // A closed socket needs no reset.
    let _ = socket.set_zero_linger();
}
