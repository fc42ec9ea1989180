//! URLs in messages.

/// Returns a URL without its user name and password. Their place begins after the scheme and ends at the last `@`, as a
/// password may contain any character.
#[must_use]
pub fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((user, host))) if user.contains("://") => format!("{scheme}://***@{host}"),
        (_, Some((_, host))) => format!("***@{host}"),
        (_, None) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_are_not_shown() {
        for (url, shown) in [
            ("http://u:p@a:1/x", "http://***@a:1/x"),
            ("http://u:p/q@r@a", "http://***@a"),
            ("etcd://u:p@a:1,u:p@b:1/x", "etcd://***@b:1/x"),
            ("u:p@a:1", "***@a:1"),
            ("u@http://a", "***@http://a"),
            ("http://a:1", "http://a:1"),
            ("", ""),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }
}
