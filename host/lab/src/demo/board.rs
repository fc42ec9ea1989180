//! Features are read through an edge, as a Feast client does.

use crate::{
    demo::{
        feast,
        stage::{ROUTES, Stage},
        story::Story,
    },
    failure::Failure,
    output::{Paint, Table},
};

/// Reads the feature service `departure_board` from both edges.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("A Feast client reads a feature service from an edge")?;
    story.say(&"POST /get-online-features {\"feature_service\": \"departure_board\", \"entities\": {..}}".dim())?;
    let request = feast::service_request("departure_board", &ROUTES);
    let edges = stage.edges()?;
    let token = stage.token.clone();
    let demand = [("littoral-at-least", token.as_str())];
    let mut answers = Vec::new();
    for (_, url) in &edges {
        answers.push(feast::read(&stage.http, url, &demand, &request).await?);
    }
    let first = answers.first().ok_or_else(|| Failure::rejected("there is no edge"))?;
    let mut table =
        Table::new(&["from", "to", ">flights/week", ">mean delay", ">miles", ">leaving today", ">their delay"]);
    for (row, (origin, destination)) in ROUTES.iter().enumerate() {
        table.row([
            format!("{} {}", origin.cyan(), stage.airports.place(origin)),
            format!("{} {}", destination.cyan(), stage.airports.place(destination)),
            format!("{}", first.number("route_daily__flights_7d", row)?),
            format!("{:.1} min", first.number("route_daily__mean_delay_7d", row)?),
            format!("{}", first.number("route_daily__distance_miles", row)?),
            format!("{}", first.number("from__departures_24h", row)?),
            format!("{:.1} min", first.number("from__mean_delay_24h", row)?),
        ]);
    }
    story.table(&table)?;
    let storm = ROUTES.len() - 1;
    let (flights, miles) =
        (first.number("route_daily__flights_7d", storm)?, first.number("route_daily__distance_miles", storm)?);
    story.check(
        (flights, miles) == (29.0, 927.0),
        "the newest row of the file won: Dallas to Columbus has 29 flights a week over 927 miles",
        || format!("the edge answers {flights} flights and {miles} miles"),
    )?;
    let same = answers.iter().all(|other| other.same_values(first));
    story.check(same, "both edges give the same answer", || "their values or statuses differ".to_owned())?;
    let staleness = answers.iter().filter_map(|answer| answer.staleness_ms).fold(0.0, f64::max);
    story.fact("staleness_ms", staleness);
    story.check(
        answers.iter().all(|answer| answer.staleness_ms.is_some_and(|ms| ms < 1_000.0) && answer.degraded.is_none()),
        &format!("each answer states its staleness: at most {staleness:.0} ms behind the leader"),
        || "an answer has no staleness, is a second behind, or is degraded".to_owned(),
    )
}
