//! Push sources, and what other data sources mean here.

use crate::{
    plan::{Note, in_project},
    proto::{self, DataSource},
    report::Kind,
    views::{self, ViewSpec},
};
use littoral_model::{
    service::PushSource,
    view::{FeatureView, is_name},
};
use std::collections::{BTreeMap, BTreeSet};

const STREAM_KAFKA: i32 = 3;
const STREAM_KINESIS: i32 = 4;
const PUSH_SOURCE: i32 = 9;

/// The push sources of a project, by name, each with the imported views that it feeds.
pub(crate) fn push_sources(
    registry: &proto::Registry,
    project: &str,
    imported: &[FeatureView],
    notes: &mut Vec<Note>,
) -> Vec<PushSource> {
    let specs = views::specs(registry, project);
    let mut fed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let of_project = |source: &&DataSource| in_project(&source.project, project);
    for source in registry.data_sources.iter().filter(of_project).filter(|source| source.source_type == PUSH_SOURCE) {
        fed.entry(&source.name).or_default();
    }
    for spec in &specs {
        let Some(source) = spec.stream_source else { continue };
        if source.source_type == PUSH_SOURCE {
            fed.entry(&source.name).or_default().insert(spec.name);
        } else {
            note_stream(spec, source, notes);
        }
    }
    let mut sources = Vec::new();
    for (name, views) in fed {
        let mut note = |left_out: bool, reason: String| {
            notes.push(Note { kind: Kind::PushSource, name: name.to_owned(), left_out, reason });
        };
        let (there, missing): (Vec<&str>, Vec<&str>) =
            views.into_iter().partition(|view| imported.iter().any(|imported| imported.name == **view));
        for view in missing {
            note(false, format!("it does not reach '{view}', which is not imported"));
        }
        if !is_name(name) {
            note(true, crate::plan::bad_name());
        } else if there.is_empty() {
            note(true, "no imported feature view takes rows from it".to_owned());
        } else {
            sources.push(PushSource { name: name.to_owned(), views: there.into_iter().map(str::to_owned).collect() });
        }
    }
    sources
}

fn note_stream(spec: &ViewSpec<'_>, source: &DataSource, notes: &mut Vec<Note>) {
    let kind = match source.source_type {
        STREAM_KAFKA => "the Kafka topic",
        STREAM_KINESIS => "the Kinesis stream",
        _ => "the stream",
    };
    let reason = format!("{kind} of its source '{}' is not read; write its rows through the API", source.name);
    notes.push(Note { kind: Kind::View, name: spec.name.to_owned(), left_out: false, reason });
}
