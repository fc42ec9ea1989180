//! The parts of Feast's registry messages that an import needs, with Feast's names and field numbers (`feast.core`,
//! Feast 0.67). They are written by hand; the decoder skips all other fields. Decision 0015 has the reason.

use std::collections::HashMap;

macro_rules! wrapped {
    ($(#[$doc:meta])* $name:ident, $spec:ty) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, prost::Message)]
        pub(crate) struct $name {
            #[prost(message, optional, tag = "1")]
            pub(crate) spec: Option<$spec>,
        }
    };
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Registry {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entities: Vec<Entity>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) feature_tables: Vec<FeatureTable>,
    #[prost(string, tag = "3")]
    pub(crate) registry_schema_version: String,
    #[prost(message, repeated, tag = "6")]
    pub(crate) feature_views: Vec<FeatureView>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) feature_services: Vec<FeatureService>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) on_demand_feature_views: Vec<OnDemandFeatureView>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) saved_datasets: Vec<Named>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) data_sources: Vec<DataSource>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) validation_references: Vec<Empty>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) stream_feature_views: Vec<StreamFeatureView>,
    #[prost(message, repeated, tag = "16")]
    pub(crate) permissions: Vec<Empty>,
    #[prost(message, repeated, tag = "17")]
    pub(crate) projects: Vec<Project>,
    #[prost(message, repeated, tag = "19")]
    pub(crate) label_views: Vec<Named>,
}

/// A message that is only counted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Empty {}

