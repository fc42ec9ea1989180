//! Who sends a request, and what it may do.
//!
//! A request presents a credential: a bearer token, or the certificate of its connection. An [`Authenticator`] turns it
//! into an
//! [`Access`]: a name and a list of [`Grant`]s. Static tokens come from a file ([`tokens`]), OIDC tokens are verified with
//! the keys of their issuer ([`jwt`], [`keys`]; [`issuer`] fetches them), and grants come from the token or from a
//! policy file ([`policy`]). A door compares the access with what the request needs.
//!
//! Only [`issuer`], [`files`] and the [`Authenticator`] that runs them do IO, and only [`tokens::create`] draws random
//! numbers. Everywhere else, time and keys are arguments.
//!
//! Invariants: no secret is in an error, a log line or a `Debug` form. An [`Access`] is never used after its credential
//! has expired or the policy has changed.

#![warn(clippy::unwrap_used)]

mod access;
mod authenticator;
pub mod authorize;
mod config;
mod error;
pub mod files;
mod from_text;
pub mod issuer;
pub mod jwt;
pub mod keys;
mod located;
pub mod policy;
mod scope;
pub mod tokens;
mod trust;

pub use access::{Access, Identity, Kind};
pub use authenticator::{Authenticator, Certificate, StartError};
pub use config::{Config, IssuerConfig};
pub use error::Rejected;
pub use scope::{Grant, InvalidGrant, Pattern, Scope, Scopes};
pub use trust::Trust;
