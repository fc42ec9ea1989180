//! Reads that wait for freshness.

use crate::door::{Client, Door, READ, SOON, WHILE, post, read};
use bytes::Bytes;
use http_body_util::Full;
use littoral_doors::Config;
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};

/// Returns a read that waits half a minute for a token that is never reached.
fn far_read() -> String {
    let demand = "littoral-at-least: east@5b1c9d0e77a2f410:9000000000000\r\nlittoral-wait-ms: 30000\r\n\r\n";
    post("/get-online-features", READ.len()).replace("\r\n\r\n", &format!("\r\n{demand}")) + READ
}

/// Sends a request over new connections until one of them waits in the node. Panics if none does within [`SOON`].
async fn waits(door: &Door, request: &str) -> Client {
    let attempts = async {
        loop {
            let mut client = door.connect().await;
            client.send(request.as_bytes()).await;
            if timeout(WHILE, client.0.readable()).await.is_err() {
                return client;
            }
            let rejected = client.answer().await;
            assert_eq!(rejected.status, 503, "{}", rejected.text);
            assert!(rejected.text.contains("littoral-error: too_many_waiting"), "{}", rejected.text);
        }
    };
    timeout(SOON, attempts).await.expect("a read may wait")
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_wait_for_freshness_take_no_slot_of_others_and_end_with_their_clients() {
    let door = Door::open(Config { requests_max: 1, waiting_requests_max: 3, ..Config::default() }).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(waits(&door, &far_read()).await);
    }
    // Another read that waits would exceed the bound; a plain one is answered.
    let rejected = door.connect().await.ask(&far_read()).await;
    assert_eq!(rejected.status, 503, "{}", rejected.text);
    assert!(rejected.text.contains("littoral-error: too_many_waiting"), "{}", rejected.text);
    assert!(rejected.text.contains("retry-after: 1"), "{}", rejected.text);
    assert_eq!(door.connect().await.ask(&read()).await.status, 200);
    // A client that disconnects frees its slot, even if its next request has already arrived, behind which the end is
    // not visible.
    drop(waiting.pop());
    waiting.push(waits(&door, &(far_read() + &far_read())).await);
    drop(waiting.pop());
    waiting.push(waits(&door, &far_read()).await);
    // A client that only closes its sending side receives an answer.
    let mut last = waiting.pop().unwrap();
    last.0.shutdown().await.unwrap();
    let answer = last.answer().await;
    assert_eq!(answer.status, 412, "{}", answer.text);
    assert!(answer.text.contains("littoral-error: client_left"), "{}", answer.text);
    waits(&door, &far_read()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_reads_over_http2_end_with_their_stream_or_connection() {
    let door = Door::open(Config { requests_max: 1, waiting_requests_max: 1, ..Config::default() }).await;
    let client = || {
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .http2_only(true)
            .build_http::<Full<Bytes>>()
    };
    let far = || {
        http::Request::post(format!("http://{}/get-online-features", door.address))
            .header("littoral-at-least", "east@5b1c9d0e77a2f410:9000000000000")
            .header("littoral-wait-ms", "30000")
            .body(Full::new(Bytes::from_static(READ.as_bytes())))
            .unwrap()
    };
    let kept = client();
    assert!(timeout(WHILE, kept.request(far())).await.is_err(), "it waits, and its stream is reset");
    drop(waits(&door, &far_read()).await);
    let disconnecting = client();
    let began = tokio::time::Instant::now();
    // While the slot of the previous read is not free yet, the request is rejected.
    let sent = loop {
        let sent = tokio::spawn(disconnecting.request(far()));
        sleep(WHILE).await;
        if !sent.is_finished() {
            break sent;
        }
        assert!(began.elapsed() < SOON, "a read may wait");
    };
    assert_eq!(door.connect().await.ask(&far_read()).await.status, 503);
    sent.abort();
    drop(disconnecting);
    drop(waits(&door, &far_read()).await);
    assert_eq!(door.connect().await.ask(&read()).await.status, 200);
}
