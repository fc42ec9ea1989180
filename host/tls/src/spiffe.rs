//! Maps SPIFFE ids to identities, for clusters with certificates of a SPIFFE provider.

use crate::Identity;
use serde::Deserialize;

/// `[[tls.spiffe]]`: one rule. A final `*` in `id` stands for one or more characters without `/`, which replace the `*`
/// in `identity`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The SPIFFE id: `spiffe://TRUST-DOMAIN/PATH`.
    pub id: String,
    /// The identity: `littoral://CLUSTER/REGION/ROLE/NAME`.
    pub identity: String,
}

impl Mapping {
    /// Returns what is wrong with the rule, and what to do.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { id, identity } = self;
        let (ids, identities) = (id.matches('*').count(), identity.matches('*').count());
        if !id.starts_with("spiffe://") {
            return Some(format!("'{id}' is not a SPIFFE id; use spiffe://TRUST-DOMAIN/PATH"));
        }
        if ids > 1 || (ids == 1 && !id.ends_with('*')) {
            return Some(format!("'{id}' has a '*' before its end; use one at the end"));
        }
        if identities > 0 && ids == 0 {
            return Some(format!("'{identity}' has a '*', but '{id}' has none; end the id with '*'"));
        }
        identity.replace('*', "x").parse::<Identity>().err().map(|error| error.to_string())
    }

    /// Returns the identity of a SPIFFE id, if the rule covers it.
    pub(crate) fn identity_of(&self, uri: &str) -> Option<Identity> {
        match self.id.strip_suffix('*') {
            None => (self.id == uri).then(|| self.identity.parse().ok())?,
            Some(prefix) => {
                let rest = uri.strip_prefix(prefix).filter(|rest| !rest.is_empty() && !rest.contains('/'))?;
                self.identity.replace('*', rest).parse().ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(id: &str, identity: &str) -> Mapping {
        Mapping { id: id.to_owned(), identity: identity.to_owned() }
    }

    #[test]
    fn a_rule_maps_exact_ids_and_ids_with_a_common_beginning() {
        let exact = mapping("spiffe://corp/leader", "littoral://prod/eu/leader/l1");
        assert_eq!(exact.problem(), None);
        assert_eq!(exact.identity_of("spiffe://corp/leader").unwrap().name, "l1");
        assert_eq!(exact.identity_of("spiffe://corp/leader2"), None);
        let edges = mapping("spiffe://corp/edge/*", "littoral://prod/eu/edge/*");
        assert_eq!(edges.problem(), None);
        assert_eq!(edges.identity_of("spiffe://corp/edge/e7").unwrap().to_string(), "littoral://prod/eu/edge/e7");
        for other in ["spiffe://corp/edge/", "spiffe://corp/edge/a/b", "spiffe://corp/leader", "spiffe://corp/edge/a*b"]
        {
            assert_eq!(edges.identity_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_a_problem() {
        for (id, identity) in [
            ("corp/edge", "littoral://prod/eu/edge/a"),
            ("spiffe://corp/*/edge", "littoral://prod/eu/edge/*"),
            ("spiffe://corp/edge", "littoral://prod/eu/edge/*"),
            ("spiffe://corp/edge", "littoral://prod/eu/boss/a"),
        ] {
            assert!(mapping(id, identity).problem().is_some(), "{id} {identity}");
        }
    }
}
