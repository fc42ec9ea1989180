//! The projects of a catalogue: their records, what each contains, and which regions may hold which rows.
//!
//! A view takes over its project's residency rule when it is created, and the rule of a project with views
//! cannot change. So every row of a view has always been under the view's rule, and its ID alone determines
//! where the row may go. The rule of a dropped view is kept, because the log still holds its rows.

use super::{Catalogue, CatalogueChange, InvalidChange};
use crate::{
    details::Details,
    project::{self, PROJECTS_MAX, Project, ProjectName, Receiver},
    region::Region,
    view::{FeatureView, ViewId},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The maximum length of a project's description, in bytes.
const DESCRIPTION_LEN_MAX: usize = 4 << 10;

/// The projects' records, and the residency rules of views.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Projects {
    records: BTreeMap<String, Project>,
    /// For each view that was created under a residency rule, dropped or not: the regions that may hold
    /// its rows.
    restricted: BTreeMap<ViewId, Vec<Region>>,
}

impl Projects {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.restricted.is_empty()
    }

    pub(super) fn put(&mut self, project: &Project) {
        self.records.insert(project.name.clone(), project.clone());
    }

    pub(super) fn drop_record(&mut self, name: &str) {
        self.records.remove(name);
    }

    /// Sets the rule of a view. A rule never changes.
    pub(super) fn restrict(&mut self, view: ViewId, regions: &[Region]) {
        self.restricted.entry(view).or_insert_with(|| regions.to_vec());
    }

    /// Sets the rule of a view that is created.
    pub(super) fn restrict_view(&mut self, view: &FeatureView) {
        let record = self.records.get(project::split(&view.name).0);
        if let Some(record) = record.filter(|record| !record.regions.is_empty()) {
            self.restricted.entry(view.id).or_insert_with(|| record.regions.clone());
        }
    }

    /// Returns the changes that add what `other` has.
    pub(super) fn puts_to<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = CatalogueChange> + 'a {
        let rules = other.restricted.iter().filter(|(view, _)| !self.restricted.contains_key(*view));
        let rules: Vec<_> = rules.map(|(view, regions)| (*view, regions.clone())).collect();
        let puts = other.records.values().filter(|there| self.records.get(&there.name) != Some(*there));
        (!rules.is_empty())
            .then_some(CatalogueChange::Restrict(rules))
            .into_iter()
            .chain(puts.cloned().map(Box::new).map(CatalogueChange::PutProject))
    }

    /// Returns the changes that drop what `other` does not have.
    pub(super) fn drops_to<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = CatalogueChange> + 'a {
        let gone = self.records.keys().filter(|name| !other.records.contains_key(*name));
        gone.cloned().map(CatalogueChange::DropProject)
    }
}

