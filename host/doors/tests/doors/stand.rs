//! A door on a free port, and a client of it.

use crate::{
    described,
    node::{MemoryNode, Modules, add},
};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use littoral_doors::{Config, Guard, Metrics, Process};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc};
use tokio_util::sync::{CancellationToken, DropGuard};

pub struct Door {
    pub address: SocketAddr,
    /// The door closes when this is dropped.
    _open: DropGuard,
    client: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's code; empty when it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Door {
    pub async fn open(node: MemoryNode) -> Self {
        Self::open_with(node, Config::default()).await
    }

    pub async fn open_with(node: MemoryNode, config: Config) -> Self {
        Self::open_in(node, config, Process::default()).await
    }

    pub async fn open_in(node: MemoryNode, config: Config, process: Process) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (node, modules) = (Arc::new(node), Arc::new(Modules(add)));
        tokio::spawn(littoral_doors::serve(listener, config, process, node, modules, shutdown.clone()));
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { address, _open: shutdown.drop_guard(), client }
    }

    /// Opens a door with a guard and a listener for administration. Returns the door and a client of that listener.
    pub async fn open_guarded(node: MemoryNode, guard: Guard) -> (Self, Self) {
        let bind = || tokio::net::TcpListener::bind(("127.0.0.1", 0));
        let (listener, admin) = (bind().await.unwrap(), bind().await.unwrap());
        let (address, admin_address) = (listener.local_addr().unwrap(), admin.local_addr().unwrap());
        let metrics = Metrics::new(|| "# metrics\n".to_owned());
        let process = Process { metrics: Some(metrics), ..Process::default() };
        let door =
            littoral_doors::Door::new(listener, Config::default(), process, guard, String::new).with_admin(admin);
        door.opener().open(Arc::new(node), Arc::new(Modules(add)));
        let shutdown = CancellationToken::new();
        tokio::spawn(door.serve(shutdown.clone()));
        let client = || legacy::Client::builder(TokioExecutor::new()).build_http();
        let of = |address, open: CancellationToken| Self { address, _open: open.drop_guard(), client: client() };
        (of(address, shutdown.clone()), of(admin_address, shutdown))
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = body.into();
        let response = self.client.request(request.body(Full::new(sent.clone())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, body };
        described::check(method, path, headers, &sent, &answer);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, &[], body.to_string()).await
    }
}
