//! Requests of web pages.

use crate::door::{Door, READ, SOON, from_page};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_doors::Config;
use tokio::{net::TcpStream, time::timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_can_use_no_path_of_a_door_unless_its_origin_is_configured() {
    let config: Config =
        toml::from_str("origins = [\"https://console.example\"]\nhosts = [\"features.example\"]").unwrap();
    let door = Door::open(config).await;
    let paths = [
        "/get-online-features",
        "/push",
        "/write-to-online-store",
        "/v1/read",
        "/v1/rows",
        "/v1/views/v/rows",
        "/health",
        "/nope",
    ];
    for path in paths {
        for (headers, code) in [
            ("host: localhost\r\norigin: https://evil.example\r\n", "origin_not_allowed"),
            ("host: localhost\r\norigin: null\r\n", "origin_not_allowed"),
            (
                "host: localhost\r\norigin: https://console.example\r\norigin: https://evil.example\r\n",
                "origin_not_allowed",
            ),
            ("host: evil.example:6566\r\n", "host_not_allowed"),
            ("host: evil.example\r\norigin: https://console.example\r\n", "host_not_allowed"),
        ] {
            let answer = door.connect().await.ask(&from_page(path, headers)).await;
            assert_eq!(answer.status, 403, "{path} {headers}: {}", answer.text);
            assert!(answer.text.contains(&format!("littoral-error: {code}")), "{path}: {}", answer.text);
            assert!(answer.text.contains("door.origins") || answer.text.contains("door.hosts"), "{}", answer.text);
        }
    }
    for headers in [
        "host: localhost\r\norigin: https://console.example\r\n",
        "host: 127.0.0.1:6566\r\n",
        "host: [::1]:6566\r\n",
        "host: features.example\r\n",
    ] {
        let answer = door.connect().await.ask(&from_page("/get-online-features", headers)).await;
        assert_eq!(answer.status, 200, "{headers}: {}", answer.text);
    }
    let old = format!("POST /get-online-features HTTP/1.0\r\ncontent-length: {}\r\n\r\n{READ}", READ.len());
    assert_eq!(door.connect().await.ask(&old).await.status, 200, "HTTP/1.0 names no host");
    let absolute = from_page("http://evil.example/v1/read", "host: localhost\r\n");
    assert_eq!(door.connect().await.ask(&absolute).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_the_authority_and_the_origin_are_checked_too() {
    let door = Door::open(Config::default()).await;
    let stream = TcpStream::connect(door.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (uri, origin, status) in [
        ("http://localhost/get-online-features", None, 200),
        ("http://127.0.0.1:1/get-online-features", None, 200),
        ("http://evil.example/get-online-features", None, 403),
        ("http://evil.example/v1/read", None, 403),
        ("http://localhost/get-online-features", Some("http://evil.example"), 403),
        ("http://localhost/v1/rows", Some("http://localhost"), 403),
    ] {
        let mut request = http::Request::post(uri).body(Full::new(Bytes::from(READ))).unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let answer = timeout(SOON, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), status, "{uri} {origin:?}");
        assert_eq!(answer.headers().contains_key("littoral-error"), status == 403);
    }
}
