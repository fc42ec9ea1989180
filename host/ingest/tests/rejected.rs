//! Rows that the node rejects, and loads that are restarted: the report counts the loaded rows and lists the rejected
//! ones.

mod node;
#[path = "../../client/tests/support/server.rs"]
mod server;

use littoral_ingest::{Error, Options, Silent, ingest};
use littoral_model::entity_key;
use node::{World, fixture};

const ROUTE_ROWS: u64 = 25_101;

fn key(destination: &str, origin: &str) -> Vec<u8> {
    let mut key = Vec::new();
    entity_key::push_bytes(&mut key, destination.as_bytes());
    entity_key::push_bytes(&mut key, origin.as_bytes());
    key
}

#[tokio::test]
async fn a_rejected_row_is_named_by_its_number_and_what_is_in_is_counted() {
    let world = World::new().await;
    world.node.lock().refuses.insert(key("ATL", "ABE"));
    let path = fixture("route_daily_last_week.parquet");
    let error = ingest(&path, &world.client, &world.options(), &mut Silent).await.unwrap_err();
    let Error::Row { row, rows_done, rows, .. } = &error else { panic!("{error}") };
    assert_eq!((*rows, *rows_done), (ROUTE_ROWS, world.node.lock().row_count()), "{error}");
    let words = error.to_string();
    assert!(words.contains(&format!("route_daily_last_week.parquet, row {row}: ")), "{words}");
    assert!(words.contains("is ahead") && words.contains("--skip-refused"), "{words}");

    // The row is corrected (here, at the node), and the same command continues.
    world.node.lock().refuses.clear();
    let report = ingest(&path, &world.client, &world.options(), &mut Silent).await.unwrap();
    assert_eq!(world.node.lock().row_count(), ROUTE_ROWS);
    assert_eq!(report.rows_resumed + report.rows_sent, ROUTE_ROWS);
    assert_eq!(report.rows_known + report.rows_resumed, *rows_done, "what the first run had brought in");
}

#[tokio::test]
async fn rejected_rows_are_left_out_where_that_is_wanted() {
    let whole = World::new().await;
    let path = fixture("route_daily_last_week.parquet");
    ingest(&path, &whole.client, &whole.options(), &mut Silent).await.unwrap();
    let refused = [key("ATL", "ABE"), key("LAX", "SFO")];
    let world = World::new().await;
    world.node.lock().refuses.extend(refused.clone());
    let options = Options { skip_refused: true, ..world.options() };
    let report = ingest(&path, &world.client, &options, &mut Silent).await.unwrap();
    let (whole, node) = (whole.node.lock(), world.node.lock());
    let left_out: u64 = refused.iter().map(|key| whole.rows.get(key).map_or(0, Vec::len) as u64).sum();
    assert!(left_out > 0);
    assert_eq!((report.rows_refused, report.rows_sent), (left_out, ROUTE_ROWS - left_out));
    assert_eq!(report.refused.len() as u64, left_out);
    assert!(report.refused.iter().all(|refused| refused.reason.contains("is ahead") && refused.row < ROUTE_ROWS));
    assert_eq!(node.row_count(), ROUTE_ROWS - left_out);
    assert!(node.rows.iter().all(|(key, rows)| whole.rows[key] == *rows), "the others are as they stand in the file");
}

#[tokio::test]
async fn a_run_that_skips_rejected_rows_after_one_that_did_not_counts_each_row_once() {
    let path = fixture("route_daily_last_week.parquet");
    let world = World::new().await;
    world.node.lock().refuses.insert(key("ATL", "ABE"));
    let error = ingest(&path, &world.client, &world.options(), &mut Silent).await.unwrap_err();
    let Error::Row { rows_done, .. } = error else { panic!("{error}") };
    assert!(rows_done > 0, "the first run loads rows before it fails");

    let options = Options { skip_refused: true, ..world.options() };
    let report = ingest(&path, &world.client, &options, &mut Silent).await.unwrap();
    let left_out = report.rows_refused;
    assert!(left_out > 0);
    assert_eq!(report.rows_resumed + report.rows_known, rows_done, "the rows of the first run");
    assert_eq!(report.rows_resumed + report.rows_sent, ROUTE_ROWS - left_out);
    assert_eq!(world.node.lock().row_count(), ROUTE_ROWS - left_out, "no row is written twice");

    // Nothing is left to do, and rejected rows do not count as loaded.
    let again = ingest(&path, &world.client, &options, &mut Silent).await.unwrap();
    assert!(again.was_finished);
    assert_eq!((again.rows_resumed, again.rows_refused_before), (ROUTE_ROWS - left_out, left_out));
}

#[tokio::test]
async fn rejected_rows_of_an_interrupted_run_do_not_count_as_loaded() {
    let path = fixture("route_daily_last_week.parquet");
    let world = World::new().await;
    world.node.lock().refuses.insert(key("ATL", "ABE"));
    let options = Options { skip_refused: true, ..world.options() };
    for taken in [40, 80, 100] {
        world.node.lock().patience = Some(taken);
        ingest(&path, &world.client, &options, &mut Silent).await.unwrap_err();
    }
    world.node.lock().patience = None;
    let report = ingest(&path, &world.client, &options, &mut Silent).await.unwrap();
    let left_out = ROUTE_ROWS - world.node.lock().row_count();
    assert!(report.rows_resumed > 0 && report.rows_refused_before > 0, "{report:?}");
    assert_eq!(report.rows_refused_before + report.rows_refused, left_out);
    assert_eq!(report.rows_resumed + report.rows_sent, ROUTE_ROWS - left_out);
}

#[tokio::test]
async fn a_load_that_is_begun_anew_is_not_taken_for_the_first() {
    let world = World::new().await;
    let path = fixture("route_daily_last_week.parquet");
    for times in 1..3 {
        let options = Options { restart: true, ..world.options() };
        let report = ingest(&path, &world.client, &options, &mut Silent).await.unwrap();
        assert_eq!((report.rows_sent, report.rows_known), (ROUTE_ROWS, 0));
        let node = world.node.lock();
        assert_eq!((node.row_count(), node.duplicates), (times * ROUTE_ROWS, 0));
    }
    // A restarted load that is interrupted resumes; it does not restart again.
    let patience = world.node.lock().taken + 30;
    world.node.lock().patience = Some(patience);
    let restart = Options { restart: true, ..world.options() };
    ingest(&path, &world.client, &restart, &mut Silent).await.unwrap_err();
    world.node.lock().patience = None;
    let report = ingest(&path, &world.client, &world.options(), &mut Silent).await.unwrap();
    assert_eq!((report.rows_resumed + report.rows_sent, world.node.lock().row_count()), (ROUTE_ROWS, 3 * ROUTE_ROWS));
}
