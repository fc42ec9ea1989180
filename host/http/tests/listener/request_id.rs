//! The ids of requests: every answer carries one, and so does the work for the request.

use crate::{Listener, limits};

/// Sends a request with these header lines. Returns the id in the answer's header, and the answer's body.
async fn ask(listener: &Listener, path: &str, lines: &str) -> (String, String) {
    let mut stream = listener.connect([127, 0, 0, 1]).await;
    stream.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{lines}\r\n").as_bytes()).await;
    let answer = stream.answer().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let ids: Vec<_> = head.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    assert_eq!(ids.len(), 1, "{head}");
    (ids[0].to_owned(), body.to_owned())
}

#[tokio::test]
async fn an_answer_carries_the_id_that_its_task_works_under() {
    let listener = Listener::open(limits(8)).await;
    let given = ask(&listener, "/id", "X-Request-Id: of-the-client:1\r\n").await;
    assert_eq!(given, ("of-the-client:1".to_owned(), "of-the-client:1".to_owned()));
    let (first, second) =
        (ask(&listener, "/id", "").await, ask(&listener, "/id", "x-request-id: forged line\r\n").await);
    for (id, of_task) in [&first, &second] {
        assert_eq!((id.len(), id), (16, of_task));
    }
    assert_ne!(first, second);
    let panicked = ask(&listener, "/panic", "x-request-id: unlucky\r\n").await;
    assert_eq!(panicked, ("unlucky".to_owned(), "panicked".to_owned()));
}
