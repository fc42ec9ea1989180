//! Leader and edge over networks that are slow, jittery, narrow, stalled, reset, half-open and partitioned.
//!
//! Every test writes to the leader and reads from the edge throughout, and compares the reported staleness with the
//! truth. After healing, the edge must converge by value, be verified as equal by `littoral verify`, and no longer
//! overstate its staleness.
//!
//! Faults of the kernel (links taken down, narrow trunks) need network namespaces. Where these cannot be created, or
//! `LITTORAL_NO_NAMESPACES=1` forbids them, the tests print so and use a link in user space.

mod links;
mod rig;
mod sites;
