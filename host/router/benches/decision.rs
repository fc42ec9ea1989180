//! Measures a decision by the number of regions, and prints nanoseconds; there is no limit, because a shared machine's
//! speed varies. `cargo bench -p littoral-router --bench decision`

use littoral_router::{
    Topology,
    decision::{
        Moment,
        coordinates::Coordinates,
        dice::Dice,
        fleet::Fleet,
        health::{self, Finding},
        outlier,
        select::{Criteria, Purpose, decide},
    },
};
use std::{
    fmt::Write as _,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

const DECISIONS: u32 = 100_000;
const ROUNDS: usize = 7;

fn fleet(regions: usize) -> Fleet {
    let mut dice = Dice::new(1);
    let mut text = "role = \"topology\"\nname = \"bench\"\npattern = \"active_active\"\n".to_owned();
    for region in 0..regions {
        let (latitude, longitude) = (dice.share() * 140.0 - 70.0, dice.share() * 360.0 - 180.0);
        writeln!(text, "[[regions]]\nname = \"r{region}\"\nlatitude = {latitude}\nlongitude = {longitude}").unwrap();
        writeln!(
            text,
            "edges = [{{ name = \"a\", door = \"r{region}a:1\" }}, {{ name = \"b\", door = \"r{region}b:1\" }}]"
        )
        .unwrap();
    }
    let topology = Topology::parse(&text).unwrap();
    let mut fleet = Fleet::new(Arc::new(topology), health::Config::default(), outlier::Config::default());
    let ids: Vec<_> = fleet.doors().map(|door| door.id).collect();
    for id in ids {
        // A tenth is down, so that the nearest region does not always suffice.
        let finding =
            if dice.share() < 0.1 { Finding::Unreachable } else { Finding::Good { writable: true, leads: None } };
        fleet.probed(id, finding, Some(Duration::from_millis(1)), Moment::ZERO);
    }
    fleet
}

fn main() {
    println!("{:>8} {:>14} {:>14}", "regions", "best ns", "median ns");
    for regions in [2, 10, 50, 250] {
        let view = fleet(regions).view(Moment::from_secs(60));
        let mut dice = Dice::new(2);
        let places: Vec<_> = (0..1_024)
            .map(|_| Coordinates::new(dice.share() * 140.0 - 70.0, dice.share() * 360.0 - 180.0).unwrap())
            .collect();
        let round = |_| {
            let began = Instant::now();
            for nth in 0..DECISIONS {
                let place = places.get(nth as usize % places.len()).copied();
                let criteria = Criteria {
                    purpose: Purpose::Read,
                    place,
                    tenant: None,
                    in_flight_max: 1_024,
                    limit: 3,
                    dice: nth.into(),
                };
                black_box(decide(&view, &criteria, |door| door as u32 % 7));
            }
            began.elapsed().as_nanos() as f64 / f64::from(DECISIONS)
        };
        let mut rounds: Vec<f64> = (0..ROUNDS).map(round).collect();
        rounds.sort_by(f64::total_cmp);
        println!("{regions:>8} {:>14.0} {:>14.0}", rounds[0], rounds[ROUNDS / 2]);
    }
}
