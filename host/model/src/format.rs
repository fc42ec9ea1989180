//! Versions of the formats on disk and between nodes.

use serde::Serialize;

/// A format with the versions that this build knows. It reads every version from `reads_from` to `writes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Format {
    /// What has the format.
    pub name: &'static str,
    /// The version that this build writes or sends.
    pub writes: u32,
    /// The oldest version that it reads.
    pub reads_from: u32,
}
