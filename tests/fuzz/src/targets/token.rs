//! Freshness tokens.

use super::check_words;
use crate::Target;
use littoral_model::token::Watermark;

pub(super) const TARGET: Target = Target { name: "token", run: token, seeds, memory: (64 << 10, 64) };

/// A token that decodes is unambiguous: it encodes to the same watermark, and covers itself.
fn token(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Watermark>() {
        Err(error) => check_words(&error.to_string()),
        Ok(watermark) => {
            let written = watermark.to_string();
            assert_eq!(written.parse(), Ok(watermark.clone()), "{written}");
            assert!(watermark.covers(&watermark));
            let encoded = postcard::to_allocvec(&watermark).expect("a watermark is encoded");
            assert_eq!(postcard::from_bytes(&encoded), Ok(watermark));
        }
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let texts = [
        "",
        "eu@00000000000000ff:7",
        "eu@00000000000000ff:7,us@0000000000000001:9",
        "us-east@ffffffffffffffff:18446744073709551615",
        "eu@00000000000000ff:7,,eu@00000000000000ff:8,",
        "eu@+0000000000000ff:+7",
    ];
    texts.iter().enumerate().map(|(index, text)| (index.to_string(), text.as_bytes().to_vec())).collect()
}
