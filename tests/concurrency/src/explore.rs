//! How many schedules are explored, and of which kinds.

/// Runs a model under `schedules` random schedules, and as many of probabilistic concurrency testing, which finds bugs
/// of `depth` ordered steps with a known probability.
///
/// # Panics
/// If a schedule breaks an assertion of the model, or ends in a deadlock; the schedule is printed.
pub fn explore(schedules: usize, depth: usize, model: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = schedules * times();
    shuttle::check_random(model.clone(), schedules);
    shuttle::check_pct(model, schedules, depth);
}

/// Returns whether one of these schedules makes the model fail.
#[must_use]
pub fn finds_a_fault(schedules: usize, depth: usize, model: impl Fn() + Send + Sync + Clone + 'static) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(schedules, depth, model))).is_err()
}

fn times() -> usize {
    std::env::var("LITTORAL_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
