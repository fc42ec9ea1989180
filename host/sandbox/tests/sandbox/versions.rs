//! Components of every version of the WIT package run next to each other; tests how each handles unknown rows.

use crate::{
    examples::delay_risk,
    rows::{Answers, Rows},
    support::{Module, config, present},
};
use littoral_model::{
    column::{Column, ColumnData, Status},
    ports::ModuleError,
    read::ReadError,
};
use littoral_sandbox::{Config, Instances, Runtime};

const OLD_DEEDS: &str = "wit-0.1.0/deeds";
const OLD_DELAY_RISK: &str = "wit-0.1.0/delay_risk";

#[tokio::test]
async fn an_old_component_runs_next_to_a_new_one_and_computes_the_same() {
    let runtime = Runtime::new(config()).unwrap();
    let old = Module::on(&runtime, OLD_DELAY_RISK).await;
    let new = Module::on(&runtime, "modules/delay_risk").await;
    assert_eq!(old.manifest, new.manifest);
    let rows = || Rows::new(Answers::Now);
    let destinations = ["SFO", "LAX", "JFK", "nowhere"];
    let computed = delay_risk(&old, 17, &destinations, Status::NullValue, rows()).await.unwrap();
    assert!(computed[0].statuses.all_present());
    assert_eq!(computed, delay_risk(&new, 17, &destinations, Status::NullValue, rows()).await.unwrap());
}

#[tokio::test]
async fn an_old_component_is_contained_like_a_new_one() {
    for instances in [Instances::Warm, Instances::Fresh] {
        let module = Module::start(OLD_DEEDS, Config { instances, ..config() }).await;
        for answers in [Answers::Now, Answers::Later] {
            assert_eq!(module.deed_on(Rows::new(answers), "lookup", 0).await, Ok(12.5));
        }
        let trap = module.deed("panic", 0).await.unwrap_err();
        assert!(matches!(&trap, ModuleError::Trap { reason, .. } if reason.contains("on purpose")), "{trap}");
        let wrong = module.deed("few statuses", 0).await.unwrap_err();
        assert!(matches!(wrong, ModuleError::WrongShape { .. }), "{wrong}");
        let failed = module.deed("invalid input", 0).await.unwrap_err();
        assert!(matches!(failed, ModuleError::Failed { .. }), "{failed}");
        assert_eq!(module.deed("behave", 7).await, Ok(7.0));
    }
}

#[tokio::test]
async fn a_lookup_of_an_unknown_row_is_an_error_to_an_old_component_and_a_status_to_a_new_one() {
    let old = Module::start(OLD_DEEDS, config()).await;
    let error = old.deed_on(Rows::new(Answers::Unknown), "lookup", 0).await.unwrap_err();
    let ModuleError::Lookup { source: ReadError::RowsUnknown(rows), .. } = &error else { panic!("{error:?}") };
    assert_eq!(rows, "1 of the 1 rows of view 'airport_hourly'");
    let new = Module::deeds(Instances::Warm).await;
    let status = new.deed_on(Rows::new(Answers::Unknown), "lookup status", 0).await;
    assert_eq!(status, Ok(f64::from(Status::Unknown as u8)));
    assert_eq!(new.deed("lookup status", 0).await, Ok(f64::from(Status::Present as u8)));
}

#[tokio::test]
async fn an_unknown_input_fails_the_call_of_an_old_component() {
    let module = Module::start(OLD_DELAY_RISK, config()).await;
    let rows = Rows::new(Answers::Now);
    let error = delay_risk(&module, 17, &["SFO"], Status::Unknown, rows).await.unwrap_err();
    let reason = "whether the row of its input 'route_daily:distance_miles' exists is unknown".to_owned();
    assert_eq!(error, ModuleError::Unavailable { module: module.name.to_string(), reason });
}

#[tokio::test]
async fn an_unknown_input_makes_the_rows_outputs_of_a_new_component_unknown() {
    let module = Module::start("modules/delay_risk", config()).await;
    let columns = delay_risk(&module, 17, &["SFO"], Status::Unknown, Rows::new(Answers::Now)).await.unwrap();
    assert!(columns.iter().all(|column| column.statuses == [Status::Unknown]), "{columns:?}");
    let error = delay_risk(&module, 17, &["SFO"], Status::NullValue, Rows::new(Answers::Unknown)).await.unwrap_err();
    assert!(matches!(&error, ModuleError::Unavailable { reason, .. } if reason.contains("airport_hourly")), "{error}");
}

#[tokio::test]
async fn a_component_may_report_that_a_row_is_unknown() {
    let module = Module::deeds(Instances::Warm).await;
    let params = |deed: &str| vec![present(ColumnData::String(vec![deed.into()])), present(ColumnData::Int64(vec![0]))];
    let columns = module.call(1, Vec::new(), params("unknown"), Rows::new(Answers::Now)).await.unwrap();
    assert_eq!(columns, [Column { data: ColumnData::Double(vec![0.0]), statuses: vec![Status::Unknown].into() }]);
    let error = module.call(1, Vec::new(), params("unavailable"), Rows::new(Answers::Now)).await.unwrap_err();
    let reason = "on purpose".to_owned();
    assert_eq!(error, ModuleError::Unavailable { module: module.name.to_string(), reason });
}