/// A spec of which only the name is needed: SavedDataset, LabelView.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NamedSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}
wrapped!(Named, NamedSpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProjectSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) description: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "4")]
    pub(crate) owner: String,
}
wrapped!(Project, ProjectSpec);
wrapped!(FeatureTable, NamedSpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EntitySpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int32, tag = "2")]
    pub(crate) value_type: i32,
    #[prost(string, tag = "3")]
    pub(crate) description: String,
    #[prost(string, tag = "4")]
    pub(crate) join_key: String,
    #[prost(map = "string, string", tag = "8")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "9")]
    pub(crate) project: String,
    #[prost(string, tag = "10")]
    pub(crate) owner: String,
}
wrapped!(Entity, EntitySpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FeatureSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int32, tag = "2")]
    pub(crate) value_type: i32,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "4")]
    pub(crate) description: String,
    #[prost(bool, tag = "5")]
    pub(crate) vector_index: bool,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Duration {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FeatureViewSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) project: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) entities: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) features: Vec<FeatureSpec>,
    #[prost(map = "string, string", tag = "5")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(message, optional, tag = "6")]
    pub(crate) ttl: Option<Duration>,
    #[prost(message, optional, tag = "7")]
    pub(crate) batch_source: Option<DataSource>,
    #[prost(bool, tag = "8")]
    pub(crate) online: bool,
    #[prost(message, optional, tag = "9")]
    pub(crate) stream_source: Option<DataSource>,
    #[prost(string, tag = "10")]
    pub(crate) description: String,
    #[prost(string, tag = "11")]
    pub(crate) owner: String,
    #[prost(message, repeated, tag = "12")]
    pub(crate) entity_columns: Vec<FeatureSpec>,
    #[prost(bool, tag = "13")]
    pub(crate) offline: bool,
    #[prost(message, repeated, tag = "14")]
    pub(crate) source_views: Vec<Empty>,
    #[prost(message, optional, tag = "15")]
    pub(crate) feature_transformation: Option<Empty>,
    #[prost(string, tag = "18")]
    pub(crate) version: String,
    #[prost(bool, tag = "20")]
    pub(crate) disabled: bool,
}
wrapped!(FeatureView, FeatureViewSpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamFeatureViewSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) project: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) entities: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) features: Vec<FeatureSpec>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) entity_columns: Vec<FeatureSpec>,
    #[prost(string, tag = "6")]
    pub(crate) description: String,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "8")]
    pub(crate) owner: String,
    #[prost(message, optional, tag = "9")]
    pub(crate) ttl: Option<Duration>,
    #[prost(message, optional, tag = "10")]
    pub(crate) batch_source: Option<DataSource>,
    #[prost(message, optional, tag = "11")]
    pub(crate) stream_source: Option<DataSource>,
    #[prost(bool, tag = "12")]
    pub(crate) online: bool,
    #[prost(string, tag = "21")]
    pub(crate) version: String,
    #[prost(bool, tag = "23")]
    pub(crate) disabled: bool,
}
wrapped!(StreamFeatureView, StreamFeatureViewSpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DataSource {
    #[prost(int32, tag = "1")]
    pub(crate) source_type: i32,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) field_mapping: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub(crate) timestamp_field: String,
    #[prost(string, tag = "4")]
    pub(crate) date_partition_column: String,
    #[prost(string, tag = "5")]
    pub(crate) created_timestamp_column: String,
    #[prost(message, optional, tag = "11")]
    pub(crate) file_options: Option<FileOptions>,
    #[prost(message, optional, tag = "18")]
    pub(crate) request_data_options: Option<RequestDataOptions>,
    #[prost(string, tag = "20")]
    pub(crate) name: String,
    #[prost(string, tag = "21")]
    pub(crate) project: String,
    #[prost(string, tag = "23")]
    pub(crate) description: String,
    #[prost(map = "string, string", tag = "24")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "25")]
    pub(crate) owner: String,
    #[prost(message, optional, boxed, tag = "26")]
    pub(crate) batch_source: Option<Box<DataSource>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FileOptions {
    #[prost(string, tag = "2")]
    pub(crate) uri: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RequestDataOptions {
    #[prost(message, repeated, tag = "3")]
    pub(crate) schema: Vec<FeatureSpec>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Projection {
    #[prost(string, tag = "1")]
    pub(crate) feature_view_name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) feature_columns: Vec<FeatureSpec>,
    #[prost(string, tag = "3")]
    pub(crate) feature_view_name_alias: String,
    #[prost(map = "string, string", tag = "4")]
    pub(crate) join_key_map: HashMap<String, String>,
    #[prost(int32, optional, tag = "10")]
    pub(crate) version_tag: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FeatureServiceSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) project: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) features: Vec<Projection>,
    #[prost(map = "string, string", tag = "4")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "5")]
    pub(crate) description: String,
    #[prost(string, tag = "6")]
    pub(crate) owner: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) logging_config: Option<Empty>,
}
wrapped!(FeatureService, FeatureServiceSpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OnDemandSource {
    #[prost(message, optional, tag = "1")]
    pub(crate) feature_view: Option<FeatureView>,
    #[prost(message, optional, tag = "2")]
    pub(crate) request_data_source: Option<DataSource>,
    #[prost(message, optional, tag = "3")]
    pub(crate) feature_view_projection: Option<Projection>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OnDemandFeatureViewSpec {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) project: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) features: Vec<FeatureSpec>,
    #[prost(map = "string, message", tag = "4")]
    pub(crate) sources: HashMap<String, OnDemandSource>,
    #[prost(string, tag = "6")]
    pub(crate) description: String,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) tags: HashMap<String, String>,
    #[prost(string, tag = "8")]
    pub(crate) owner: String,
    #[prost(message, optional, tag = "10")]
    pub(crate) feature_transformation: Option<Transformation>,
    #[prost(string, tag = "11")]
    pub(crate) mode: String,
    #[prost(bool, tag = "12")]
    pub(crate) write_to_online_store: bool,
    #[prost(message, repeated, tag = "16")]
    pub(crate) aggregations: Vec<Empty>,
    #[prost(bool, tag = "19")]
    pub(crate) disabled: bool,
}
wrapped!(OnDemandFeatureView, OnDemandFeatureViewSpec);

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Transformation {
    #[prost(message, optional, tag = "1")]
    pub(crate) user_defined_function: Option<UserDefinedFunction>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UserDefinedFunction {
    #[prost(string, tag = "3")]
    pub(crate) body_text: String,
}
