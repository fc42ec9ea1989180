//! Feature views, plain ones and stream ones.

use crate::{
    about::about,
    plan::{Note, in_project},
    proto::{self, DataSource, Duration, EntitySpec, FeatureSpec},
    report::Kind,
    sources,
    types::value_type,
};
use littoral_model::{
    details::{About, ViewDefinition, ViewDetails},
    merge::MergePolicy,
    view::{Feature, FeatureView, JoinKey, ViewId, is_name},
};

/// The join key of Feast's stand-in for views without an entity.
const DUMMY_JOIN_KEY: &str = "__dummy_id";

/// Feast's stand-in for the entity of views that have none.
pub(crate) const DUMMY_ENTITY: &str = "__dummy";

/// What plain and stream feature views have in common.
pub(crate) struct ViewSpec<'a> {
    pub(crate) name: &'a str,
    entities: &'a [String],
    features: &'a [FeatureSpec],
    entity_columns: &'a [FeatureSpec],
    ttl: Option<&'a Duration>,
    online: bool,
    disabled: bool,
    /// Whether Feast computes its rows from other rows.
    transformed: bool,
    /// Whether Feast also stores pushed rows for training.
    offline: bool,
    version: &'a str,
    about: About,
    pub(crate) batch_source: Option<&'a DataSource>,
    pub(crate) stream_source: Option<&'a DataSource>,
}

/// Returns all views of a project, plain ones first, in the registry's order.
pub(crate) fn specs<'a>(registry: &'a proto::Registry, project: &str) -> Vec<ViewSpec<'a>> {
    let plain = registry.feature_views.iter().filter_map(|view| view.spec.as_ref());
    let plain = plain.filter(|spec| in_project(&spec.project, project)).map(|spec| ViewSpec {
        name: &spec.name,
        entities: &spec.entities,
        features: &spec.features,
        entity_columns: &spec.entity_columns,
        ttl: spec.ttl.as_ref(),
        online: spec.online,
        disabled: spec.disabled,
        transformed: spec.feature_transformation.is_some() || !spec.source_views.is_empty(),
        offline: spec.offline,
        version: &spec.version,
        about: about(&spec.description, &spec.tags, &spec.owner),
        batch_source: spec.batch_source.as_ref(),
        stream_source: spec.stream_source.as_ref(),
    });
    let stream = registry.stream_feature_views.iter().filter_map(|view| view.spec.as_ref());
    let stream = stream.filter(|spec| in_project(&spec.project, project)).map(|spec| ViewSpec {
        name: &spec.name,
        entities: &spec.entities,
        features: &spec.features,
        entity_columns: &spec.entity_columns,
        ttl: spec.ttl.as_ref(),
        online: spec.online,
        disabled: spec.disabled,
        transformed: true,
        offline: false,
        version: &spec.version,
        about: about(&spec.description, &spec.tags, &spec.owner),
        batch_source: spec.batch_source.as_ref(),
        stream_source: spec.stream_source.as_ref(),
    });
    plain.chain(stream).collect()
}

/// Returns the views that the catalogue can hold, by name. Notes what is left out.
pub(crate) fn views(registry: &proto::Registry, project: &str, notes: &mut Vec<Note>) -> Vec<ViewDefinition> {
    let entities: Vec<&EntitySpec> = (registry.entities.iter().filter_map(|entity| entity.spec.as_ref()))
        .filter(|entity| in_project(&entity.project, project))
        .collect();
    let mut views = Vec::new();
    for spec in specs(registry, project) {
        match view(&spec, &entities, notes) {
            Ok(view) => views.push(view),
            Err(reason) => {
                notes.push(Note { kind: Kind::View, name: spec.name.to_owned(), left_out: true, reason });
            }
        }
    }
    views.sort_by(|a, b| a.view.name.cmp(&b.view.name));
    views
}

