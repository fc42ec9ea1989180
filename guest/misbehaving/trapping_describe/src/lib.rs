//! Fails when it is asked what it reads and makes.

use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs};

/// The module.
pub struct TrappingDescribe;

impl FeatureModule for TrappingDescribe {
    fn describe() -> Manifest {
        panic!("no words for it")
    }

    fn transform(_: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
        Ok(Outputs::new())
    }
}

littoral_guest::export!(TrappingDescribe);
