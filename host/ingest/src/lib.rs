//! littoral-ingest
