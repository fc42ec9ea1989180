//! The doors over a real socket, in front of a node in memory.

mod access;
mod described;
mod feast_project;
mod golden;
mod hostile;
mod native;
mod node;
mod projects;
mod reads;
mod sources;
mod sources_of;
mod stand;
mod tails;
mod traces;
mod unknown;
mod ways;
