//! The rules of projects for a write: the residency rule, and the quotas of rows and bytes.
//!
//! The quotas are compared with the rows that are applied and those that the batch adds. Batches that are durable
//! and not applied yet are not counted, so concurrent writes can exceed a quota by the rows of one batch.

use littoral_model::{
    catalogue::Catalogue,
    mutation::{Mutation, active},
    project::{self, Project},
    region::Region,
    view::ViewId,
    write::{RowBatch, RowWrite, WriteError},
};
use littoral_replica::{Table, footprint_of};
use std::collections::{BTreeMap, HashMap};

/// The regions that may hold rows of all of some views.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedRegions(Vec<Vec<Region>>);

impl AllowedRegions {
    /// Returns the regions that the residency rules of these views allow.
    #[must_use]
    pub fn of(catalogue: &Catalogue, views: impl Iterator<Item = ViewId>) -> Self {
        let mut rules: Vec<Vec<Region>> = Vec::new();
        if catalogue.has_projects() {
            for rule in views.map(|view| catalogue.regions_of(view)).filter(|rule| !rule.is_empty()) {
                if rules.iter().all(|known| known != rule) {
                    rules.push(rule.to_vec());
                }
            }
        }
        Self(rules)
    }

    /// Returns whether this region is allowed.
    #[must_use]
    pub fn contains(&self, region: Region) -> bool {
        self.0.iter().all(|rule| rule.contains(&region)) || active(Mutation::CountOutsideRegions)
    }
}

/// What the writes of a batch add to each project that has quotas.
#[derive(Clone, Debug, Default)]
pub(crate) struct Added(BTreeMap<String, Usage>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    rows: u64,
    bytes: u64,
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Checks the rows of a write, as they will be logged in this region, and adds them to `added`.
///
/// # Errors
/// [`WriteError::OutsideRegions`], [`WriteError::OverQuota`].
pub(crate) fn check(
    catalogue: &Catalogue,
    region: Region,
    table: Option<&Table>,
    rows: &RowBatch,
    added: &mut Added,
) -> Result<(), WriteError> {
    if !catalogue.has_projects() {
        return Ok(());
    }
    let mut projects: BTreeMap<ViewId, Option<&Project>> = BTreeMap::new();
    let mut adds: BTreeMap<&str, Usage> = BTreeMap::new();
    let mut new = NewKeys::default();
    for row in rows.iter() {
        let project = match projects.get(&row.view) {
            Some(project) => *project,
            None => {
                check_region(catalogue, row.view, region)?;
                let project = limited(catalogue, row.view);
                projects.insert(row.view, project);
                project
            }
        };
        if let Some(project) = project {
            adds.entry(&project.name).or_default().add(usage(table, row, &mut new));
        }
    }
    for (name, usage) in &adds {
        let before = added.0.get(*name).copied().unwrap_or_default();
        check_quotas(catalogue, table, name, before, *usage)?;
    }
    adds.into_iter().for_each(|(name, usage)| added.0.entry(name.to_owned()).or_default().add(usage));
    Ok(())
}

fn check_region(catalogue: &Catalogue, view: ViewId, region: Region) -> Result<(), WriteError> {
    if catalogue.may_hold(view, region) {
        return Ok(());
    }
    Err(WriteError::OutsideRegions(format!(
        "rows of view {} may be stored only in {}, and this leader is in '{region}'; write to a leader there",
        catalogue.view_label(view),
        project::quoted(catalogue.regions_of(view))
    )))
}

/// Returns the view's project, if it limits rows or bytes.
fn limited(catalogue: &Catalogue, view: ViewId) -> Option<&Project> {
    let view = catalogue.view_by_id(view)?;
    let project = catalogue.project(project::split(&view.name).0)?;
    (project.quotas.rows.is_some() || project.quotas.bytes.is_some()).then_some(project)
}

/// The keys of a write that are not held: the memory of each, and whether it becomes a row.
type NewKeys<'a> = HashMap<(ViewId, &'a [u8]), (u64, bool)>;

