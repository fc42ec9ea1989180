//! `moka::notification`.

/// `moka::notification::RemovalCause`, as far as it is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalCause {
    /// The key was inserted again.
    Replaced,
    /// The cache was over its capacity.
    Size,
}
