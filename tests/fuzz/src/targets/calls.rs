//! Calls and their replies.

use super::{
    check_words,
    frames::{payloads, sent},
};
use crate::Target;
use bytes::Bytes;
use littoral_wire::call;

pub(super) const REQUESTS: Target =
    Target { name: "requests", run: requests, seeds: || payloads("request"), memory: (2 << 20, 256) };
pub(super) const REPLIES: Target =
    Target { name: "replies", run: replies, seeds: || payloads("reply"), memory: (2 << 20, 256) };

fn requests(payload: &[u8]) {
    match call::request(payload) {
        Err(error) => check_words(&error.to_string()),
        Ok(request) => {
            let payload = sent(|out| call::push_request(out, &request));
            let again = call::request(&payload).expect("our own request is valid");
            // Compared as bytes, because NaN is not equal to itself.
            assert_eq!(sent(|out| call::push_request(out, &again)), payload);
        }
    }
}

fn replies(payload: &[u8]) {
    let payload = Bytes::copy_from_slice(payload);
    let id = call::reply_id(&payload);
    match call::reply(&payload) {
        Err(error) => check_words(&error.to_string()),
        Ok(reply) => {
            assert_eq!(id.ok(), Some(reply.id), "a reply has the id of its request");
            let payload = sent(|out| call::push_reply(out, &reply));
            let again = call::reply(&payload).expect("our own reply is valid");
            assert_eq!(sent(|out| call::push_reply(out, &again)), payload);
        }
    }
}