/// Returns what a row adds to those that are held. A deletion of a key that is not held adds a tombstone.
fn usage<'a>(table: Option<&Table>, row: RowWrite<'a>, new: &mut NewKeys<'a>) -> Usage {
    let (is_row, len) = (row.body.is_some(), row.body.map_or(0, <[u8]>::len));
    let held = table.and_then(|table| table.held(row.view, row.key));
    let bytes = match &held {
        Some(held) => len.saturating_sub(held.body().len()) as u64,
        None => footprint_of(row.key.len() + len),
    };
    if held.is_some_and(|held| !held.is_tombstone()) {
        return Usage { rows: 0, bytes };
    }
    let (counted, becomes_row) = new.entry((row.view, row.key)).or_default();
    let adds = Usage { rows: u64::from(is_row && !*becomes_row), bytes: bytes.saturating_sub(*counted) };
    (*counted, *becomes_row) = ((*counted).max(bytes), *becomes_row || is_row);
    adds
}

/// Returns about how many bytes the rows of a write, as they will be logged, add to those that are held.
pub(crate) fn growth(table: &Table, rows: &RowBatch) -> u64 {
    let mut new = NewKeys::default();
    rows.iter().map(|row| usage(Some(table), row, &mut new).bytes).sum()
}

fn check_quotas(
    catalogue: &Catalogue,
    table: Option<&Table>,
    name: &str,
    before: Usage,
    adds: Usage,
) -> Result<(), WriteError> {
    let Some(project) = catalogue.project(name) else { return Ok(()) };
    let mut has = before;
    for view in catalogue.views().filter(|view| project::split(&view.name).0 == name) {
        let counts = table.map(|table| table.counts(view.id)).unwrap_or_default();
        has.add(Usage { rows: counts.rows, bytes: counts.bytes });
    }
    let limits =
        [("rows", project.quotas.rows, has.rows, adds.rows), ("bytes", project.quotas.bytes, has.bytes, adds.bytes)];
    for (what, max, has, adds) in limits {
        if let Some(max) = max
            && adds > 0
            && has.saturating_add(adds) > max
        {
            return Err(WriteError::OverQuota(format!(
                "project '{name}' has {has} {what} of at most {max}, and the write adds {adds}; drop a view, or raise \
                 the quota (`littoral project apply`)"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        catalogue::CatalogueChange,
        event_time::EventTime,
        hlc::Hlc,
        merge::MergePolicy,
        position::Lsn,
        project::Quotas,
        row::{Row, RowMeta},
        version::Version,
        view::FeatureView,
    };
    use littoral_replica::{Config, Mode};

    const VIEW: ViewId = ViewId(1);

    fn catalogue(regions: &[&str], quotas: Quotas) -> Catalogue {
        let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
        let project = Project { name: "fraud".into(), regions, quotas, ..Project::default() };
        let view = FeatureView {
            id: VIEW,
            name: "fraud/v".into(),
            join_keys: Vec::new(),
            features: Vec::new(),
            ttl_ms: None,
            merge: MergePolicy::default(),
        };
        let mut catalogue = Catalogue::default();
        catalogue.apply(&CatalogueChange::PutProject(Box::new(project)));
        catalogue.apply(&CatalogueChange::PutView(view));
        catalogue
    }

    fn rows(keys: &[&[u8]]) -> RowBatch {
        let mut rows = RowBatch::default();
        keys.iter()
            .for_each(|key| rows.push(RowWrite { view: VIEW, event_time: EventTime(1), key, body: Some(b"12") }));
        rows
    }

    fn eu() -> Region {
        "eu".parse().unwrap()
    }

    #[test]
    fn only_regions_that_may_hold_every_row_of_a_write_are_allowed() {
        let catalogue = catalogue(&["eu", "us"], Quotas::default());
        let allowed = AllowedRegions::of(&catalogue, [VIEW, ViewId(9)].into_iter());
        let contains = |region: &str| allowed.contains(region.parse().unwrap());
        assert!(contains("eu") && contains("us") && !contains("ap"));
        assert!(AllowedRegions::default().contains(eu()));
    }

    #[test]
    fn a_leader_outside_the_regions_of_a_project_rejects_its_rows() {
        let catalogue = catalogue(&["eu"], Quotas::default());
        check(&catalogue, eu(), None, &rows(&[b"a"]), &mut Added::default()).unwrap();
        let rejected =
            check(&catalogue, "us".parse().unwrap(), None, &rows(&[b"a"]), &mut Added::default()).unwrap_err();
        assert!(rejected.to_string().contains("only in 'eu', and this leader is in 'us'"), "{rejected}");
    }

    #[test]
    fn a_quota_counts_new_rows_of_the_table_and_of_the_batch_and_lets_rows_be_replaced_and_deleted() {
        let catalogue = catalogue(&[], Quotas { rows: Some(3), ..Quotas::default() });
        let table = Table::new(Config { shards: 1, ..Config::default() });
        let version = Version { hlc: Hlc(1), region: eu() };
        let meta = RowMeta { view: VIEW, event_time: EventTime(1), version, lsn: Lsn(1) };
        table.apply(Row::new(meta, b"held", Some(b"1")), MergePolicy::default(), Mode::InsertAll);
        let mut added = Added::default();
        let mut write = |keys: &[&[u8]]| check(&catalogue, eu(), Some(&table), &rows(keys), &mut added);
        write(&[b"held", b"a", b"a"]).unwrap();
        let rejected = write(&[b"b", b"c"]).unwrap_err();
        assert!(rejected.to_string().contains("has 2 rows of at most 3, and the write adds 2"), "{rejected}");
        write(&[b"b"]).unwrap();
        assert!(matches!(write(&[b"c"]), Err(WriteError::OverQuota(_))));
        write(&[b"held"]).unwrap();
        assert_eq!(growth(&table, &rows(&[b"held", b"a", b"a"])), 1 + footprint_of(1 + 2));
        let mut deletion = RowBatch::default();
        deletion.push(RowWrite { view: VIEW, event_time: EventTime(2), key: b"x", body: None });
        check(&catalogue, eu(), Some(&table), &deletion, &mut added).unwrap();
    }

    #[test]
    fn a_deletion_adds_a_tombstone_and_a_repeated_key_its_largest_row() {
        let table = Table::new(Config { shards: 1, ..Config::default() });
        let version = Version { hlc: Hlc(1), region: eu() };
        for (key, body) in [(b"row", Some(&b"1234"[..])), (b"old", None)] {
            let meta = RowMeta { view: VIEW, event_time: EventTime(1), version, lsn: Lsn(1) };
            table.apply(Row::new(meta, key, body), MergePolicy::default(), Mode::InsertAll);
        }
        let adds = |writes: &[(&[u8], Option<&[u8]>)]| {
            let mut rows = RowBatch::default();
            writes
                .iter()
                .for_each(|&(key, body)| rows.push(RowWrite { view: VIEW, event_time: EventTime(2), key, body }));
            growth(&table, &rows)
        };
        assert_eq!(adds(&[(b"row", None), (b"row", Some(b"4321")), (b"old", None)]), 0);
        assert_eq!(adds(&[(b"row", Some(b"123456")), (b"old", Some(b"123"))]), 2 + 3);
        assert_eq!(adds(&[(b"new", None)]), footprint_of(3));
        assert_eq!(adds(&[(b"new", Some(b"1")), (b"new", Some(&[0; 1_000]))]), footprint_of(1_003));
        let counted = table.bytes();
        let meta = RowMeta { view: VIEW, event_time: EventTime(1), version, lsn: Lsn(2) };
        table.apply(Row::new(meta, b"new", Some(b"1")), MergePolicy::default(), Mode::InsertAll);
        assert_eq!(table.bytes() - counted, footprint_of(3 + 1), "the table counts the same");
    }
}
