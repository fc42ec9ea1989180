//! One run of `littoral bench`: its measurements in order, and the nodes that each needs.

use crate::bench::{
    Args, at_rest, auth, bootstrap, compressed, data, failure::Failure, far, machine::Machine,
    measurement::Measurement, memory, modules, names, reads, report::Report, router, setup::Setup, tail, tls, traces,
    visible, writes,
};
use std::{
    io::Write as _,
    time::{Duration, Instant},
};

/// The extent of the measurements.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each figure is measured.
    pub rounds: usize,
    /// The duration of a run.
    pub run: Duration,
    /// The rows of the small view.
    pub rows: u64,
    /// The rows of the large view.
    pub rows_large: u64,
    /// The number of idle connections.
    pub idle_connections: usize,
}

impl Effort {
    fn of(args: &Args) -> Self {
        if args.quick {
            Self { rounds: 1, run: Duration::from_millis(300), rows: 1_000, rows_large: 10_000, idle_connections: 500 }
        } else {
            Self {
                rounds: 7,
                run: Duration::from_secs(1),
                rows: 10_000,
                rows_large: 1_000_000,
                idle_connections: 10_000,
            }
        }
    }
}

/// Makes the requested measurements and prints the report.
///
/// # Errors
/// When a requested measurement could not be made; the report has all others.
pub fn run(args: &Args, json: bool) -> Result<(), Failure> {
    let started = Instant::now();
    let mut measurements = Vec::new();
    let effort = Effort::of(args);
    small(args, effort, &mut measurements);
    take(args, names::AUTH_READ_1X10, &mut measurements, || auth::measure(effort));
    take(args, names::TRACED_READ_1X10, &mut measurements, || traces::measure(effort));
    routed(args, effort, &mut measurements);
    written(args, effort, &mut measurements);
    large(args, effort, &mut measurements);
    tls::measure(args, effort, &mut measurements);
    measurements.sort_by_key(|row: &Measurement| names::NAMES.iter().position(|name| *name == row.name));
    let failed: Vec<_> = measurements.iter().filter(|row| row.value.is_none()).map(|row| row.name).collect();
    let failed = failed.join(", ");
    let seconds = started.elapsed().as_secs_f64();
    let report = Report { machine: Machine::this(), quick: args.quick, seconds, measurements };
    let text = if json {
        serde_json::to_string_pretty(&report).map_err(|error| Failure::new("the report as JSON", error))?
    } else {
        report.to_string()
    };
    writeln!(std::io::stdout(), "{text}")?;
    if failed.is_empty() { Ok(()) } else { Err(Failure(format!("not measured: {failed}"))) }
}

/// The measurements that read 10,000 rows.
fn small(args: &Args, effort: Effort, out: &mut Vec<Measurement>) {
    let mine = [names::READ_1X10, names::READ_100X10, names::TAIL, names::MODULE_WARM, names::MODULE_FRESH];
    with_setup(args, &mine, &[None], out, |setup, out| {
        setup.load(data::STATS, false, effort.rows)?;
        take(args, names::READ_1X10, out, || reads::one_entity(setup, effort));
        take(args, names::READ_100X10, out, || reads::hundred_entities(setup, effort));
        take(args, names::TAIL, out, || tail::at_half_rate(setup, effort));
        modules::measure(args, setup, effort, out);
        Ok(())
    });
}

/// The measurement through a proxy.
fn routed(args: &Args, effort: Effort, out: &mut Vec<Measurement>) {
    with_setup(args, &[names::ROUTER], &[None, None], out, |setup, out| {
        setup.load(data::STATS, false, effort.rows)?;
        take(args, names::ROUTER, out, || router::measure(setup, effort));
        Ok(())
    });
}

/// The measurements that write.
fn written(args: &Args, effort: Effort, out: &mut Vec<Measurement>) {
    let mine = [names::WRITE_ROWS, names::WRITE_BATCHES, names::VISIBLE];
    // Writes are measured without an edge, because the bare loop has none; visibility adds one.
    with_setup(args, &mine, &[], out, |setup, out| {
        let rows = setup.load(data::STATS, false, effort.rows)?;
        take(args, names::WRITE_ROWS, out, || writes::single_rows(setup, rows, effort));
        take(args, names::WRITE_BATCHES, out, || writes::batches(setup, rows, effort));
        if args.wants(names::VISIBLE) {
            setup.add_edge(None)?;
            setup.catch_up()?;
            take(args, names::VISIBLE, out, || visible::measure(setup, rows, effort));
        }
        Ok(())
    });
    with_setup(args, &[names::COMPRESSED_VISIBLE], &[None, Some(compressed::FAR_EDGE)], out, |setup, out| {
        let rows = setup.load(data::STATS, false, effort.rows)?;
        take(args, names::COMPRESSED_VISIBLE, out, || compressed::visible(setup, rows, effort));
        Ok(())
    });
    if args.wants(names::FAR_VISIBLE) {
        take(args, names::FAR_VISIBLE, out, || far::measure(effort));
    }
}

/// The measurements with 1,000,000 rows.
fn large(args: &Args, effort: Effort, out: &mut Vec<Measurement>) {
    let mine = [names::READ_ZIPF, names::BOOTSTRAP, names::AT_REST, names::COMPRESSED_BOOTSTRAP, names::MEMORY];
    with_setup(args, &mine, &[], out, |setup, out| {
        let rows = setup.load(data::WIDE, true, effort.rows_large)?;
        take(args, names::COMPRESSED_BOOTSTRAP, out, || compressed::bootstrap(setup, effort));
        if ![names::READ_ZIPF, names::BOOTSTRAP, names::AT_REST, names::MEMORY].iter().any(|name| args.wants(name)) {
            return Ok(());
        }
        let held = bootstrap::measure(setup, effort)?;
        if args.wants(names::MEMORY) {
            let measured = memory::measure(setup, held.edge, rows, effort);
            out.push(measured.unwrap_or_else(|failure| Measurement::failed(names::MEMORY, failure)));
        }
        take(args, names::READ_ZIPF, out, || reads::zipf(setup, held.edge, effort));
        if args.wants(names::BOOTSTRAP) {
            out.push(held.measurement);
        }
        take(args, names::AT_REST, out, || at_rest::measure(setup, effort));
        Ok(())
    });
}

/// Makes a measurement if it is requested.
pub fn take(
    args: &Args,
    name: &'static str,
    out: &mut Vec<Measurement>,
    measure: impl FnOnce() -> Result<Measurement, Failure>,
) {
    if !args.wants(name) {
        return;
    }
    progress(name);
    out.push(measure().unwrap_or_else(|failure| Measurement::failed(name, failure)));
}

/// Prints on standard error what is being measured.
pub fn progress(name: &str) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "[bench] {name}");
}

fn with_setup(
    args: &Args,
    mine: &[&'static str],
    edges: &[Option<&str>],
    out: &mut Vec<Measurement>,
    measure: impl FnOnce(&mut Setup, &mut Vec<Measurement>) -> Result<(), Failure>,
) {
    let wanted: Vec<_> = mine.iter().copied().filter(|name| args.wants(name)).collect();
    if wanted.is_empty() {
        return;
    }
    progress("starting a leader and edges, loading rows");
    let outcome = Setup::start(edges).and_then(|mut setup| measure(&mut setup, out));
    if let Err(failure) = outcome {
        // The measurements that were not reached failed for the same reason.
        for name in wanted {
            if !out.iter().any(|row| row.name == name) {
                out.push(Measurement::failed(name, &failure));
            }
        }
    }
}
