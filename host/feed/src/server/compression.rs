//! Which streams are compressed, and the memory for that.
//!
//! HTTP negotiates it: a subscriber states that it accepts zstd, and the response states that it is compressed. A
//! subscriber of the previous release does not state that, and a publisher of it compresses nothing. A node that is
//! held at the previous protocol version behaves in the same way.

use super::{Compression, Config};
use crate::{
    COMPRESSED_SINCE,
    outbox::{Compressing, Held},
};
use http::{HeaderMap, header::ACCEPT_ENCODING};
use littoral_model::{project::Receiver, region::Region};
use littoral_runtime::Occasional;
use littoral_wire::compression::{CODING, COMPRESSOR_BYTES, Compressor};

/// Creates the compressors of a server's streams.
#[derive(Debug, Default)]
pub(crate) struct Compressors {
    /// How many there are.
    held: Held,
    exhausted: Occasional,
}

impl Compressors {
    /// Returns what compresses the stream of a subscriber in this region, whose request has these headers, if its
    /// stream is to be compressed. `own` is where this node is.
    pub(crate) fn start(
        &self,
        config: &Config,
        headers: &HeaderMap,
        own: Receiver,
        region: Option<Region>,
    ) -> Option<Compressing> {
        let accepted = headers.get(ACCEPT_ENCODING).is_some_and(|accepted| accepted == CODING);
        let speaks = config.version.number() >= COMPRESSED_SINCE;
        if !accepted || !speaks || !config.compression.applies(own, region) {
            return None;
        }
        let Some(counted) = self.held.one_more(config.subscribers_bytes_max / COMPRESSOR_BYTES) else {
            if self.exhausted.take_turn() {
                tracing::warn!(
                    "further subscribers receive the feed uncompressed, because the compressors have used up their \
                     memory; raise feed.subscribers_bytes_max"
                );
            }
            return None;
        };
        match Compressor::new() {
            Ok(compressor) => Some(Compressing::new(compressor, counted)),
            Err(error) => {
                tracing::warn!(%error, "a subscriber receives the feed uncompressed");
                None
            }
        }
    }
}

impl Compression {
    fn applies(self, own: Receiver, region: Option<Region>) -> bool {
        match self {
            Self::Auto => matches!((own, region), (Receiver::In(own), Some(region)) if own != region),
            Self::Always => true,
            Self::Off => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn headers(accepted: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))])
    }

    #[test]
    fn streams_to_other_regions_are_compressed_by_default() {
        let (own, zstd) = (Receiver::In(region("eu")), headers("zstd"));
        for (rule, own, other, expected) in [
            (Compression::Auto, own, Some(region("us")), true),
            (Compression::Auto, own, Some(region("eu")), false),
            (Compression::Auto, own, None, false),
            (Compression::Auto, Receiver::Unknown, Some(region("us")), false),
            (Compression::Always, own, None, true),
            (Compression::Off, own, Some(region("us")), false),
        ] {
            let config = Config { compression: rule, ..Config::default() };
            let starts = |headers: &HeaderMap| Compressors::default().start(&config, headers, own, other).is_some();
            assert_eq!(starts(&zstd), expected, "{rule:?} {own:?} {other:?}");
            assert!(!starts(&HeaderMap::new()) && !starts(&headers("br")), "the subscriber cannot read it");
        }
    }

    #[test]
    fn the_memory_of_compressors_is_bounded() {
        let config = Config {
            compression: Compression::Always,
            subscribers_bytes_max: 3 * COMPRESSOR_BYTES,
            ..Config::default()
        };
        let (compressors, zstd) = (Compressors::default(), headers("zstd"));
        let start = || compressors.start(&config, &zstd, Receiver::Unknown, None);
        let held: Vec<_> = std::iter::from_fn(start).collect();
        assert_eq!(held.len(), 3);
        drop(held);
        assert!(start().is_some());
    }
}
