//! Which endpoint a request is for.

use http::Method;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// What can be asked of a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    FeastRead,
    FeastPush,
    FeastWrite,
    Health,
    Metrics,
    OpenApi,
    Status,
    Ready,
    Fresh,
    Verify,
    Adopt,
    Catalogue,
    Read,
    ListConflicts,
    ReplayConflict,
    ListTails,
    ShowTail,
    MergeTail,
    DropTail,
    ListViews,
    GetView,
    PutView,
    DropView,
    PageRows,
    WriteRows,
    WriteViews,
    ListModules,
    GetModule,
    PutModule,
    DropModule,
    ListServices,
    GetService,
    PutService,
    DropService,
    ListPushSources,
    GetPushSource,
    PutPushSource,
    DropPushSource,
}

/// Every route: method, path with `{name}` where a name stands, endpoint. The first ones are found first.
pub(crate) static ROUTES: [(Method, &str, Endpoint); 38] = [
    (Method::POST, "/get-online-features", Endpoint::FeastRead),
    (Method::POST, "/v1/read", Endpoint::Read),
    (Method::POST, "/push", Endpoint::FeastPush),
    (Method::POST, "/write-to-online-store", Endpoint::FeastWrite),
    (Method::GET, "/health", Endpoint::Health),
    (Method::GET, "/metrics", Endpoint::Metrics),
    (Method::GET, "/v1/openapi.json", Endpoint::OpenApi),
    (Method::GET, "/v1/status", Endpoint::Status),
    (Method::GET, "/v1/ready", Endpoint::Ready),
    (Method::GET, "/v1/fresh", Endpoint::Fresh),
    (Method::POST, "/v1/verify", Endpoint::Verify),
    (Method::POST, "/v1/adopt", Endpoint::Adopt),
    (Method::GET, "/v1/catalogue", Endpoint::Catalogue),
    (Method::GET, "/v1/conflicts", Endpoint::ListConflicts),
    (Method::POST, "/v1/conflicts/{name}/replay", Endpoint::ReplayConflict),
    (Method::GET, "/v1/tails", Endpoint::ListTails),
    (Method::GET, "/v1/tails/{name}", Endpoint::ShowTail),
    (Method::DELETE, "/v1/tails/{name}", Endpoint::DropTail),
    (Method::POST, "/v1/tails/{name}/merge", Endpoint::MergeTail),
    (Method::POST, "/v1/rows", Endpoint::WriteViews),
    (Method::GET, "/v1/views", Endpoint::ListViews),
    (Method::GET, "/v1/views/{name}", Endpoint::GetView),
    (Method::PUT, "/v1/views/{name}", Endpoint::PutView),
    (Method::DELETE, "/v1/views/{name}", Endpoint::DropView),
    (Method::GET, "/v1/views/{name}/rows", Endpoint::PageRows),
    (Method::POST, "/v1/views/{name}/rows", Endpoint::WriteRows),
    (Method::GET, "/v1/modules", Endpoint::ListModules),
    (Method::GET, "/v1/modules/{name}", Endpoint::GetModule),
    (Method::PUT, "/v1/modules/{name}", Endpoint::PutModule),
    (Method::DELETE, "/v1/modules/{name}", Endpoint::DropModule),
    (Method::GET, "/v1/services", Endpoint::ListServices),
    (Method::GET, "/v1/services/{name}", Endpoint::GetService),
    (Method::PUT, "/v1/services/{name}", Endpoint::PutService),
    (Method::DELETE, "/v1/services/{name}", Endpoint::DropService),
    (Method::GET, "/v1/push-sources", Endpoint::ListPushSources),
    (Method::GET, "/v1/push-sources/{name}", Endpoint::GetPushSource),
    (Method::PUT, "/v1/push-sources/{name}", Endpoint::PutPushSource),
    (Method::DELETE, "/v1/push-sources/{name}", Endpoint::DropPushSource),
];

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// To an endpoint, with the name in its path if it has one.
    Endpoint(Endpoint, Cow<'a, str>),
    /// To a path that takes other methods.
    Methods(Vec<&'static str>),
    /// Nowhere.
    Nothing,
}

impl Endpoint {
    /// Whether a small request is answered in little time: not so what lists, renders, compiles or compares.
    pub(crate) fn is_short(self) -> bool {
        matches!(
            self,
            Self::FeastRead
                | Self::FeastPush
                | Self::FeastWrite
                | Self::Read
                | Self::WriteRows
                | Self::WriteViews
                | Self::Health
                | Self::Ready
                | Self::Fresh
        )
    }

    /// Whether errors are told in Feast's words.
    pub(crate) fn is_feast(self) -> bool {
        matches!(self, Self::FeastRead | Self::FeastPush | Self::FeastWrite | Self::Health)
    }
}

/// Finds a request's endpoint. HEAD counts as GET, whose answer's body is then not sent.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Found<'a> {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let mut methods = Vec::new();
    for (takes, pattern, endpoint) in &ROUTES {
        if let Some(name) = matches(pattern, path) {
            if takes == wanted {
                return Found::Endpoint(*endpoint, name);
            }
            methods.push(takes.as_str());
        }
    }
    if methods.is_empty() { Found::Nothing } else { Found::Methods(methods) }
}

/// Whether a path is one of Feast's, whatever the method: what is wrong is then said in Feast's words.
pub(crate) fn is_feast_path(path: &str) -> bool {
    ROUTES.iter().any(|(_, pattern, endpoint)| endpoint.is_feast() && *pattern == path)
}

fn matches<'a>(pattern: &str, path: &'a str) -> Option<Cow<'a, str>> {
    let Some((before, after)) = pattern.split_once("{name}") else {
        return (pattern == path).then_some(Cow::Borrowed(""));
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then(|| decode(name))
}

/// Undoes percent-encoding. Returns a malformed text as it is: it names nothing.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

/// A parameter of a query.
pub(crate) fn query<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for (method, pattern, endpoint) in &ROUTES {
            let path = pattern.replace("{name}", "a%20b");
            let name = if pattern.contains("{name}") { "a b" } else { "" };
            assert_eq!(find(method, &path), Found::Endpoint(*endpoint, name.into()), "{pattern}");
        }
    }

    #[test]
    fn other_methods_and_other_paths_are_told_apart() {
        assert_eq!(find(&Method::GET, "/push"), Found::Methods(vec!["POST"]));
        assert_eq!(find(&Method::HEAD, "/health"), Found::Endpoint(Endpoint::Health, "".into()));
        for path in ["/", "/nope", "/v1/views/", "/v1/views/a/b", "/v1/views/a/rows/"] {
            assert_eq!(find(&Method::GET, path), Found::Nothing, "{path}");
        }
        assert_eq!(query(Some("limit=5&cursor=a%2Bb"), "cursor").as_deref(), Some("a+b"));
        assert_eq!(decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn the_api_document_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(crate::v1::OPENAPI).unwrap();
        let described: std::collections::BTreeSet<(String, String)> = (document["paths"].as_object().unwrap().iter())
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routes = ROUTES.iter().map(|(method, path, _)| (method.to_string(), (*path).to_owned())).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn the_api_document_refers_only_to_what_it_has() {
        fn check(document: &serde_json::Value, value: &serde_json::Value) {
            if let Some(reference) = value.get("$ref").and_then(serde_json::Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            match value {
                serde_json::Value::Object(members) => members.values().for_each(|value| check(document, value)),
                serde_json::Value::Array(list) => list.iter().for_each(|value| check(document, value)),
                _ => {}
            }
        }
        let document = serde_json::from_str(crate::v1::OPENAPI).unwrap();
        check(&document, &document);
    }
}
