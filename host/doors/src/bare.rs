//! The floor to measure against: the doors' own way of serving connections, with a constant in the place of answers.

use crate::{Config, connections, room::Room};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use littoral_runtime::reactors::Reactors;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers every request with these headers and this body, once the request's own body has been read, until cancelled.
pub async fn serve(
    listener: TcpListener,
    reactors: Reactors,
    headers: HeaderMap,
    body: Bytes,
    shutdown: CancellationToken,
) {
    let headers = Arc::new(headers);
    let config = Arc::new(Config { reactors, ..Config::default() });
    let answer = {
        let config = config.clone();
        let room = config.bodies_room();
        move |request: Request<Incoming>, _client| {
            let (config, room, answer, headers) = (config.clone(), room.clone(), body.clone(), headers.clone());
            async move {
                let read = crate::body::read(request.into_body(), config.read_bytes_max, &config, &room);
                match read.await {
                    Ok(_) => {
                        let mut response = Response::new(Full::new(answer));
                        *response.headers_mut() = HeaderMap::clone(&headers);
                        response
                    }
                    Err(failure) => failure.as_problem(),
                }
            }
        }
    };
    let answers = Room::new(config.answers_bytes_max, config.answer_bytes_max);
    connections::serve(listener, &config, &answers, answer, shutdown).await;
}
