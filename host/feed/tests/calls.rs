//! Calls to a leader: replies, errors, overload, lost connections.

mod support;

use littoral_feed::{
    client::{self, CallError},
    server::Config,
};
use littoral_model::freshness::Consistency;
use littoral_model::{
    event_time::EventTime,
    module::ModuleDigest,
    position::Lsn,
    read::ReadError,
    view::ViewId,
    write::{RowBatch, RowWrite, WriteError, WriteRequest},
};
use support::*;

fn one_row(key: u64) -> WriteRequest {
    let mut rows = RowBatch::default();
    rows.push(RowWrite { view: ViewId(1), event_time: EventTime(1), key: &key.to_le_bytes(), body: Some(&[9; 20]) });
    WriteRequest { rows, ..WriteRequest::default() }
}

#[tokio::test]
async fn each_call_is_answered_by_the_leader() {
    let served = serve(Config::default()).await;
    served.leader.put(1, 5);
    let calls = served.connect().await.calls;

    let read = calls.read(keys(1, [4, 5, 5]), Consistency::Replica).await.unwrap();
    assert_eq!(read.as_of, served.leader.last().position);
    assert_eq!(read.watermark.get(region()).unwrap().1, Lsn(3));
    let [none, row, again] = &read.rows[0][..] else { panic!("{:?}", read.rows) };
    assert!(none.is_none());
    let row = row.as_ref().unwrap();
    assert_eq!((row.key(), row.body(), row.header().lsn), (&5u64.to_le_bytes()[..], &[7; 100][..], Lsn(3)));
    assert_eq!(row.header().version, version(3));
    assert!(again.is_some());

    let receipt = calls.write(one_row(6)).await.unwrap();
    assert_eq!(receipt.position.lsn, Lsn(4));
    assert_eq!(
        calls.write(WriteRequest::default()).await,
        Err(WriteError::UnknownView("nothing".into())),
        "the leader's own error"
    );
    let dropped = calls.change(littoral_model::catalogue::CatalogueChange::DropView("b".into())).await.unwrap();
    assert_eq!(dropped.position.lsn, Lsn(5));
    let refused = calls.change(littoral_model::catalogue::CatalogueChange::DropView("b".into())).await;
    assert!(matches!(refused, Err(WriteError::Invalid(_))), "{refused:?}");

    let component = bytes::Bytes::from(vec![3; 3_000_000]);
    let put = calls.put_module("m".into(), "1".into(), component.clone()).await.unwrap();
    assert_eq!(put.digest, ModuleDigest::of(&component));
    let digest = ModuleDigest::of(&served.leader.component);
    assert_eq!(calls.fetch_module(digest).await.unwrap(), Some(served.leader.component.clone()));
    assert_eq!(calls.fetch_module(put.digest).await.unwrap(), None);
    assert_eq!(calls.status().await.unwrap().name, "fake");
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_the_others() {
    let served = serve(Config::default()).await;
    served.leader.put(1, 5);
    let calls = served.connect().await.calls;
    served.leader.hold.send_replace(true);
    let slow = tokio::spawn({
        let calls = calls.clone();
        async move { calls.read(keys(1, [5]), Consistency::Replica).await.map(|read| read.rows[0][0].is_some()) }
    });
    served.leader.began(1).await;
    calls.status().await.unwrap();
    assert!(!slow.is_finished());
    served.leader.hold.send_replace(false);
    assert_eq!(slow.await.unwrap(), Ok(true));
}

#[tokio::test]
async fn calls_time_out_and_a_late_reply_is_ignored() {
    let served = serve(Config::default()).await;
    let config = client::Config { call_timeout_ms: 50, ..served.client() };
    let calls = client::connect(&config).await.unwrap().calls;
    served.leader.hold.send_replace(true);
    let error = calls.read(keys(1, [5]), Consistency::Replica).await.unwrap_err();
    assert!(matches!(&error, ReadError::LeaderUnavailable(reason) if reason.contains("50 ms")), "{error}");
    served.leader.began(1).await;
    served.leader.hold.send_replace(false);
    // Now the late reply arrives. On a busy machine a later call may also take 50 ms.
    let again = async {
        loop {
            match calls.read(keys(1, [5]), Consistency::Replica).await {
                Err(ReadError::LeaderUnavailable(reason)) if reason.contains("50 ms") => {}
                other => break other,
            }
        }
    };
    let read = tokio::time::timeout(SOON, again).await.expect("later calls are answered");
    assert_eq!(read.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn too_many_waiting_calls_fail_as_overload() {
    let served = serve(Config::default()).await;
    let config = client::Config { calls_in_flight_max: 1, ..served.client() };
    let calls = client::connect(&config).await.unwrap().calls;
    served.leader.hold.send_replace(true);
    let waiting = tokio::spawn({
        let calls = calls.clone();
        async move { calls.read(keys(1, [5]), Consistency::Replica).await.map(drop) }
    });
    served.leader.began(1).await;
    assert_eq!(calls.status().await, Err(CallError::Overloaded(1)));
    assert!(matches!(calls.read(keys(1, [5]), Consistency::Replica).await, Err(ReadError::Overloaded(_))));
    assert_eq!(calls.write(one_row(1)).await, Err(WriteError::Overloaded));
    served.leader.hold.send_replace(false);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    calls.status().await.unwrap();
}

#[tokio::test]
async fn one_too_large_call_fails_alone() {
    let served = serve(Config::default()).await;
    let calls = served.connect().await.calls;
    let component = bytes::Bytes::from(vec![3; littoral_wire::REQUEST_LEN_MAX]);
    let error = calls.put_module("m".into(), "1".into(), component).await.unwrap_err();
    assert!(matches!(error, WriteError::Invalid(_)), "{error}");
    calls.status().await.unwrap();
}

#[tokio::test]
async fn waiting_calls_fail_at_once_when_the_connection_is_lost() {
    let served = serve(Config::default()).await;
    let proxy = cut_off_able(&served.address).await;
    let config = client::Config { leader: vec![proxy.address.clone()], ..client::Config::default() };
    let calls = client::connect(&config).await.unwrap().calls;
    served.leader.hold.send_replace(true);
    let waiting = tokio::spawn({
        let calls = calls.clone();
        async move { calls.read(keys(1, [5]), Consistency::Replica).await.map(drop) }
    });
    served.leader.began(1).await;
    proxy.task.abort();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, ReadError::LeaderUnavailable(_)), "{error}");
    assert!(!calls.is_connected());
    assert!(matches!(calls.status().await, Err(CallError::Disconnected(_))));
    assert!(matches!(calls.write(one_row(1)).await, Err(WriteError::LeaderUnavailable(_))));
}

#[tokio::test]
async fn a_stopping_leader_answers_running_calls() {
    let served = serve(Config::default()).await;
    let calls = served.connect().await.calls;
    served.leader.hold.send_replace(true);
    let waiting = tokio::spawn({
        let calls = calls.clone();
        async move { calls.read(keys(1, [5]), Consistency::Replica).await.map(drop) }
    });
    served.leader.began(1).await;
    served.shutdown.cancel();
    tokio::task::yield_now().await;
    served.leader.hold.send_replace(false);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let ended = async { while !matches!(calls.status().await, Err(CallError::Disconnected(_))) {} };
    tokio::time::timeout(SOON, ended).await.expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_one_connection() {
    let served = serve(Config::default()).await;
    (0..100).for_each(|key| served.leader.put(1, key));
    let calls = served.connect().await.calls;
    let callers: Vec<_> = (0..64u64)
        .map(|caller| {
            let calls = calls.clone();
            tokio::spawn(async move {
                for turn in 0..50 {
                    let key = (caller + turn) % 128;
                    let read = calls.read(keys(1, [key]), Consistency::Replica).await.unwrap();
                    assert_eq!(
                        read.rows[0][0].as_ref().map(|row| row.key().to_vec()),
                        (key < 100).then(|| key.to_le_bytes().to_vec())
                    );
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}
