//! A real S3 server in this process: s3s implements the protocol and checks signatures, and s3s-fs stores the objects.
//!
//! It checks the condition of a put and then writes, in two steps, while S3 does so atomically. So requests are
//! processed one at a time. `LITTORAL_TEST_S3=s3://BUCKET/PREFIX` with the `AWS_*` variables tests another server.

use s3s::{HttpRequest, HttpResponse, auth::SimpleAuth, service::S3ServiceBuilder};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::Mutex};

const KEY: &str = "littoral";
const SECRET: &str = "a secret for one test";

/// A running server; it stops with the test's runtime.
pub struct S3 {
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl S3 {
    pub const BUCKET: &str = "leases";

    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(Self::BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let one_at_a_time = Arc::new(Mutex::new(()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, one_at_a_time) = (service.clone(), one_at_a_time.clone());
                let answer = move |request: hyper::Request<hyper::body::Incoming>| {
                    let (service, one_at_a_time) = (service.clone(), one_at_a_time.clone());
                    async move {
                        let _guard = one_at_a_time.lock().await;
                        let request: HttpRequest = request.map(s3s::Body::from);
                        let answer: Result<HttpResponse, _> = service.call(request).await;
                        Ok::<_, Infallible>(answer.unwrap())
                    }
                };
                tokio::spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let executor = hyper_util::rt::TokioExecutor::new();
                    let server = hyper_util::server::conn::auto::Builder::new(executor);
                    // A client that disconnects is not an error of the server.
                    let _ = server.serve_connection(io, hyper::service::service_fn(answer)).await;
                });
            }
        });
        Self { address, dir }
    }

    /// Returns the address of a lease in it.
    pub fn lease(&self, name: &str) -> String {
        format!("s3://{}/{name}", Self::BUCKET)
    }

    /// Returns the server's directory with the objects of a lease.
    #[allow(dead_code, reason = "not every test that shares this file uses it")]
    pub fn prefix(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(Self::BUCKET).join(name)
    }

    /// Returns the environment variables with which a process reaches it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
        ]
    }
}
