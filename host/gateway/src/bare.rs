//! The floor to measure against: the doors' own way of serving connections, with a constant in the place of answers.

use crate::{Config, connections};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers every request with `body` as JSON, once the request's own body has been read, until cancelled.
pub async fn serve(listener: TcpListener, body: Bytes, shutdown: CancellationToken) {
    let config = Arc::new(Config::default());
    let answer = {
        let config = config.clone();
        let room = config.bodies_room();
        move |request: Request<Incoming>| {
            let (config, room, answer) = (config.clone(), room.clone(), body.clone());
            async move {
                let read = crate::body::read(request.into_body(), config.read_bytes_max, &config, &room);
                let mut response = match read.await {
                    Ok(_) => Response::new(Full::new(answer)),
                    Err(failure) => failure.as_problem(),
                };
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
        }
    };
    connections::serve(listener, &config, answer, shutdown).await;
}
