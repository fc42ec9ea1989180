//! A module whose `describe` never returns.

use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs};

/// The misbehaving module.
pub struct EndlessDescribe;

impl FeatureModule for EndlessDescribe {
    fn describe() -> Manifest {
        loop {
            std::hint::black_box(());
        }
    }

    fn transform(_: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
        Ok(Outputs::new())
    }
}

littoral_guest::export!(EndlessDescribe);
