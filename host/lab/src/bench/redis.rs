//! The peer Redis 7: MGET of the ten values of one read, under the same load generator and as Redis's own tool reports
//! it.

use crate::bench::{data, failure::Failure};
use bytes::Bytes;
use littoral_provision::{apt, redis::Redis};
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    sync::Arc,
};

/// Redis's own load generator.
const OWN_TOOL: &str = "redis-benchmark";

/// How many rows one batch of SETs loads.
const LOAD_BATCH: u64 = 500;

/// A Redis that holds the values of the bench view's rows, a key for each.
#[derive(Debug)]
pub struct Peer {
    server: Redis,
    /// Requests for one row's values each.
    pub requests: Arc<[Bytes]>,
}

impl Peer {
    /// Starts and loads it.
    ///
    /// # Errors
    /// When Redis is not installed.
    pub fn start(rows: u64, ids: &[u64]) -> Result<Self, Failure> {
        let server = Redis::start()?;
        let mut stream = BufReader::new(TcpStream::connect(server.address)?);
        for first in (0..rows).step_by(LOAD_BATCH as usize) {
            let last = rows.min(first + LOAD_BATCH);
            let mut batch = Vec::new();
            for id in first..last {
                for feature in 0..data::FEATURES {
                    let value = data::value(id, feature).to_string();
                    for key in [key(id, feature), own_key(&format!("{id:012}"), feature)] {
                        command(&mut batch, &["SET", &key, &value]);
                    }
                }
            }
            stream.get_mut().write_all(&batch)?;
            let mut line = String::new();
            for _ in 0..(last - first) * data::FEATURES as u64 * 2 {
                line.clear();
                stream.read_line(&mut line)?;
                if line != "+OK\r\n" {
                    return Err(Failure::new("loading Redis", line));
                }
            }
        }
        let requests = ids.iter().map(|id| request(*id)).collect();
        Ok(Self { server, requests })
    }

    /// Returns the answers per second that Redis's own tool reports for the same work: as many connections, and MGET of
    /// ten keys that are drawn at random from the same rows' values.
    ///
    /// # Errors
    /// When the tool is not installed, or its report is not as expected.
    pub fn own_tool_rate(&self, rows: u64, connections: usize, requests: u64) -> Result<f64, Failure> {
        let lacking = |why: &str| Failure::new(OWN_TOOL, why);
        let program =
            apt::find(OWN_TOOL).ok_or_else(|| lacking("it is not installed; run: apt-get install redis-tools"))?;
        let keys = (0..data::FEATURES).map(|feature| own_key(OWN_DRAW, feature));
        let output = Command::new(program)
            .args(["-h", "127.0.0.1", "-p", &self.server.address.port().to_string(), "--csv"])
            .args(["-c", &connections.to_string(), "-n", &requests.to_string(), "-r", &rows.to_string(), "MGET"])
            .args(keys)
            .stdin(Stdio::null())
            .output()?;
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        own_rate(&report).ok_or_else(|| lacking(&format!("it printed: {report}")))
    }

    /// Returns where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.address
    }
}

fn key(id: u64, feature: usize) -> String {
    format!("bench_stats:{id}:f{feature}")
}

/// The placeholder that Redis's own tool replaces by a random number of twelve digits, separately for each key.
const OWN_DRAW: &str = "__rand_int__";

/// Returns a key for that tool.
fn own_key(id: &str, feature: usize) -> String {
    format!("bench_stats:{id}:own{feature}")
}

/// Returns the answers per second of that tool's report: the second column of its last line.
fn own_rate(csv: &str) -> Option<f64> {
    let mut columns = csv.lines().last()?.split("\",\"");
    columns.next()?;
    columns.next()?.parse().ok().filter(|rate| *rate > 0.0)
}

fn request(id: u64) -> Bytes {
    let keys: Vec<_> = (0..data::FEATURES).map(|feature| key(id, feature)).collect();
    let words: Vec<_> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    let mut request = Vec::new();
    command(&mut request, &words);
    Bytes::from(request)
}

fn command(out: &mut Vec<u8>, words: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// Returns whether these bytes are a complete array of bulk strings, none of which is null.
///
/// # Errors
/// When they are another reply.
pub fn is_whole(bytes: &[u8]) -> io::Result<bool> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "Redis did not answer with values");
    let Some((count, mut rest)) = number(bytes, b'*').map_err(|()| bad())? else { return Ok(false) };
    for _ in 0..count {
        let Some((length, after)) = number(rest, b'$').map_err(|()| bad())? else { return Ok(false) };
        let Some(after) = after.get(length + 2..) else { return Ok(false) };
        rest = after;
    }
    Ok(true)
}

/// Returns the number of a line `<kind>NUMBER\r\n` and what follows; `None` while the line is incomplete.
fn number(bytes: &[u8], kind: u8) -> Result<Option<(usize, &[u8])>, ()> {
    let Some(end) = bytes.iter().take(24).position(|byte| *byte == b'\n') else {
        return if bytes.len() < 24 { Ok(None) } else { Err(()) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(())?;
    let digits = line.strip_prefix(&[kind]).ok_or(())?;
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(())?;
    Ok(Some((number, &bytes[end + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_whole_when_its_last_string_is() {
        let answer = b"*2\r\n$3\r\n1.5\r\n$1\r\n2\r\n";
        assert!(is_whole(answer).unwrap());
        assert!((0..answer.len()).all(|end| !is_whole(&answer[..end]).unwrap()));
        assert!(is_whole(b"*1\r\n$-1\r\n").is_err(), "a null value is an error");
        assert!(is_whole(b"-ERR no\r\n").is_err());
    }

    #[test]
    fn the_report_of_the_own_tool_is_parsed() {
        let head = "\"test\",\"rps\",\"avg_latency_ms\"\n";
        assert_eq!(own_rate(&format!("{head}\"MGET a b\",\"82690.19\",\"0.337\"\n")), Some(82_690.19));
        assert_eq!(own_rate(head), None);
        assert_eq!(own_rate("Could not connect"), None);
    }
}
