//! The HTTP/1.1 that the load needs: requests as bytes, and the end of a response.

use bytes::Bytes;
use std::io;

/// Returns whether these bytes are a complete response.
///
/// # Errors
/// When the status is not 200, with the beginning of the response.
pub fn is_whole(bytes: &[u8]) -> io::Result<bool> {
    if !is_whole_with_any_status(bytes)? {
        return Ok(false);
    }
    if !bytes.starts_with(b"HTTP/1.1 200") {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("answered: {text}")));
    }
    Ok(true)
}

/// Returns whether these bytes are a complete response, whatever its status is.
///
/// # Errors
/// When it has no content length.
pub fn is_whole_with_any_status(bytes: &[u8]) -> io::Result<bool> {
    let Some(head_end) = find(bytes, b"\r\n\r\n") else { return Ok(false) };
    let length = content_length(&bytes[..head_end])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a response without a content length"))?;
    Ok(bytes.len() >= head_end + 4 + length)
}

/// Returns a POST request of JSON.
pub fn post(path: &str, body: &str) -> Bytes {
    let length = body.len();
    Bytes::from(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// Returns a request with one more header line.
pub fn with_header(request: &Bytes, header: &str) -> Bytes {
    let line_end = find(request, b"\r\n").map_or(0, |at| at + 2);
    let (line, rest) = request.split_at(line_end);
    [line, header.as_bytes(), b"\r\n", rest].concat().into()
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length:";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))?;
    let digits = head[at + NAME.len()..].iter().skip_while(|byte| **byte == b' ').take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    // The head ends within the first few hundred bytes.
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert!(is_whole(answer).unwrap());
        assert!(!is_whole(&answer[..answer.len() - 1]).unwrap());
        assert!(!is_whole(&answer[..20]).unwrap());
        let error = is_whole(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("503"));
    }
}
