//! Where we answer differently from Feast on purpose, each with its reason, and what we do not do at all.

/// What we answer to a recorded request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// What Feast does: the status, and the body as [`crate::compare`] compares it.
    Same,
    /// A client's mistake, told as one: 400 or 422, with Feast's class where there is one.
    ClientError(Option<&'static str>),
    /// 200 with this one feature and value for `driver_id` 1001, where Feast refuses.
    Reads(&'static str, f64),
    /// As Feast, but values of this status and null, where Feast says PRESENT.
    Status(&'static str),
    /// Nothing: not replayed.
    Skipped,
}

/// A recorded exchange that is not [`Expected::Same`].
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The exchange.
    pub name: &'static str,
    /// What we do.
    pub expected: Expected,
    /// Why.
    pub reason: &'static str,
}

const RETRIES: &str = "a client's mistake must be 4xx: the SDK retries 5xx four times over three seconds";
const MATERIALIZE: &str = "rows reach Littoral by ingest and push; it does not read an offline store";
const VECTORS: &str = "no vector search";

const fn difference(name: &'static str, expected: Expected, reason: &'static str) -> Difference {
    Difference { name, expected, reason }
}

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    difference("09_name_collision", Expected::ClientError(Some("FeatureNameCollisionError")), RETRIES),
    difference("11_duplicate_feature_ref", Expected::ClientError(Some("FeatureNameCollisionError")), RETRIES),
    difference(
        "12_ttl_expired",
        Expected::Status("OUTSIDE_MAX_AGE"),
        "Feast's Python server ignores the TTL; an expired value is never served as present",
    ),
    difference(
        "13_types_all",
        Expected::Status("NULL_VALUE"),
        "Feast says PRESENT with null, on which SDKs before 0.60 crash; every SDK takes NULL_VALUE",
    ),
    difference("40_unknown_feature", Expected::ClientError(None), RETRIES),
    difference("43_no_features", Expected::ClientError(None), RETRIES),
    difference("45_entities_empty_object", Expected::ClientError(None), RETRIES),
    difference("46_entities_empty_list", Expected::ClientError(None), RETRIES),
    difference("50_entity_wrong_type_text", Expected::ClientError(None), RETRIES),
    difference("54_only_unknown_entity_key", Expected::ClientError(None), RETRIES),
    difference("58_version_ref", Expected::ClientError(None), RETRIES),
    difference(
        "63_no_content_type",
        Expected::Reads("conv_rate", 0.28125),
        "SDKs up to 0.60 send no content type; the body is JSON all the same",
    ),
    difference("67_chat_stub", Expected::Skipped, "a stub of Feast's user interface"),
    difference("90_materialize_bad_range", Expected::Skipped, MATERIALIZE),
    difference("91_materialize_no_range", Expected::Skipped, MATERIALIZE),
    difference("92_materialize", Expected::Skipped, MATERIALIZE),
    difference("93_materialize_unknown_view", Expected::Skipped, MATERIALIZE),
    difference("94_materialize_incremental", Expected::Skipped, MATERIALIZE),
    difference("95_search_no_vector_store", Expected::Skipped, VECTORS),
    difference("96_retrieve_online_documents", Expected::Skipped, VECTORS),
    difference("97_vector_stores_list", Expected::Skipped, VECTORS),
];

/// What we answer to the exchange of this name.
#[must_use]
pub fn expected(name: &str) -> Expected {
    DIFFERENCES.iter().find(|difference| difference.name == name).map_or(Expected::Same, |found| found.expected)
}
