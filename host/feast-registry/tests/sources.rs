//! What a real registry contains beyond schemas is imported, or listed with the consequence.

use littoral_feast_registry::Plan;
use littoral_model::details::{About, RowSource, ViewDefinition};

fn plan() -> Plan {
    Plan::read(include_bytes!("../../../tests/fixtures/feast/registry/sources.db"), None).unwrap()
}

fn about(description: &str, tags: &[(&str, &str)], owner: &str) -> About {
    let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    About { description: description.into(), tags: tags.collect(), owner: owner.into() }
}

fn view<'a>(plan: &'a Plan, name: &str) -> &'a ViewDefinition {
    plan.views.iter().find(|definition| definition.view.name == name).unwrap()
}

fn source<'a>(plan: &'a Plan, view_name: &str) -> &'a RowSource {
    view(plan, view_name).details.source.as_ref().unwrap()
}

#[test]
fn sources_name_their_time_columns_and_rename_others() {
    let plan = plan();
    let named = |view: &str| {
        let source = source(&plan, view);
        (source.name.as_str(), source.event_timestamp.as_deref(), source.created.as_deref())
    };
    assert_eq!(named("click_stats"), ("click_log", Some("ts"), None));
    assert_eq!(named("made_stats"), ("made_log", Some("ts"), Some("made_at")));
    assert_eq!(named("plain_stats"), ("plain_log", Some("event_timestamp"), None));
    assert_eq!(named("loaded_stats"), ("loaded_log", Some("at"), Some("made_at")));
    let mapping = &source(&plan, "mapped_stats").field_mapping;
    let mapping: Vec<_> = mapping.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(mapping, [("drv", "driver_id"), ("sc", "score"), ("when", "ts")]);
    let totals = view(&plan, "network_totals");
    assert_eq!((totals.view.join_keys.len(), totals.view.ttl_ms), (0, None));
    let names: Vec<_> = totals.view.features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(names, ["n", "city"], "Feast's stand-in for an entity is no feature");
    assert_eq!(view(&plan, "made_stats").view.ttl_ms, None);
}

#[test]
fn descriptions_tags_and_owners_are_kept() {
    let plan = plan();
    let clicks = &view(&plan, "click_stats").details;
    let growth = [("team", "growth")];
    assert_eq!(clicks.about, about("clicks of a driver", &growth, "view@example.com"));
    assert_eq!(clicks.entities["driver"], about("who drives", &[("pii", "no")], "fleet@example.com"));
    assert_eq!(clicks.features["score"], about("the newest score", &[("unit", "points")], ""));
    assert_eq!(source(&plan, "click_stats").about, about("every click", &[("kept", "90d")], "data@example.com"));
    let push = plan.push_sources.iter().find(|definition| definition.push_source.name == "clicks").unwrap();
    assert_eq!(push.about, about("clicks as they come", &growth, "push@example.com"));
    assert_eq!(plan.services[0].about, about("what the click model reads", &[("version", "3")], "model@example.com"));
    assert!(view(&plan, "plain_stats").details.about.is_empty());
}

#[test]
fn what_is_not_carried_over_is_named_with_its_consequence() {
    let mut notes: Vec<String> = plan()
        .notes
        .iter()
        .map(|note| format!("{} {}{}: {}", note.kind, note.name, if note.left_out { " -" } else { "" }, note.reason))
        .collect();
    notes.sort();
    let load = |source: &str, view: &str| {
        format!(
            "data source {source}: its rows are not loaded by this import; load them with 'littoral ingest parquet \
             /data/{source}.parquet --view {view}'"
        )
    };
    assert_eq!(
        notes,
        [
            load("click_log", "click_stats"),
            load("loaded_log", "loaded_stats"),
            "data source lonely_log -: no imported feature view takes rows from it".into(),
            load("made_log", "made_stats"),
            load("mapped_log", "mapped_stats"),
            load("plain_log", "plain_stats"),
            load("totals_log", "network_totals"),
            "entity unused -: no imported feature view has it; entities are parts of views here".into(),
            "feature view loaded_stats: there is no offline store here: what is pushed is served, and not kept for \
             training"
                .into(),
            "feature view plain_stats: its ttl is rounded up to 2 ms".into(),
        ]
    );
}
