//! The on-demand view `transformed_conv_rate` of the recorded Feast exchanges: adds each of two values of the request
//! to a conversion rate. A missing rate stays missing.

use littoral_guest::{Batch, Error, FeatureModule, Lookup, Manifest, Outputs, ValueType};

/// The `transformed_conv_rate` module.
pub struct TransformedConvRate;

impl FeatureModule for TransformedConvRate {
    fn describe() -> Manifest {
        Manifest::new()
            .input("driver_hourly_stats", "conv_rate", ValueType::Float)
            .param("val_to_add", ValueType::Int64)
            .param("val_to_add_2", ValueType::Int64)
            .output("conv_rate_plus_val1", ValueType::Double)
            .output("conv_rate_plus_val2", ValueType::Double)
            .row_wise()
    }

    fn transform(batch: &Batch, _: &dyn Lookup) -> Result<Outputs, Error> {
        let rate = batch.floats("driver_hourly_stats:conv_rate")?;
        let plus = |param: &str| -> Result<Vec<Option<f64>>, Error> {
            let add = batch.int64s(param)?;
            Ok(batch.each(|row| Some(f64::from(*rate.get(row)?) + *add.get(row)? as f64)))
        };
        Ok(Outputs::new()
            .doubles("conv_rate_plus_val1", plus("val_to_add")?)
            .doubles("conv_rate_plus_val2", plus("val_to_add_2")?))
    }
}

littoral_guest::export!(TransformedConvRate);

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_guest::{
        ColumnData,
        testing::{Call, NoRows, options},
    };

    #[test]
    fn adds_each_value() {
        let made = Call::new(2)
            .column("driver_hourly_stats:conv_rate", options(vec![Some(0.28125), None], ColumnData::Floats))
            .column("val_to_add", options(vec![Some(1), Some(7)], ColumnData::Int64s))
            .column("val_to_add_2", options(vec![Some(2), Some(8)], ColumnData::Int64s))
            .run_row_wise::<TransformedConvRate>(&NoRows)
            .unwrap();
        assert_eq!(made.value("conv_rate_plus_val1", 0).as_deref(), Some("1.28125"));
        assert_eq!(made.value("conv_rate_plus_val2", 0).as_deref(), Some("2.28125"));
        assert_eq!(made.value("conv_rate_plus_val1", 1), None);
    }
}