impl Catalogue {
    /// Returns the record of a project. `default` exists without one.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&Project> {
        self.projects.records.get(name)
    }

    /// Returns whether a project exists.
    #[must_use]
    pub fn has_project(&self, name: &str) -> bool {
        name == project::DEFAULT || self.projects.records.contains_key(name)
    }

    /// Iterates over the projects' records, sorted by name.
    pub fn projects(&self) -> impl ExactSizeIterator<Item = &Project> {
        self.projects.records.values()
    }

    /// Returns whether some rows may not leave their regions, or a project other than `default` exists.
    #[must_use]
    pub fn has_projects(&self) -> bool {
        !self.projects.is_empty()
    }

    /// Returns the definitions of one project, under their names inside the project. The catalogue of
    /// `default` equals the whole one as long as there is no other project.
    #[must_use]
    pub fn within(&self, name: &ProjectName) -> Self {
        fn of<T: Clone>(
            all: &BTreeMap<String, T>,
            project: &ProjectName,
            rename: impl Fn(&mut T, &str),
        ) -> BTreeMap<String, T> {
            let inside = all.iter().filter_map(|(stored, one)| Some((project.strip(stored)?, one)));
            inside
                .map(|(plain, one)| {
                    let mut one = one.clone();
                    rename(&mut one, plain);
                    (plain.to_owned(), one)
                })
                .collect()
        }
        // Clients can name any project, so an unknown one must not cost a traversal of all definitions.
        if !self.has_project(name.as_str()) {
            let (generation, next_view) = (self.generation, self.next_view);
            return Self { generation, next_view, scope: name.clone(), ..Self::default() };
        }
        let records = self.projects.records.get(name.as_str()).map(|record| (record.name.clone(), record.clone()));
        Self {
            generation: self.generation,
            views: of(&self.views, name, |view, plain| plain.clone_into(&mut view.name)),
            modules: of(&self.modules, name, |module, plain| plain.clone_into(&mut module.name)),
            services: of(&self.services, name, |service, plain| plain.clone_into(&mut service.name)),
            push_sources: of(&self.push_sources, name, |source, plain| plain.clone_into(&mut source.name)),
            next_view: self.next_view,
            details: Details {
                views: of(&self.details.views, name, |_, _| {}),
                services: of(&self.details.services, name, |_, _| {}),
                push_sources: of(&self.details.push_sources, name, |_, _| {}),
            },
            projects: Projects { records: records.into_iter().collect(), restricted: self.projects.restricted.clone() },
            scope: name.clone(),
        }
    }

    /// Returns the stored name of a definition that this catalogue, whole or [`Catalogue::within`] a project, names
    /// `name`.
    #[must_use]
    pub fn stored_name(&self, name: &str) -> String {
        self.scope.qualify(name)
    }

    /// Returns the regions that may hold rows of this view; empty for all regions.
    #[must_use]
    pub fn regions_of(&self, view: ViewId) -> &[Region] {
        self.projects.restricted.get(&view).map_or(&[][..], Vec::as_slice)
    }

    /// Returns how error texts name this view: its name, or its number if it was dropped.
    #[must_use]
    pub fn view_label(&self, view: ViewId) -> String {
        self.view_by_id(view).map_or_else(|| format!("number {view}"), |view| format!("'{}'", view.name))
    }

    /// Returns whether a node in this region may hold rows of this view.
    #[must_use]
    pub fn may_hold(&self, view: ViewId, region: Region) -> bool {
        Receiver::In(region).may_hold(self.regions_of(view))
    }

    /// Returns the views, dropped ones included, whose rows this receiver may not receive.
    #[must_use]
    pub fn withheld_from(&self, receiver: Receiver) -> BTreeSet<ViewId> {
        let denied = self.projects.restricted.iter().filter(|(_, regions)| !receiver.may_hold(regions));
        denied.map(|(view, _)| *view).collect()
    }

    pub(super) fn prepare_project(&self, mut next: Project) -> Result<Project, InvalidChange> {
        next.regions.sort_unstable();
        next.regions.dedup();
        let reject =
            |reason: String| Err(InvalidChange::Project { project: next.name.chars().take(160).collect(), reason });
        if let Err(error) = next.name.parse::<ProjectName>() {
            return reject(error.to_string());
        }
        let current = self.projects.records.get(&next.name);
        if current.is_none() && self.projects.records.len() >= PROJECTS_MAX {
            return reject(format!("there are already {PROJECTS_MAX} projects, which is the maximum; drop one first"));
        }
        if next.description.len() > DESCRIPTION_LEN_MAX {
            return reject(format!("the description has more than {DESCRIPTION_LEN_MAX} bytes; shorten it"));
        }
        let regions = current.map_or(&[][..], |current| current.regions.as_slice());
        if regions != next.regions
            && let Some(view) = self.views.values().find(|view| project::split(&view.name).0 == next.name)
        {
            return reject(format!(
                "its regions cannot change while it has views, such as '{}': rows would stay where the new rule \
                 forbids them, or be missing where it allows them; drop its views first, or create another project",
                view.name
            ));
        }
        Ok(next)
    }

    pub(super) fn check_project_unused(&self, name: &str) -> Result<(), InvalidChange> {
        let Some(record) = self.projects.records.get(name) else {
            return Err(InvalidChange::Unknown { kind: "project", name: name.to_owned() });
        };
        let here = |stored: &&String| project::split(stored).0 == name;
        let user = (self.views.keys().find(here).map(|view| format!("view '{view}'")))
            .or_else(|| self.modules.keys().find(here).map(|module| format!("module '{module}'")))
            .or_else(|| self.services.keys().find(here).map(|service| format!("feature service '{service}'")))
            .or_else(|| self.push_sources.keys().find(here).map(|source| format!("push source '{source}'")));
        match user {
            // `default` exists without its record, but its views would lose their rule.
            Some(_) if name == project::DEFAULT && record.regions.is_empty() => Ok(()),
            Some(user) => Err(InvalidChange::InUse { name: name.to_owned(), user }),
            None => Ok(()),
        }
    }

    /// Checks a definition's stored name, and that its project exists.
    pub(super) fn check_project(&self, stored: &str) -> Result<(), InvalidChange> {
        super::check_stored_name(stored)?;
        let (name, _) = project::split(stored);
        if self.has_project(name) {
            Ok(())
        } else {
            Err(InvalidChange::Unknown { kind: "project", name: name.to_owned() })
        }
    }

    pub(super) fn check_modules_quota(&self, stored: &str) -> Result<(), InvalidChange> {
        let (name, _) = project::split(stored);
        let Some(max) = self.project(name).and_then(|record| record.quotas.modules) else { return Ok(()) };
        let has = self.modules.keys().filter(|module| project::split(module).0 == name).count() as u64;
        // A new release of a module is always accepted.
        if has < max || self.modules.contains_key(stored) {
            Ok(())
        } else {
            Err(InvalidChange::OverQuota { project: name.to_owned(), what: "modules", max })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        merge::MergePolicy,
        project::Quotas,
        service::{FeatureService, Projection, PushSource},
        value::ValueType,
        view::Feature,
    };

    fn view(name: &str) -> FeatureView {
        FeatureView {
            id: ViewId(0),
            name: name.into(),
            join_keys: Vec::new(),
            features: vec![Feature { name: "f".into(), value_type: ValueType::Int64 }],
            ttl_ms: None,
            merge: MergePolicy::default(),
        }
    }

    fn put(name: &str, regions: &[&str]) -> CatalogueChange {
        let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
        CatalogueChange::PutProject(Box::new(Project { name: name.into(), regions, ..Project::default() }))
    }

    fn change(catalogue: &mut Catalogue, change: CatalogueChange) -> Result<(), InvalidChange> {
        if let Some(prepared) = catalogue.prepare(change)? {
            catalogue.apply(&prepared);
        }
        Ok(())
    }

    #[test]
    fn two_projects_have_a_view_of_one_name_and_each_resolves_its_own() {
        let mut catalogue = Catalogue::default();
        change(&mut catalogue, CatalogueChange::PutView(view("v"))).unwrap();
        let unknown = change(&mut catalogue, CatalogueChange::PutView(view("fraud/v"))).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no project named 'fraud'");
        change(&mut catalogue, put("fraud", &[])).unwrap();
        change(&mut catalogue, CatalogueChange::PutView(view("fraud/v"))).unwrap();
        let service = |name: &str, of: &str| {
            let part =
                Projection { view: of.into(), alias: None, features: vec!["f".into()], join_key_map: Vec::new() };
            CatalogueChange::PutService(FeatureService { name: name.into(), projections: vec![part] })
        };
        change(&mut catalogue, service("fraud/s", "v")).unwrap();
        assert!(change(&mut catalogue, service("s", "fraud/v")).is_err(), "a reference that leaves its project");
        let source = PushSource { name: "p".into(), views: vec!["fraud/v".into()] };
        assert!(change(&mut catalogue, CatalogueChange::PutPushSource(source)).is_err());
        // The service of `fraud` uses the view of `fraud`, and not the one of `default`.
        assert!(matches!(
            change(&mut catalogue, CatalogueChange::DropView("fraud/v".into())),
            Err(InvalidChange::InUse { .. })
        ));
        let (default, fraud) = (catalogue.within(&ProjectName::default()), catalogue.within(&"fraud".parse().unwrap()));
        assert_eq!((default.views().len(), default.services().len()), (1, 0));
        assert_eq!((fraud.views().len(), fraud.service("s").unwrap().projections[0].view.as_str()), (1, "v"));
        assert_ne!(default.view("v").unwrap().id, fraud.view("v").unwrap().id);
        let unknown = catalogue.within(&"unknown".parse().unwrap());
        assert_eq!((unknown.views().len(), unknown.stored_name("v").as_str()), (0, "unknown/v"));
        assert_eq!([&catalogue, &default, &fraud].map(|one| one.stored_name("v")), ["v", "v", "fraud/v"]);
        change(&mut catalogue, CatalogueChange::DropView("v".into())).unwrap();
        assert!(change(&mut catalogue, CatalogueChange::DropProject("fraud".into())).is_err(), "it has definitions");
    }

    #[test]
    fn the_rule_of_a_project_with_views_is_fixed_and_outlives_them() {
        let [eu, us] = ["eu", "us"].map(|name| name.parse::<Region>().unwrap());
        let mut catalogue = Catalogue::default();
        change(&mut catalogue, put("fraud", &["eu"])).unwrap();
        change(&mut catalogue, CatalogueChange::PutView(view("fraud/v"))).unwrap();
        let id = catalogue.view("fraud/v").unwrap().id;
        assert!(catalogue.may_hold(id, eu) && !catalogue.may_hold(id, us));
        for regions in [&[][..], &["eu", "us"], &["us"]] {
            assert!(change(&mut catalogue, put("fraud", regions)).is_err(), "{regions:?}");
        }
        let quotas = Quotas { rows: Some(1), ..Quotas::default() };
        let project = Project { quotas, ..catalogue.project("fraud").unwrap().clone() };
        change(&mut catalogue, CatalogueChange::PutProject(Box::new(project))).unwrap();
        let mut copy = Catalogue::default();
        Catalogue::default().changes_to(&catalogue).iter().for_each(|change| copy.apply(change));
        assert_eq!(Catalogue { generation: catalogue.generation, ..copy }, catalogue);
        change(&mut catalogue, CatalogueChange::DropView("fraud/v".into())).unwrap();
        change(&mut catalogue, CatalogueChange::DropProject("fraud".into())).unwrap();
        assert!(!catalogue.may_hold(id, us), "the log still has its rows");
        assert_eq!(catalogue.withheld_from(Receiver::Unknown), [id].into());
        let mut copy = Catalogue::default();
        Catalogue::default().changes_to(&catalogue).iter().for_each(|change| copy.apply(change));
        assert_eq!(Catalogue { generation: catalogue.generation, ..copy }, catalogue);
    }
}
