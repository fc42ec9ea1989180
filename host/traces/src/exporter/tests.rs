use super::*;
use littoral_runtime::trace::Kind;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

fn record(name: &'static str) -> Record {
    let context: littoral_runtime::trace::TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    Record {
        trace: context.trace,
        span: context.span,
        parent: None,
        links: Vec::new(),
        state: None,
        name: name.into(),
        kind: Kind::Internal,
        began_ns: 1,
        took: Duration::ZERO,
        attributes: Vec::new(),
        error: None,
    }
}

fn exporter(address: SocketAddr, headers_file: Option<PathBuf>) -> Exporter {
    let node = Node { role: "edge", name: "e1".to_owned(), region: None, build: "1" };
    let config = Config { endpoint: Some(format!("http://{address}")), headers_file, ..Config::default() };
    Exporter::new(&config, &node).unwrap().unwrap()
}

fn batch(exporter: &Exporter) -> Batch {
    exporter.batch(&mut vec![record("a"), record("b")])
}

/// A collector that answers each request with the next of these, then with a success.
struct Collector {
    address: SocketAddr,
    /// The heads and the decoded bodies of the requests.
    received: mpsc::Receiver<(String, ExportTraceServiceRequest)>,
}

async fn collector(answers: Vec<Vec<u8>>) -> Collector {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (head, length) = loop {
                socket.read_buf(&mut bytes).await.unwrap();
                if let Some(end) = bytes.windows(4).position(|at| at == b"\r\n\r\n") {
                    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let length = length.unwrap().parse::<usize>().unwrap();
                    break (head, end + 4 + length);
                }
            };
            while bytes.len() < length {
                socket.read_buf(&mut bytes).await.unwrap();
            }
            let body = ExportTraceServiceRequest::decode(&bytes[head.len() + 4..]).unwrap();
            sender.send((head, body)).await.unwrap();
            let answer = answers.next().unwrap_or_else(|| answer("200 OK", "", b""));
            // The exporter may have read enough already.
            let _ = socket.write_all(&answer).await;
        }
    });
    Collector { address, received }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn partial(rejected_spans: i64) -> Vec<u8> {
    let partial = opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
        rejected_spans,
        error_message: "too old".to_owned(),
    };
    ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

#[tokio::test]
async fn a_batch_is_sent_with_the_headers_of_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "x-key: first\n").unwrap();
    let mut collector = collector(Vec::new()).await;
    let exporter = exporter(collector.address, Some(file.path().to_owned()));
    assert_eq!(exporter.send(&batch(&exporter)).await.unwrap(), 0);
    std::fs::write(file.path(), "x-key: second\n").unwrap();
    assert_eq!(exporter.send(&batch(&exporter)).await.unwrap(), 0);
    for key in ["first", "second"] {
        let (head, body) = collector.received.recv().await.unwrap();
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(head.contains(&format!("x-key: {key}")), "{head}");
        assert_eq!(body.resource_spans[0].scope_spans[0].spans.len(), 2);
    }
}

#[tokio::test]
async fn what_a_collector_answers_decides_whether_spans_are_sent_again() {
    let huge = vec![b'x'; ANSWER_MAX + 1];
    let cases = [
        (answer("200 OK", "", &partial(1)), Ok(1)),
        (answer("200 OK", "", &partial(99)), Ok(2)),
        (answer("200 OK", "", &partial(-1)), Ok(0)),
        (answer("202 Accepted", "", b"{}"), Ok(0)),
        (answer("200 OK", "", b" <!doctype html>"), Err((None, "HTML"))),
        (answer("200 OK", "", &huge), Err((None, "longer than"))),
        (answer("404 Not Found", "", b""), Err((None, "traces.endpoint"))),
        (answer("401 Unauthorized", "", b""), Err((None, "headers_file"))),
        (answer("302 Found", "location: /elsewhere\r\n", b""), Err((None, "redirects"))),
        (answer("400 Bad Request", "", b""), Err((None, "400"))),
        (answer("429 Too Many Requests", "retry-after: 7\r\n", b""), Err((Some(7), "429"))),
        (answer("503 Service Unavailable", "retry-after: soon\r\n", b""), Err((Some(0), "503"))),
        (b"not HTTP at all\r\n\r\n".to_vec(), Err((Some(0), ""))),
    ];
    let collector = collector(cases.iter().map(|(answer, _)| answer.clone()).collect()).await;
    let exporter = exporter(collector.address, None);
    for (answer, expected) in &cases {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        match (exporter.send(&batch(&exporter)).await, expected) {
            (Ok(rejected), Ok(expected)) => assert_eq!(rejected, *expected, "{shown}"),
            (Err(Failed { reason, retry }), Err((expected, text))) => {
                assert_eq!(retry.map(|pause| pause.as_secs()), *expected, "{shown}: {reason}");
                assert!(reason.contains(text), "{shown}: {reason}");
            }
            (other, _) => panic!("{shown}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_batch_is_sent_again_and_what_is_left_is_sent_when_the_process_stops() {
    let mut collector = collector(vec![answer("503 Service Unavailable", "", b"")]).await;
    let (sender, spans) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let running = tokio::spawn(exporter(collector.address, None).run(spans, stop.clone()));
    let names = |body: &ExportTraceServiceRequest| -> Vec<String> {
        body.resource_spans[0].scope_spans[0].spans.iter().map(|span| span.name.clone()).collect()
    };
    sender.send(record("first")).await.unwrap();
    for _ in 0..2 {
        let (_, body) = collector.received.recv().await.unwrap();
        assert_eq!(names(&body), ["first"]);
    }
    sender.send(record("last")).await.unwrap();
    stop.cancel();
    let (_, body) = collector.received.recv().await.unwrap();
    assert_eq!(names(&body), ["last"]);
    running.await.unwrap();
}

#[tokio::test]
async fn a_collector_that_is_gone_delays_the_end_of_the_process_for_a_bounded_time() {
    // Its connections are accepted and never answered, so each batch would take as long as a request may.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let batches = 100;
    let (sender, spans) = mpsc::channel(batches * BATCH_MAX);
    for _ in 0..batches * BATCH_MAX {
        sender.try_send(record("lost")).unwrap();
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let run = exporter(silent.local_addr().unwrap(), None).run(spans, stop);
    tokio::time::timeout(REQUEST_MAX * batches as u32 / 5, run).await.expect("it ends");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node { role: "edge", name: "e1".to_owned(), region: None, build: "1" };
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let config = |ca_file, headers_file| {
        let endpoint = Some("https://127.0.0.1:4318".to_owned());
        Config { endpoint, ca_file, headers_file, ..Config::default() }
    };
    for (config, expected) in [
        (config(Some(dir.path().join("none")), None), "'ca_file' "),
        (config(file("empty", ""), None), "it contains no certificate"),
        (config(None, Some(dir.path().join("none"))), "'headers_file' "),
        (config(None, file("headers", "s3cret")), "line 1: it has no colon"),
    ] {
        let error = Exporter::new(&config, &node).err().unwrap();
        assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
    }
    assert!(Exporter::new(&Config::default(), &node).unwrap().is_none());
}
