//! How many schedules, and of which kinds.

/// Runs a model under `schedules` random schedules and as many by probabilistic concurrency testing, which finds with a known
/// chance whatever `depth` ordered steps can bring about.
///
/// # Panics
/// Where a schedule breaks a promise of the model, or ends in a deadlock; the schedule is printed.
pub fn explore(schedules: usize, depth: usize, model: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = schedules * times();
    shuttle::check_random(model.clone(), schedules);
    shuttle::check_pct(model, schedules, depth);
}

/// Whether some schedule of as many makes the model fail.
#[must_use]
pub fn finds_a_fault(schedules: usize, depth: usize, model: impl Fn() + Send + Sync + Clone + 'static) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(schedules, depth, model))).is_err()
}

fn times() -> usize {
    std::env::var("LITTORAL_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
