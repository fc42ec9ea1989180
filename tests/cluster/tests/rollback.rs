//! Regions of real processes whose data directories are restored from older copies.

use littoral_cluster::{
    copies,
    pair::{Pair, WAIT_MAX, has, try_write, write},
};
use littoral_provision::cluster::eventually;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_rolled_back_region_recovers_what_it_lost_and_a_write_concern_holds() {
    let mut pair = Pair::start();
    let at = pair.dir.path().join("copy");
    copies::take(&mut pair.east, &at);
    for id in 2..6 {
        write(&pair.east, id, "regions=1");
    }
    copies::roll_back(&mut pair.east, &at);
    for id in 300..306 {
        write(&pair.east, id, "regions=1");
        assert!(has(&pair.west, id), "row {id} was acknowledged with regions=1");
    }
    pair.both_have((2..6).chain(300..306).chain([900, 901]));
    // Again to the same copy.
    copies::roll_back(&mut pair.east, &at);
    for id in 400..403 {
        write(&pair.east, id, "regions=1");
        assert!(has(&pair.west, id), "row {id} was acknowledged with regions=1");
    }
    pair.both_have((2..6).chain(300..306).chain(400..403));
}

#[test]
fn two_rolled_back_regions_converge_and_keep_what_either_has() {
    let mut pair = Pair::start();
    let east = pair.dir.path().join("east-copy");
    copies::take(&mut pair.east, &east);
    write(&pair.east, 2, "regions=1");
    let west = pair.dir.path().join("west-copy");
    copies::take(&mut pair.west, &west);
    write(&pair.east, 3, "regions=1");
    write(&pair.west, 4, "regions=1");
    for (node, copy) in [(&mut pair.east, &east), (&mut pair.west, &west)] {
        node.stop();
        copies::replace(node, copy);
    }
    pair.east.restart().unwrap();
    pair.west.restart().unwrap();
    write(&pair.east, 500, "regions=1");
    write(&pair.west, 501, "regions=1");
    // Row 2 was in the west's copy; rows in neither copy are lost.
    pair.both_have([2, 500, 501]);
}

#[test]
fn a_catalogue_home_rolled_back_before_a_view_was_created_recovers_the_view() {
    let mut pair = Pair::start();
    let at = pair.dir.path().join("copy");
    copies::take(&mut pair.east, &at);
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}], "features": [{"name": "n", "value_type": "int64"}]});
    pair.east.client().send("PUT", "/v1/views/later", &[], view.to_string().as_bytes()).unwrap().ok();
    write(&pair.east, 7, "regions=1");
    eventually("the view is in the west", WAIT_MAX, || {
        pair.west.client().get("/v1/views/later").unwrap().status == 200
    });
    copies::roll_back(&mut pair.east, &at);
    eventually("the view is back", WAIT_MAX, || pair.east.client().get("/v1/views/later").unwrap().status == 200);
    pair.both_have([7, 900, 901]);
}

#[test]
fn records_of_an_earlier_life_do_not_satisfy_a_write_concern() {
    let mut pair = Pair::start();
    let at = pair.dir.path().join("copy");
    copies::take(&mut pair.east, &at);
    for id in 2..6 {
        write(&pair.east, id, "regions=1");
    }
    pair.west.kill();
    copies::roll_back(&mut pair.east, &at);
    // As many as were lost: the west has confirmed their numbers.
    for id in 300..304 {
        let answer = try_write(&pair.east, id, "regions=1", Duration::from_millis(100));
        assert_eq!(answer.json()["code"], "concern_not_reached", "{}", answer.text());
        assert!(has(&pair.east, id), "it is durable here");
    }
    pair.west.restart().unwrap();
    write(&pair.east, 304, "regions=1");
    assert!(has(&pair.west, 304), "it was acknowledged with regions=1");
    pair.both_have((2..6).chain(300..305).chain([900, 901]));
}
