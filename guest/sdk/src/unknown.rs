//! Unknown rows: the host does not hold them and could not fetch them from the leader. Unless a module declares that it
//! handles them, the SDK prevents it from treating them as absent.

use crate::{
    batch::Batch,
    column::{Column, Status},
    error::Error,
    guest::{FeatureModule, run::in_order},
    lookup::{Lookup, Rows},
};

/// Returns the outputs of a module, in the manifest's order. Unless the module handles unknown rows, an unknown input
/// makes the outputs of its row unknown if the module is row-wise, and otherwise fails the call.
pub(crate) fn compute<M: FeatureModule>(batch: &Batch, lookup: &dyn Lookup) -> Result<Vec<Column>, Error> {
    if M::HANDLES_UNKNOWN {
        return in_order(&batch.manifest, M::transform(batch, lookup));
    }
    let unknown = batch.columns.iter().position(has_unknown);
    if let Some(at) = unknown.filter(|_| !batch.manifest.row_wise) {
        let name = batch.manifest.columns().nth(at).unwrap_or_default();
        return Err(Error::unavailable(format!("a row of the input '{name}' is unknown")));
    }
    let mut outputs = in_order(&batch.manifest, M::transform(batch, &Known(lookup)))?;
    if unknown.is_some() {
        let rows = (0..batch.rows).filter(|row| batch.columns.iter().any(|column| is_unknown(column, *row)));
        rows.for_each(|row| outputs.iter_mut().for_each(|column| forget(column, row)));
    }
    Ok(outputs)
}

/// A lookup that fails if a row is unknown.
struct Known<'a>(&'a dyn Lookup);

impl Lookup for Known<'_> {
    fn lookup(&self, view: &str, keys: &[Column], features: &[&str]) -> Result<Rows, Error> {
        let rows = self.0.lookup(view, keys, features)?;
        if rows.columns.iter().any(has_unknown) {
            return Err(Error::unavailable(format!("a looked-up row of '{view}' is unknown")));
        }
        Ok(rows)
    }
}

fn has_unknown(column: &Column) -> bool {
    column.statuses.as_ref().is_some_and(|statuses| statuses.contains(&Status::Unknown))
}

fn is_unknown(column: &Column, row: usize) -> bool {
    column.status(row) == Some(Status::Unknown)
}

/// Makes a row's value unknown.
fn forget(column: &mut Column, row: usize) {
    let len = column.len();
    let statuses = column.statuses.get_or_insert_with(|| vec![Status::Present; len]);
    if let Some(status) = statuses.get_mut(row) {
        *status = Status::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ColumnData, Manifest, Outputs, ValueType,
        testing::{Call, Made, NoRows, ViewRows},
    };

    /// Doubles a distance; with `LOOKUP`, a looked-up distance.
    struct Doubled<const ROW_WISE: bool, const LOOKUP: bool, const HANDLES: bool>;

    impl<const ROW_WISE: bool, const LOOKUP: bool, const HANDLES: bool> FeatureModule
        for Doubled<ROW_WISE, LOOKUP, HANDLES>
    {
        const HANDLES_UNKNOWN: bool = HANDLES;

        fn describe() -> Manifest {
            let manifest = Manifest::new().input("trips", "distance", ValueType::Double).lookup("trips");
            let manifest = manifest.output("doubled", ValueType::Double);
            if ROW_WISE { manifest.row_wise() } else { manifest }
        }

        fn transform(batch: &Batch, lookup: &dyn Lookup) -> Result<Outputs, Error> {
            let looked_up;
            let distance = if LOOKUP {
                looked_up = lookup.lookup("trips", &[], &["distance"])?;
                looked_up.doubles("distance")?
            } else {
                batch.doubles("trips:distance")?
            };
            Ok(Outputs::new().doubles("doubled", batch.each(|row| distance.get(row).map(|miles| miles * 2.0))))
        }
    }

    fn distances(second: Status) -> Column {
        Column { data: ColumnData::Doubles(vec![1.5, 0.0]), statuses: Some(vec![Status::Present, second]) }
    }

    fn run<M: FeatureModule>(input: Status, looked_up: Status) -> Result<Made, Error> {
        let rows = ViewRows::new("trips", move |_, _| distances(looked_up));
        Call::new(2).column("trips:distance", distances(input)).run::<M>(&rows)
    }

    #[test]
    fn an_unknown_input_makes_its_row_unknown_in_a_row_wise_module() {
        let made = run::<Doubled<true, false, false>>(Status::Unknown, Status::Present).unwrap();
        assert_eq!(made.value("doubled", 0).as_deref(), Some("3.0"));
        assert_eq!(made.status("doubled", 1), Some(Status::Unknown));
        let made = run::<Doubled<true, false, false>>(Status::NotFound, Status::Present).unwrap();
        assert_eq!(made.status("doubled", 1), Some(Status::NullValue));
    }

    #[test]
    fn an_unknown_input_fails_the_call_of_any_other_module() {
        let error = run::<Doubled<false, false, false>>(Status::Unknown, Status::Present).unwrap_err();
        assert_eq!(error, Error::unavailable("a row of the input 'trips:distance' is unknown"));
    }

    #[test]
    fn looking_up_an_unknown_row_fails_the_call() {
        let error = run::<Doubled<true, true, false>>(Status::Present, Status::Unknown).unwrap_err();
        assert_eq!(error, Error::unavailable("a looked-up row of 'trips' is unknown"));
        assert!(Call::new(0).run::<Doubled<true, true, false>>(&NoRows).is_err());
    }

    #[test]
    fn a_module_that_handles_unknown_rows_decides_itself() {
        let made = run::<Doubled<false, false, true>>(Status::Unknown, Status::Present).unwrap();
        assert_eq!(made.status("doubled", 1), Some(Status::NullValue));
        assert!(run::<Doubled<false, true, true>>(Status::Present, Status::Unknown).is_ok());
    }
}
