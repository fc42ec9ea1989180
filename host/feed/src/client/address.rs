//! Addresses of peer listeners, as configured.

/// Returns the host and the port of an address such as `leader-eu.internal:7071`; `None` if it is invalid.
#[must_use]
pub fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_valid_port() {
        assert_eq!(host_and_port("leader:7071"), Some(("leader", 7_071)));
        assert_eq!(host_and_port("[::1]:0"), Some(("[::1]", 0)));
        for none in ["", "leader", ":7071", "leader:", "leader:99999", "leader:http"] {
            assert_eq!(host_and_port(none), None, "{none}");
        }
    }
}
