//! The score: a small hand-made logistic model. It is an example of a module, not of a forecast.

/// The data of a flight. The score ignores missing fields.
pub(crate) struct Flight {
    /// Local hour of departure, 0 to 23.
    pub(crate) hour: i64,
    pub(crate) origin: Option<Airport>,
    pub(crate) destination: Option<Airport>,
    pub(crate) route: Option<Route>,
}

/// An airport's last day, and its last hour if it had departures.
#[derive(Clone, Copy)]
pub(crate) struct Airport {
    /// The share of the day's departures that were late, 0 to 1.
    late: f64,
    /// Mean delay of the day, minutes.
    mean: f64,
    /// Mean delay of the last hour, minutes, if a flight departed in it.
    mean_1h: Option<f64>,
}

/// A route's last week.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    late: f64,
    mean: f64,
    miles: f64,
}

impl Airport {
    pub(crate) fn from_day(departures: Option<&i64>, delayed: Option<&i64>, mean: Option<&f32>) -> Option<Self> {
        Some(Self { late: part(*delayed?, *departures?)?, mean: f64::from(*mean?), mean_1h: None })
    }

    pub(crate) fn with_hour(self, departures: Option<&i64>, mean: Option<&f32>) -> Self {
        let mean_1h = departures.filter(|departures| **departures > 0).and(mean).map(|mean| f64::from(*mean));
        Self { mean_1h, ..self }
    }
}

impl Route {
    pub(crate) fn from_week(
        flights: Option<&i64>,
        delayed: Option<&i64>,
        mean: Option<&f32>,
        miles: Option<&i64>,
    ) -> Option<Self> {
        let miles = miles.map_or(600.0, |miles| *miles as f64);
        Some(Self { late: part(*delayed?, *flights?)?, mean: f64::from(*mean?), miles })
    }
}

fn part(of: i64, all: i64) -> Option<f64> {
    (all > 0).then(|| (of as f64 / all as f64).clamp(0.0, 1.0))
}

/// Returns the score, 0 to 1; `None` if neither the origin nor the route is known.
pub(crate) fn score(flight: &Flight) -> Option<f64> {
    if flight.origin.is_none() && flight.route.is_none() {
        return None;
    }
    // Delays build up over the day and disappear by the next morning.
    let hour = flight.hour as f64;
    let mut log_odds = -1.9 + 1.2 * ((hour - 5.0).rem_euclid(24.0) / 19.0).min(1.0);
    if let Some(origin) = flight.origin {
        log_odds += 2.0 * (origin.late - 0.2) + 0.012 * minutes(origin.mean);
        log_odds += 0.015 * origin.mean_1h.map_or(0.0, minutes);
    }
    if let Some(route) = flight.route {
        log_odds += 1.5 * (route.late - 0.2) + 0.01 * minutes(route.mean);
        // Long flights recover part of the delay in the air.
        log_odds -= 0.1 * (route.miles / 1_000.0).min(3.0);
    }
    if let Some(destination) = flight.destination {
        log_odds += destination.late - 0.2 + 0.01 * minutes(destination.mean);
    }
    Some(1.0 / (1.0 + (-log_odds).exp()))
}

/// Returns a delay's weight. Early counts as on time, and all delays beyond two hours count the same.
fn minutes(delay: f64) -> f64 {
    delay.clamp(0.0, 120.0)
}

/// Returns the score's bucket.
pub(crate) fn bucket(score: f64) -> &'static str {
    match score {
        score if score < 0.25 => "low",
        score if score < 0.5 => "medium",
        _ => "high",
    }
}
