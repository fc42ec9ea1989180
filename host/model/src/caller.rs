//! The client on whose behalf a node works.

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, sync::Arc};

/// A bearer token. Its `Debug` form does not contain it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credential(Arc<str>);

impl Credential {
    /// Creates the credential of a token.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// Returns the token, to verify it or to send it to another node. It must not be logged.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// The client of a request, as known to the node that received the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Its name, as `token:NAME`. Empty if authentication is off. Another node trusts only the credential.
    pub who: Arc<str>,
    /// The address of its connection.
    pub from: Option<IpAddr>,
    /// Its credential, if it can be forwarded: the certificate of a connection cannot.
    pub credential: Option<Credential>,
}
