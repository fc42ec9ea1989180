//! Predicts whether a flight leaves late: a score between 0 and 1 and a bucket, from recent data of the airport and the
//! route.
//!
//! Reads the origin airport's last hour and day and the route's last week as inputs, the departure hour as a parameter,
//! and looks up the destination airport's row, because late arrivals there return as late departures here.

mod score;

use littoral_guest::{Batch, Column, ColumnData, Error, FeatureModule, Lookup, Manifest, Outputs, Status, ValueType};
use score::{Airport, Flight, Route, bucket, score};

/// The `delay_risk` module.
pub struct DelayRisk;

/// Maps the request's `origin` to the airport's join key.
const ORIGIN: &[(&str, &str)] = &[("airport", "origin")];

impl FeatureModule for DelayRisk {
    fn describe() -> Manifest {
        Manifest::new()
            .input_by("airport_hourly", "departures_1h", ValueType::Int64, ORIGIN)
            .input_by("airport_hourly", "mean_delay_1h", ValueType::Float, ORIGIN)
            .input_by("airport_hourly", "departures_24h", ValueType::Int64, ORIGIN)
            .input_by("airport_hourly", "delayed_24h", ValueType::Int64, ORIGIN)
            .input_by("airport_hourly", "mean_delay_24h", ValueType::Float, ORIGIN)
            .input("route_daily", "flights_7d", ValueType::Int64)
            .input("route_daily", "delayed_7d", ValueType::Int64)
            .input("route_daily", "mean_delay_7d", ValueType::Float)
            .input("route_daily", "distance_miles", ValueType::Int64)
            .param("departure_hour", ValueType::Int64)
            .param("destination", ValueType::String)
            .output("score", ValueType::Double)
            .output("bucket", ValueType::String)
            .lookup("airport_hourly")
            .row_wise()
    }

    fn transform(batch: &Batch, lookup: &dyn Lookup) -> Result<Outputs, Error> {
        let hour = batch.int64s("departure_hour")?;
        if let Some(wrong) = (0..batch.rows()).filter_map(|row| hour.get(row)).find(|hour| !(0..24).contains(*hour)) {
            return Err(Error::invalid_input(format!("departure_hour is 0 to 23, got {wrong}")));
        }
        let origin_departures_1h = batch.int64s("airport_hourly:departures_1h")?;
        let origin_mean_1h = batch.floats("airport_hourly:mean_delay_1h")?;
        let origin_departures_24h = batch.int64s("airport_hourly:departures_24h")?;
        let origin_delayed_24h = batch.int64s("airport_hourly:delayed_24h")?;
        let origin_mean_24h = batch.floats("airport_hourly:mean_delay_24h")?;
        let route_flights = batch.int64s("route_daily:flights_7d")?;
        let route_delayed = batch.int64s("route_daily:delayed_7d")?;
        let route_mean = batch.floats("route_daily:mean_delay_7d")?;
        let route_distance = batch.int64s("route_daily:distance_miles")?;

        let destinations = batch.column("destination")?.clone();
        let there = lookup.lookup(
            "airport_hourly",
            &[key_column(destinations)],
            &["departures_24h", "delayed_24h", "mean_delay_24h"],
        )?;
        let there_departures = there.int64s("departures_24h")?;
        let there_delayed = there.int64s("delayed_24h")?;
        let there_mean = there.floats("mean_delay_24h")?;

        let scores = batch.each(|row| {
            score(&Flight {
                hour: *hour.get(row)?,
                origin: Airport::from_day(
                    origin_departures_24h.get(row),
                    origin_delayed_24h.get(row),
                    origin_mean_24h.get(row),
                )
                .map(|airport| airport.with_hour(origin_departures_1h.get(row), origin_mean_1h.get(row))),
                destination: Airport::from_day(there_departures.get(row), there_delayed.get(row), there_mean.get(row)),
                route: Route::from_week(
                    route_flights.get(row),
                    route_delayed.get(row),
                    route_mean.get(row),
                    route_distance.get(row),
                ),
            })
        });
        let buckets = scores.iter().map(|score| score.map(|score| bucket(score).to_owned())).collect();
        Ok(Outputs::new().doubles("score", scores).strings("bucket", buckets))
    }
}

/// Returns the request's destinations as the lookup's key column. A value that is not text is not looked up.
fn key_column(column: Column) -> Column {
    match column.data {
        ColumnData::Strings(_) => column,
        _ => Column {
            data: ColumnData::Strings(vec![String::new(); column.len()]),
            statuses: Some(vec![Status::NotFound; column.len()]),
        },
    }
}

littoral_guest::export!(DelayRisk);

#[cfg(test)]
mod tests;
