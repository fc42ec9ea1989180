//! Routes: from method and path to an endpoint.

mod endpoint;
mod table;

pub(crate) use endpoint::Endpoint;
pub(crate) use table::ROUTES;

use crate::openapi::Operation;
use http::Method;
use littoral_http::query::decode;
use std::borrow::Cow;

/// A route of a door.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The path, with `{name}` for a name.
    pub(crate) path: &'static str,
    pub(crate) endpoint: Endpoint,
    /// The name of the operation in the OpenAPI document.
    pub(crate) id: &'static str,
    /// Describes the operation for the OpenAPI document.
    pub(crate) describe: fn(Operation<'_>) -> Operation<'_>,
}

/// The result of the search for a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The endpoint, with the name in the path if it has one.
    Endpoint(Endpoint, Cow<'a, str>),
    /// The path exists, with these other methods.
    Methods(Vec<&'static str>),
    /// There is no such path.
    Nothing,
}

/// Finds the endpoint of a request. HEAD is handled as GET, and the body of the answer is not sent.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let mut methods = Vec::new();
    for route in &ROUTES {
        if let Some(name) = matches(route.path, path) {
            if route.method == wanted {
                return Found::Endpoint(route.endpoint, name);
            }
            methods.push(route.method.as_str());
        }
    }
    if methods.is_empty() { Found::Nothing } else { Found::Methods(methods) }
}

/// Returns the path of an endpoint, with `{name}` for a name.
pub(crate) fn path_of(endpoint: Endpoint) -> &'static str {
    ROUTES.iter().find(|route| route.endpoint == endpoint).map_or("", |route| route.path)
}

/// Whether a path is one of Feast's, with any method. Its errors have Feast's form.
pub(crate) fn is_feast_path(path: &str) -> bool {
    ROUTES.iter().any(|route| route.endpoint.is_feast() && route.path == path)
}

fn matches<'a>(pattern: &str, path: &'a str) -> Option<Cow<'a, str>> {
    let Some((before, after)) = pattern.split_once("{name}") else {
        return (pattern == path).then_some(Cow::Borrowed(""));
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then(|| decode(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for Route { method, path: pattern, endpoint, .. } in &ROUTES {
            let path = pattern.replace("{name}", "a%20b");
            let name = if pattern.contains("{name}") { "a b" } else { "" };
            assert_eq!(find(method, &path), Found::Endpoint(*endpoint, name.into()), "{pattern}");
        }
    }

    #[test]
    fn other_methods_and_other_paths_are_distinguished() {
        assert_eq!(find(&Method::GET, "/push"), Found::Methods(vec!["POST"]));
        assert_eq!(find(&Method::HEAD, "/health"), Found::Endpoint(Endpoint::Health, "".into()));
        for path in ["/", "/nope", "/v1/views/", "/v1/views/a/b", "/v1/views/a/rows/"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
        }
    }
}
