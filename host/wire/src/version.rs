//! Which protocol version two peers speak.

use crate::error::Error;
use littoral_protocol::frame::{VERSION_MAX, VERSION_MIN};

/// The newest version that both speak. A hello keeps its form through all versions, so that this can be told.
///
/// # Errors
/// [`Error::UnknownVersion`] when there is none.
pub fn negotiate(theirs_min: u16, theirs_max: u16) -> Result<u16, Error> {
    let version = theirs_max.min(VERSION_MAX);
    if version >= theirs_min.max(VERSION_MIN) {
        Ok(version)
    } else {
        Err(Error::UnknownVersion { theirs_min, theirs_max, ours_min: VERSION_MIN, ours_max: VERSION_MAX })
    }
}

/// Checks the version that a publisher chose.
///
/// # Errors
/// [`Error::UnknownVersion`] when it is not one of ours.
pub fn check(chosen: u16) -> Result<(), Error> {
    negotiate(chosen, chosen).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_taken() {
        assert_eq!(negotiate(0, u16::MAX), Ok(VERSION_MAX));
        assert_eq!(negotiate(VERSION_MIN, VERSION_MAX), Ok(VERSION_MAX));
        for (min, max) in [(VERSION_MAX + 1, VERSION_MAX + 9), (0, VERSION_MIN - 1), (VERSION_MAX + 1, VERSION_MIN)] {
            assert!(matches!(negotiate(min, max), Err(Error::UnknownVersion { .. })), "{min}..={max}");
        }
    }
}
