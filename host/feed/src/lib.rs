//! littoral-feed
