//! The on-demand view `transformed_conv_rate_python` of the recorded Feast exchanges: adds a value of the request to a
//! conversion rate. A missing rate stays missing.

use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs, ValueType};

/// The `transformed_conv_rate_python` module.
pub struct TransformedConvRatePython;

impl FeatureModule for TransformedConvRatePython {
    fn describe() -> Manifest {
        Manifest::new()
            .input("driver_hourly_stats", "conv_rate", ValueType::Float)
            .param("val_to_add", ValueType::Int64)
            .param("val_to_add_2", ValueType::Int64)
            .output("conv_rate_py", ValueType::Double)
            .row_wise()
    }

    fn transform(batch: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
        let rate = batch.floats("driver_hourly_stats:conv_rate")?;
        let add = batch.int64s("val_to_add")?;
        let sum = batch.each(|row| Some(f64::from(*rate.get(row)?) + *add.get(row)? as f64));
        Ok(Outputs::new().doubles("conv_rate_py", sum))
    }
}

littoral_guest::export!(TransformedConvRatePython);

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_guest::{
        ColumnData, Status,
        testing::{Call, NoRows, options},
    };

    #[test]
    fn adds_to_the_rate_and_keeps_missing_values_missing() {
        let made = Call::new(2)
            .column("driver_hourly_stats:conv_rate", options(vec![Some(0.28125), None], ColumnData::Floats))
            .column("val_to_add", options(vec![Some(10), Some(20)], ColumnData::Int64s))
            .column("val_to_add_2", options(vec![Some(0), Some(0)], ColumnData::Int64s))
            .run_row_wise::<TransformedConvRatePython>(&NoRows)
            .unwrap();
        assert_eq!(made.value("conv_rate_py", 0).as_deref(), Some("10.28125"));
        assert_eq!(made.status("conv_rate_py", 1), Some(Status::NullValue));
    }
}
