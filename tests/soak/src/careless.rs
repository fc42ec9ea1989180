//! Clients that are slow, silent or half-closed, or send garbage, and disconnect without notice.

use std::{
    io::Write as _,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

/// How many connections stay open at once.
const HELD_MAX: usize = 40;

/// Connects and disconnects until stopped. The node's answers do not matter, only that it keeps running.
pub(crate) fn clients(doors: &[SocketAddr], mut chance: fastrand::Rng, stop: &AtomicBool) {
    let mut held: Vec<TcpStream> = Vec::new();
    while !stop.load(Relaxed) {
        let Some(door) = chance.choice(doors) else { return };
        if let Ok(mut stream) = TcpStream::connect_timeout(door, Duration::from_secs(1)) {
            // The node may have ended, or close at once: both are expected here.
            let _ = match chance.u8(..6) {
                0 => Ok(()),
                1 => stream.write_all(b"POST /v1/read HTTP/1.1\r\nhost: localhost\r\nx-slow: "),
                2 => stream.write_all(b"POST /v1/read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"),
                3 => stream
                    .write_all(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n")
                    .and_then(|()| stream.shutdown(Shutdown::Write)),
                4 => stream.write_all(
                    b"POST /get-online-features HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\n{]}",
                ),
                _ => {
                    let garbage: Vec<u8> = (0..200).map(|_| chance.u8(..)).collect();
                    stream.write_all(&garbage)
                }
            };
            held.push(stream);
        }
        if held.len() > HELD_MAX {
            held.swap_remove(chance.usize(..held.len()));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}
