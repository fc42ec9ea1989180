//! Checks the files that deploy Littoral. The tests are in `tests/`.

#![warn(clippy::unwrap_used)]
