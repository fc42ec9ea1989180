//! TLS and strangers: reads beside bare hyper and rustls, full handshakes beside nginx, the feed with and without mutual
//! TLS, the memory of idle connections, and a client's latency while others flood the door.

pub mod bare;
pub mod client;
mod flood;
mod handshakes;
mod idle;
mod nodes;
mod reads;
mod visible;

use crate::bench::{
    args::Args,
    measurement::Measurement,
    names,
    session::{Effort, take},
};
use nodes::Pair;

/// Makes the requested measurements.
pub fn measure(args: &Args, effort: Effort, out: &mut Vec<Measurement>) {
    let of_one_pair = [names::TLS_READ, names::TLS_HANDSHAKES, names::TLS_VISIBLE];
    if of_one_pair.iter().any(|name| args.wants(name)) {
        match Pair::start(effort, true, "") {
            Ok(pair) => {
                take(args, names::TLS_READ, out, || reads::measure(&pair, effort));
                take(args, names::TLS_HANDSHAKES, out, || handshakes::measure(&pair, effort));
                take(args, names::TLS_VISIBLE, out, || visible::measure(&pair, effort));
            }
            Err(failure) => {
                let wanted = of_one_pair.into_iter().filter(|name| args.wants(name));
                out.extend(wanted.map(|name| Measurement::failed(name, &failure)));
            }
        }
    }
    take(args, names::TLS_IDLE, out, || idle::measure(effort));
    take(args, names::FLOOD, out, || flood::measure(effort));
}
