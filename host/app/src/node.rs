//! Starts nodes: connects the components of each role. A leader and an edge differ only in what keeps their state;
//! their doors are the same.

pub mod data_dir;
pub mod door;
pub mod drill_clock;
pub mod edge;
pub mod exposure;
pub mod gate;
pub mod leader;
pub mod listen;
pub mod process;
pub mod reload;
pub mod router;
pub mod tls;
