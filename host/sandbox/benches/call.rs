//! Measures a call of `delay_risk` with its lookup: `cargo bench -p littoral-sandbox`.

#![allow(dead_code, missing_docs, reason = "a benchmark may fail loudly; tests use the rest")]

#[path = "../tests/sandbox/rows.rs"]
mod rows;
#[path = "../tests/sandbox/support.rs"]
mod support;

use littoral_model::{
    column::{Column, ColumnData},
    ports::ModuleError,
};
use littoral_sandbox::{Config, Instances};
use rows::{Answers, Rows};
use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use support::{Module, config, present};

/// The duration of each measurement.
const SPAN: Duration = Duration::from_secs(2);

fn columns(rows: usize) -> (Vec<Column>, Vec<Column>) {
    let ints = |value: i64| present(ColumnData::Int64(vec![value; rows]));
    let floats = |value: f32| present(ColumnData::Float(vec![value; rows]));
    let inputs =
        vec![ints(10), floats(15.0), ints(200), ints(50), floats(12.0), ints(14), ints(3), floats(9.0), ints(692)];
    (inputs, vec![ints(17), present(ColumnData::String(vec!["SFO".into(); rows]))])
}

async fn call(module: &Module, replica: &Arc<Rows>, rows: usize) -> Result<Vec<Column>, ModuleError> {
    let (inputs, params) = columns(rows);
    module.call(rows, inputs, params, replica.clone()).await
}

/// Calls in sequence on each of `threads` threads for the whole duration. Returns the microseconds of a call.
fn measure(module: &Arc<Module>, rows: usize, threads: usize) -> f64 {
    let replica = Rows::new(Answers::Now);
    let work = |span: Duration| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (begun, mut calls) = (Instant::now(), 0_u32);
            while begun.elapsed() < span {
                for _ in 0..100 {
                    black_box(call(module, &replica, rows).await.unwrap());
                }
                calls += 100;
            }
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
    };
    work(SPAN / 10);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(SPAN))).collect();
        let micros: Vec<f64> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        micros.iter().sum::<f64>() / threads as f64
    })
}

fn main() {
    let begun = Instant::now();
    let mut made = 0_u32;
    while begun.elapsed() < SPAN / 4 {
        black_box(columns(1));
        made += 1;
    }
    let making = begun.elapsed().as_secs_f64() * 1e6 / f64::from(made);
    println!("creating the columns of one row: {making:.2} us, which the figures include\n");
    println!("{:<10} {:>6} {:>9} {:>12}", "instance", "rows", "threads", "us per call");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, instances) in [("warm", Instances::Warm), ("fresh", Instances::Fresh)] {
        let config = Config { instances, ..config() };
        let module = Arc::new(runtime.block_on(Module::start("modules/delay_risk", config)));
        for (rows, threads) in [(1, 1), (1, 2), (10, 1), (100, 1)] {
            println!("{name:<10} {rows:>6} {threads:>9} {:>12.2}", measure(&module, rows, threads));
        }
    }
}
