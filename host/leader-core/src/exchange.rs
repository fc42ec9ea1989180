//! Taking other regions' records: what each message of another leader's feed leads to, without IO.

mod catalogue;
mod take;

pub use take::{Done, Fault, Step, Taking};
