//! A door that closes: it answers running requests, for a limited time.

use crate::door::{Door, SOON, get, post};
use littoral_doors::Config;
use tokio::{net::TcpStream, time::timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_door_answers_running_requests() {
    let door = Door::open(Config::default()).await;
    let mut idle = door.connect().await;
    assert_eq!(idle.ask(&get("/health")).await.status, 200);
    let mut busy = door.held_read().await;
    door.shutdown.cancel();
    door.release();
    let answer = busy.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    idle.closed().await;
    timeout(SOON, door.served).await.expect("the door closes").unwrap();
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_door_waits_no_longer_than_the_drain_time() {
    let door = Door::open(Config { drain_ms: 100, ..Config::default() }).await;
    let mut trickling = door.connect().await;
    trickling.send((post("/get-online-features", 100) + "{").as_bytes()).await;
    door.serves().await;
    door.shutdown.cancel();
    timeout(SOON, door.served).await.expect("the door closes").unwrap();
}
