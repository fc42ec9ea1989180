//! Catalogue changes: definitions of views, modules' manifests, services, push sources.

use super::{check_words, values::TYPES};
use crate::Target;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    details::{About, PushSourceDefinition, RowSource, ViewDefinition, ViewDetails},
    merge::MergePolicy,
    module::{Field, Input, ModuleDigest, ModuleManifest, ModuleRelease},
    service::{FeatureService, Projection, PushSource},
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};

pub(super) const TARGET: Target = Target { name: "catalogue", run: changes, seeds, memory: (2 << 20, 4_096) };

/// Each line is a change, as JSON. A change that was applied changes nothing when it is prepared again, and the
/// catalogue survives the wire unchanged.
fn changes(input: &[u8]) {
    let mut catalogue = small();
    for line in input.split(|byte| *byte == b'\n').take(32) {
        let Ok(change) = serde_json::from_slice::<CatalogueChange>(line) else { continue };
        match catalogue.prepare(change) {
            Err(error) => check_words(&error.to_string()),
            Ok(None) => {}
            Ok(Some(prepared)) => {
                catalogue.apply(&prepared);
                let drops = serde_json::to_string(&prepared).unwrap_or_default().starts_with("{\"Drop");
                if !drops {
                    assert_eq!(catalogue.prepare(prepared), Ok(None), "a change that was applied changes something");
                }
            }
        }
    }
    let encoded = postcard::to_allocvec(&catalogue).expect("a catalogue is encoded");
    assert_eq!(postcard::from_bytes(&encoded), Ok(catalogue));
}

/// Returns a view of every type, a module, a service and a push source.
pub(super) fn small() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for change in small_changes() {
        if let Ok(Some(change)) = catalogue.prepare(change) {
            catalogue.apply(&change);
        }
    }
    catalogue
}

/// The view of every type.
pub(super) fn view() -> FeatureView {
    let key = |name: &str, value_type| JoinKey { name: name.into(), entity: name.into(), value_type };
    FeatureView {
        id: ViewId(1),
        name: "all".into(),
        join_keys: vec![key("id", ValueType::Int64), key("name", ValueType::String)],
        features: TYPES.iter().map(|t| Feature { name: format!("f_{t}"), value_type: *t }).collect(),
        ttl_ms: Some(86_400_000),
        merge: MergePolicy::default(),
    }
}

fn small_changes() -> Vec<CatalogueChange> {
    let field = |name: &str, value_type| Field { name: name.into(), value_type };
    let manifest = ModuleManifest {
        inputs: vec![Input {
            view: "all".into(),
            feature: "f_double".into(),
            value_type: ValueType::Double,
            join_key_map: [("id".to_owned(), "other".to_owned())].into_iter().collect(),
        }],
        params: vec![field("add", ValueType::Int64)],
        outputs: vec![field("sum", ValueType::Double)],
        lookups: vec!["all".into()],
        row_wise: true,
    };
    let release =
        ModuleRelease { name: "sums".into(), version: "1".into(), digest: ModuleDigest([7; 32]), size: 9, manifest };
    let part = Projection {
        view: "all".into(),
        alias: Some("every".into()),
        features: vec!["f_double".into()],
        join_key_map: Default::default(),
    };
    vec![
        CatalogueChange::PutView(view()),
        CatalogueChange::PutModule(release),
        CatalogueChange::PutService(FeatureService { name: "service".into(), projections: vec![part] }),
        CatalogueChange::PutPushSource(PushSource { name: "source".into(), views: vec!["all".into()] }),
    ]
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut changes = small_changes();
    let about = About {
        description: "d".into(),
        tags: [("t".to_owned(), "v".to_owned())].into_iter().collect(),
        owner: "o".into(),
    };
    let source = RowSource { event_timestamp: Some("ts".into()), ..RowSource::default() };
    let details = ViewDetails { about: about.clone(), source: Some(source), ..ViewDetails::default() };
    let push_source = PushSource { name: "source".into(), views: vec!["all".into()] };
    let described: [CatalogueChange; 2] =
        [ViewDefinition { view: view(), details }.into(), PushSourceDefinition { push_source, about }.into()];
    changes.extend(described);
    changes.extend([
        CatalogueChange::DropService("service".into()),
        CatalogueChange::DropModule("sums".into()),
        CatalogueChange::DropPushSource("source".into()),
        CatalogueChange::DropView("all".into()),
    ]);
    let lines: Vec<String> = changes.iter().map(|change| serde_json::to_string(change).unwrap_or_default()).collect();
    let mut seeds: Vec<_> =
        (lines.iter().enumerate()).map(|(at, line)| (at.to_string(), line.clone().into_bytes())).collect();
    seeds.push(("all".into(), lines.join("\n").into_bytes()));
    seeds
}
