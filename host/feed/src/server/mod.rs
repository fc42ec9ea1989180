//! The publisher's and leader's end.
