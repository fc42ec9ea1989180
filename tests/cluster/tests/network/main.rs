//! Leader and edge over networks that are slow, jittery, narrow, stalled, reset, half-open and parted.
//!
//! In every test the leader is written to all the while, the edge is asked all the while, and what it says of its staleness is
//! compared with the truth. Healed, the edge must converge by value, be proven equal by `littoral verify`, and must not
//! overstate its staleness any more.
//!
//! What the kernel does (links taken down, narrow trunks) needs network namespaces. Where they cannot be made, or
//! `LITTORAL_NO_NAMESPACES=1` forbids them, the tests say so aloud and do the same by a link in user space.

mod links;
mod rig;
mod sites;
