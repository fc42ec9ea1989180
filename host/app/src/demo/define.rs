//! Defining what there is: views, a feature service, a push source.

use crate::{
    commands::{definitions, target},
    definitions_file,
    demo::{stage::Stage, story::Story},
    failure::Failure,
    output::{Paint, Table},
};
use littoral_model::details::ViewDefinition;

/// Applies `edge-config/feature-views.toml`, as `littoral view apply` does.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("Feature views are defined: a schema, an entity key, a merge policy")?;
    let definitions = definitions_file::read(&stage.project.join("edge-config/feature-views.toml"))?;
    let leader = target::client(&stage.leader()?)?;
    let token = definitions::apply_all(&leader, &definitions).await?;
    stage.token = token.ok_or_else(|| Failure::refused("edge-config/feature-views.toml defines nothing"))?;
    let mut table = Table::new(&["view", "one row per", "features"]);
    for ViewDefinition { view, .. } in &definitions.views {
        let keys: Vec<_> = view.join_keys.iter().map(|key| key.name.as_str()).collect();
        let features: Vec<_> = view.features.iter().map(|feature| feature.name.as_str()).collect();
        table.row([view.name.cyan(), keys.join(" and "), features.join(", ")]);
    }
    story.table(&table)?;
    let taken = leader.views().await.map_err(target::failed)?.len();
    story.check(taken == definitions.views.len(), &format!("the leader has taken {}", definitions.describe()), || {
        format!("it has {taken} views")
    })
}
