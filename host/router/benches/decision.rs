//! Decision speed.
fn main() {}
