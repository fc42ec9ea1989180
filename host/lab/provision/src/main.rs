//! `cargo run -p littoral-provision`: installs what tests and measurements need, so that `littoral bench` finds it.

#![warn(clippy::unwrap_used)]

use littoral_provision::{apt, feast::Environment};
use std::process::ExitCode;

fn main() -> ExitCode {
    let redis = apt::program("redis-server", "redis-server").map(|path| format!("redis-server: {}", path.display()));
    let haproxy = apt::program("haproxy", "haproxy").map(|path| format!("haproxy: {}", path.display()));
    let nginx = apt::program("nginx", "nginx-light").map(|path| format!("nginx: {}", path.display()));
    let etcd = apt::program("etcd", "etcd-server").map(|path| format!("etcd: {}", path.display()));
    let iproute = apt::program("ip", "iproute2").map(|path| format!("ip: {}", path.display()));
    let feast = Environment::install().map(|found| format!("feast: {}", found.feast().display()));
    let mut code = ExitCode::SUCCESS;
    for outcome in [redis, haproxy, nginx, etcd, iproute, feast] {
        match outcome {
            Ok(found) => println!("{found}"),
            Err(missing) => {
                eprintln!("{missing}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
