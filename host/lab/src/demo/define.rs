//! The definitions: feature views, a feature service, a push source.

use crate::{
    demo::{
        stage::{DEFINITIONS, Stage},
        story::Story,
    },
    failure::Failure,
    output::{Paint, Table},
    product, target,
};

/// Applies `edge-config/feature-views.toml` with `littoral view apply` and its siblings.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("Feature views are defined: a schema, an entity key, a merge policy")?;
    let leader = stage.leader()?;
    let applied = product::apply(&stage.project.join(DEFINITIONS), &leader).await?;
    stage.token = applied.token;
    let views = target::client(&leader)?.views().await.map_err(target::failed)?;
    let mut table = Table::new(&["view", "one row per", "features"]);
    for view in &views {
        let keys: Vec<_> = view.join_keys.iter().map(|key| key.name.as_str()).collect();
        let features: Vec<_> = view.features.iter().map(|feature| feature.name.as_str()).collect();
        table.row([view.name.cyan(), keys.join(" and "), features.join(", ")]);
    }
    story.table(&table)?;
    story.check(views.len() == applied.views, &format!("the leader has accepted {}", applied.description), || {
        format!("it has {} views", views.len())
    })
}
