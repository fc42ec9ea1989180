//! A module that traps in `describe`.

use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs};

/// The misbehaving module.
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
