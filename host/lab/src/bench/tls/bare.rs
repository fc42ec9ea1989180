//! A bare server of hyper and rustls, with nothing of the product but its threads. It answers every request with the same
//! headers and body.

use crate::bench::failure::Failure;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use littoral_runtime::reactors::Reactors;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{path::Path, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Returns the configuration of a server with the certificate and the key in this file.
///
/// # Errors
/// When the file cannot be used.
pub fn config(cert: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::new(cert.display(), error);
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|error| unusable(&error))?;
    let key = PrivateKeyDer::from_pem_file(cert).map_err(|error| unusable(&error))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(&error))?;
    let config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| unusable(&error))?;
    Ok(Arc::new(config))
}

/// Serves until cancelled.
pub async fn serve(
    listener: TcpListener,
    reactors: Reactors,
    tls: Arc<ServerConfig>,
    headers: HeaderMap,
    body: Bytes,
    shutdown: CancellationToken,
) {
    let (acceptor, tasks) = (TlsAcceptor::from(tls), TaskTracker::new());
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        // The measurement fails if its connections do.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let (acceptor, headers, body) = (acceptor.clone(), headers.clone(), body.clone());
        let spawned = reactors.spawn(&tasks, stream, |stream| async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let answer = service_fn(move |request: Request<Incoming>| {
                let mut response = Response::new(Full::new(body.clone()));
                *response.headers_mut() = headers.clone();
                async move { request.into_body().collect().await.map(|_| response) }
            });
            // Ends with its client.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
        drop(spawned);
    }
}
