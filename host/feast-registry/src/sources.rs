//! Push sources, and notes on other data sources.

use crate::{
    about::about,
    plan::{Note, in_project},
    proto::{self, DataSource},
    report::Kind,
    views::{self, ViewSpec},
};
use littoral_model::{
    details::{PushSourceDefinition, RowSource, ViewDefinition},
    service::PushSource,
    view::is_name,
};
use std::collections::{BTreeMap, BTreeSet};

const BATCH_FILE: i32 = 1;
const STREAM_KAFKA: i32 = 3;
const STREAM_KINESIS: i32 = 4;
const REQUEST_SOURCE: i32 = 7;
const PUSH_SOURCE: i32 = 9;

/// Returns the columns of a batch source's rows, by which pushed and loaded rows are read.
pub(crate) fn row_source(source: &DataSource) -> RowSource {
    let named = |column: &str| Some(column.to_owned()).filter(|column| !column.is_empty());
    RowSource {
        name: source.name.clone(),
        about: about(&source.description, &source.tags, &source.owner),
        event_timestamp: named(&source.timestamp_field),
        created: named(&source.created_timestamp_column),
        field_mapping: source.field_mapping.iter().map(|(from, to)| (from.clone(), to.clone())).collect(),
    }
}

/// Returns the push sources of a project by name, each with the imported views that it feeds.
pub(crate) fn push_sources(
    registry: &proto::Registry,
    project: &str,
    imported: &[ViewDefinition],
    notes: &mut Vec<Note>,
) -> Vec<PushSourceDefinition> {
    let specs = views::specs(registry, project);
    let mut fed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let of_project = |source: &&DataSource| in_project(&source.project, project);
    let mut said = BTreeMap::new();
    let mut say = |source: &DataSource| {
        said.insert(source.name.clone(), about(&source.description, &source.tags, &source.owner));
    };
    specs.iter().filter_map(|spec| spec.stream_source).for_each(&mut say);
    for source in registry.data_sources.iter().filter(of_project).filter(|source| source.source_type == PUSH_SOURCE) {
        fed.entry(&source.name).or_default();
        say(source);
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
            views.into_iter().partition(|view| imported.iter().any(|imported| imported.view.name == **view));
        for view in missing {
            note(false, format!("it does not reach '{view}', which is not imported"));
        }
        if !is_name(name) {
            note(true, crate::plan::bad_name());
        } else if there.is_empty() {
            note(true, "no imported feature view takes rows from it".to_owned());
        } else {
            let push_source =
                PushSource { name: name.to_owned(), views: there.into_iter().map(str::to_owned).collect() };
            sources.push(PushSourceDefinition { push_source, about: said.remove(name).unwrap_or_default() });
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

/// Notes for every batch source that its rows are not loaded by the import, and how to load them.
pub(crate) fn note_batch_sources(
    registry: &proto::Registry,
    project: &str,
    imported: &[ViewDefinition],
    notes: &mut Vec<Note>,
) {
    let mut used: BTreeMap<&str, (&DataSource, Vec<&str>)> = BTreeMap::new();
    let specs = views::specs(registry, project);
    for spec in &specs {
        let Some(source) = spec.batch_source else { continue };
        if imported.iter().any(|imported| imported.view.name == spec.name) {
            used.entry(&source.name).or_insert((source, Vec::new())).1.push(spec.name);
        }
    }
    let mut note = |name: &str, left_out: bool, reason: String| {
        notes.push(Note { kind: Kind::DataSource, name: name.to_owned(), left_out, reason });
    };
    for (name, (source, views)) in &used {
        let uri = source.file_options.as_ref().map_or("", |options| options.uri.as_str());
        let file = match uri.strip_prefix("file://").unwrap_or(uri) {
            path if source.source_type == BATCH_FILE && !path.is_empty() && !path.contains("://") => path,
            _ => "FILE",
        };
        let commands = views.iter().map(|view| format!("'littoral ingest parquet {file} --view {view}'"));
        let commands = commands.collect::<Vec<_>>().join(", ");
        let export = if file == "FILE" { "export its rows as Parquet, then " } else { "" };
        note(name, false, format!("its rows are not loaded by this import; {export}load them with {commands}"));
    }
    for source in registry.data_sources.iter().filter(|source| in_project(&source.project, project)) {
        // Other notes cover push sources and streams; request sources are parameters of modules.
        let is_batch = !matches!(source.source_type, PUSH_SOURCE | REQUEST_SOURCE | STREAM_KAFKA | STREAM_KINESIS);
        if is_batch && !used.contains_key(source.name.as_str()) {
            note(&source.name, true, "no imported feature view takes rows from it".to_owned());
        }
    }
}