fn view(spec: &ViewSpec<'_>, entities: &[&EntitySpec], notes: &mut Vec<Note>) -> Result<ViewDefinition, String> {
    if spec.disabled {
        return Err("it is disabled in Feast".to_owned());
    }
    if !spec.online {
        return Err("it is not online in Feast (online=False)".to_owned());
    }
    let mut left_out = Vec::new();
    let mut features = Vec::new();
    for feature in spec.features {
        // The registry lists a view's entity columns separately; if the schema repeats them, they are still no
        // features.
        if spec.entity_columns.iter().any(|column| column.name == feature.name) {
            continue;
        }
        match value_type(feature.value_type) {
            Err(name) => left_out.push((feature, format!("Feast's type {name} has no counterpart here"))),
            Ok(_) if !is_name(&feature.name) => left_out.push((feature, crate::plan::bad_name())),
            Ok(value_type) => features.push(Feature { name: feature.name.clone(), value_type }),
        }
    }
    if features.is_empty() {
        let reasons: Vec<String> = left_out.iter().map(|(feature, why)| format!("'{}': {why}", feature.name)).collect();
        return Err(format!("none of its features can be imported ({})", reasons.join("; ")));
    }
    let view = FeatureView {
        id: ViewId::default(),
        name: spec.name.to_owned(),
        join_keys: join_keys(spec, entities)?,
        features,
        ttl_ms: spec.ttl.and_then(ttl_ms),
        merge: MergePolicy::default(),
    };
    let view = view.normalize().map_err(|error| error.to_string())?;
    let mut note = |kind: Kind, name: String, left_out: bool, reason: String| {
        notes.push(Note { kind, name, left_out, reason });
    };
    for (feature, reason) in left_out {
        note(Kind::Feature, format!("{}:{}", spec.name, feature.name), true, reason);
    }
    for feature in spec.features.iter().filter(|feature| feature.vector_index) {
        let reason = "its values are served; vector search is not".to_owned();
        note(Kind::Feature, format!("{}:{}", spec.name, feature.name), false, reason);
    }
    let mut differs = |reason: String| note(Kind::View, spec.name.to_owned(), false, reason);
    if spec.transformed {
        differs("Feast computes its rows; here they must be written as they are served".to_owned());
    }
    if spec.offline {
        differs("there is no offline store here: what is pushed is served, and not kept for training".to_owned());
    }
    if !spec.version.is_empty() && spec.version != "latest" {
        differs(format!("it is pinned to version '{}' in Feast; here its newest definition is served", spec.version));
    }
    if let Some(ttl) = spec.ttl {
        ttl_differs(ttl).into_iter().for_each(&mut differs);
    }
    if let Some(source) = spec.batch_source.filter(|source| !source.date_partition_column.is_empty()) {
        differs(format!(
            "the partition column '{}' of its source '{}' is not used: 'littoral ingest' reads every row of a file",
            source.date_partition_column, source.name
        ));
    }
    let details = details(spec, &view, entities);
    Ok(ViewDefinition { view, details })
}

/// Returns the details of a view beyond its schema, for what is imported.
fn details(spec: &ViewSpec<'_>, view: &FeatureView, entities: &[&EntitySpec]) -> ViewDetails {
    let described = |feature: &&FeatureSpec| view.feature(&feature.name).is_some();
    let features = spec.features.iter().filter(described);
    let features = features.map(|feature| (feature.name.clone(), about(&feature.description, &feature.tags, "")));
    let used = entities.iter().filter(|entity| view.join_keys.iter().any(|key| key.entity == entity.name));
    let entities = used.map(|entity| (entity.name.clone(), about(&entity.description, &entity.tags, &entity.owner)));
    let says_something = |(_, about): &(String, About)| !about.is_empty();
    ViewDetails {
        about: spec.about.clone(),
        entities: entities.filter(says_something).collect(),
        features: features.filter(says_something).collect(),
        source: spec.batch_source.map(sources::row_source),
    }
}

fn join_keys(spec: &ViewSpec<'_>, entities: &[&EntitySpec]) -> Result<Vec<JoinKey>, String> {
    let entity_of = |join_key: &str| {
        let named = |entity: &&&EntitySpec| spec.entities.contains(&entity.name) && entity.join_key == join_key;
        entities.iter().find(named).map_or_else(|| join_key.to_owned(), |entity| entity.name.clone())
    };
    let mut columns: Vec<(String, i32)> =
        spec.entity_columns.iter().map(|column| (column.name.clone(), column.value_type)).collect();
    if columns.is_empty() {
        // Registries of older Feasts have no entity columns; their entities have the types.
        for name in spec.entities.iter().filter(|name| *name != DUMMY_ENTITY) {
            let entity = entities.iter().find(|entity| entity.name == *name);
            let entity = entity.ok_or_else(|| format!("its entity '{name}' is not in the registry"))?;
            columns.push((entity.join_key.clone(), entity.value_type));
        }
    }
    columns.retain(|(join_key, _)| join_key != DUMMY_JOIN_KEY);
    let key = |(join_key, number): (String, i32)| {
        let value_type = value_type(number).map_err(|name| {
            format!("its join key '{join_key}' is of Feast's type {name}, which cannot be a key here")
        })?;
        Ok(JoinKey { entity: entity_of(&join_key), name: join_key, value_type })
    };
    columns.into_iter().map(key).collect()
}

/// Notes how the TTL differs from Feast's.
fn ttl_differs(ttl: &Duration) -> Option<String> {
    if ttl.seconds < 0 || ttl.nanos < 0 {
        return Some("its ttl is negative; here its rows do not expire".to_owned());
    }
    let ms = ttl_ms(ttl).filter(|_| ttl.nanos % 1_000_000 != 0)?;
    Some(format!("its ttl is rounded up to {ms} ms"))
}

/// Returns the TTL; Feast's zero means that rows do not expire.
fn ttl_ms(ttl: &Duration) -> Option<u64> {
    let seconds = u64::try_from(ttl.seconds).ok()?;
    let ms = seconds.saturating_mul(1_000).saturating_add(u64::try_from(ttl.nanos).unwrap_or(0).div_ceil(1_000_000));
    (ms > 0).then_some(ms)
}
