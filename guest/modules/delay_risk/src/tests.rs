use super::*;
use littoral_guest::testing::{Call, Made, NoRows, ViewRows, options};

/// Sets the mean delays of the origin's hour, the origin's day and the route's week, and the departure hour.
type Case = (Option<f32>, Option<f32>, Option<f32>, i64);

fn call(rows: &[Case]) -> Call {
    let floats = |pick: fn(&Case) -> Option<f32>| options(rows.iter().map(pick).collect(), ColumnData::Floats);
    let ints = |value: i64, known: fn(&Case) -> bool| {
        options(rows.iter().map(|row| known(row).then_some(value)).collect(), ColumnData::Int64s)
    };
    Call::new(rows.len())
        .column("airport_hourly:departures_1h", ints(10, |row| row.0.is_some()))
        .column("airport_hourly:mean_delay_1h", floats(|row| row.0))
        .column("airport_hourly:departures_24h", ints(100, |row| row.1.is_some()))
        .column("airport_hourly:delayed_24h", ints(20, |row| row.1.is_some()))
        .column("airport_hourly:mean_delay_24h", floats(|row| row.1))
        .column("route_daily:flights_7d", ints(14, |row| row.2.is_some()))
        .column("route_daily:delayed_7d", ints(3, |row| row.2.is_some()))
        .column("route_daily:mean_delay_7d", floats(|row| row.2))
        .column("route_daily:distance_miles", ints(692, |row| row.2.is_some()))
        .column("departure_hour", options(rows.iter().map(|row| Some(row.3)).collect(), ColumnData::Int64s))
        .column("destination", options(rows.iter().map(|_| Some("BOS".to_owned())).collect(), ColumnData::Strings))
}

/// Returns the last day of every airport, with this mean delay.
fn airports(mean: f32) -> ViewRows<impl Fn(&[Column], &str) -> Column> {
    ViewRows::new("airport_hourly", move |keys, feature| {
        let rows = keys[0].len();
        match feature {
            "mean_delay_24h" => options(vec![Some(mean); rows], ColumnData::Floats),
            "departures_24h" => options(vec![Some(100); rows], ColumnData::Int64s),
            _ => options(vec![Some(20); rows], ColumnData::Int64s),
        }
    })
}

fn score_of(made: &Made, row: usize) -> f64 {
    made.value("score", row).unwrap().parse().unwrap()
}

#[test]
fn later_hours_and_longer_delays_are_riskier() {
    let made = call(&[
        (Some(0.0), Some(5.0), Some(5.0), 6),
        (Some(0.0), Some(5.0), Some(5.0), 20),
        (Some(60.0), Some(40.0), Some(30.0), 20),
    ])
    .run_row_wise::<DelayRisk>(&airports(5.0))
    .unwrap();
    let scores = [0, 1, 2].map(|row| score_of(&made, row));
    assert!(scores.is_sorted() && scores[0] < scores[1] && scores[1] < scores[2], "{scores:?}");
    assert_eq!(made.value("bucket", 0).as_deref(), Some("low"));
    assert_eq!(made.value("bucket", 2).as_deref(), Some("high"));
}

#[test]
fn the_destination_counts() {
    let calm = call(&[(Some(0.0), Some(5.0), Some(5.0), 12)]).run::<DelayRisk>(&airports(0.0)).unwrap();
    let busy = call(&[(Some(0.0), Some(5.0), Some(5.0), 12)]).run::<DelayRisk>(&airports(60.0)).unwrap();
    assert!(score_of(&busy, 0) > score_of(&calm, 0));
}

#[test]
fn missing_data_is_ignored_and_without_any_data_there_is_no_score() {
    let made = call(&[(None, Some(5.0), None, 12), (None, None, Some(5.0), 12), (None, None, None, 12)])
        .run_row_wise::<DelayRisk>(&airports(5.0))
        .unwrap();
    assert!(made.value("score", 0).is_some() && made.value("score", 1).is_some());
    assert_eq!((made.value("score", 2), made.value("bucket", 2)), (None, None));
}

#[test]
fn an_hour_out_of_range_is_an_invalid_input() {
    let error = call(&[(None, None, None, 24)]).run::<DelayRisk>(&airports(5.0)).unwrap_err();
    assert_eq!(error, Error::invalid_input("departure_hour is 0 to 23, got 24"));
}

#[test]
fn a_failed_lookup_fails_the_call() {
    assert!(call(&[(None, Some(5.0), None, 12)]).run::<DelayRisk>(&NoRows).is_err());
}
