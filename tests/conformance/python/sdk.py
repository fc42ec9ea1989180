"""Does what a Feast user does, with `online_store: remote` pointing at an edge of Littoral.

Run with the directory of the feature repository. Any failed assertion ends it with a traceback.
"""
import json
import math
import os
import sys
import time
from datetime import datetime, timezone

import pandas as pd

REPO = sys.argv[1]
sys.path.insert(0, REPO)
os.chdir(REPO)

import features as definitions  # noqa: E402
from feast import FeatureStore  # noqa: E402
from feast.data_source import PushMode  # noqa: E402
from feast.errors import FeatureViewNotFoundException  # noqa: E402


def main():
    store = FeatureStore(repo_path=REPO)
    store.apply(objects())
    reads_values(store)
    reads_types(store)
    reads_composite_keys(store)
    reads_services_and_full_names(store)
    reads_on_demand(store)
    writes(store)
    pushes(store)
    says_what_is_unknown(store)
    print("the SDK is served")


def objects():
    names = """driver customer bench driver_hourly_stats driver_hourly_stats_fresh driver_ttl driver_types
        driver_customer_stats bench_stats transformed_conv_rate transformed_conv_rate_python bench_pandas bench_python
        driver_activity_v1 driver_plain_v1 driver_alias_v1 bench_v1""".split()
    return [getattr(definitions, name) for name in names]


def read(store, wanted, rows, **options):
    return store.get_online_features(features=wanted, entity_rows=rows, **options).to_dict()


def drivers(*ids):
    return [{"driver_id": driver} for driver in ids]


def reads_values(store):
    wanted = ["driver_hourly_stats:conv_rate", "driver_hourly_stats:avg_daily_trips"]
    got = read(store, wanted, drivers(1001, 1002, 9999))
    assert got["driver_id"] == [1001, 1002, 9999], got
    assert got["conv_rate"] == [0.28125, 0.328125, None], got
    assert got["avg_daily_trips"] == [123, 223, None], got


def reads_types(store):
    wanted = [f"driver_types:{field.name}" for field in definitions.driver_types.schema if field.name.startswith("t_")]
    got = read(store, wanted, drivers(1001, 1003))
    with open(data("driver_types.json")) as file:
        expected = {row["driver_id"]: row for row in json.load(file)["rows"]}
    full = expected[1001]
    assert got["t_int64"][0] == full["t_int64"], got
    assert got["t_string"][0] == full["t_string"], got
    assert math.isclose(got["t_double"][0], full["t_double"]), got
    assert isinstance(got["t_bool"][0], bool), got
    assert list(got["t_int64_list"][0]) == list(full["t_int64_list"]), got
    assert list(got["t_string_list"][0]) == list(full["t_string_list"]), got
    assert got["t_string"][1] is None and got["t_bool"][1] is None and got["t_int64"][1] == 5, got


def reads_composite_keys(store):
    rows = [{"driver_id": 1001, "customer_id": "c-1"}, {"driver_id": 1001, "customer_id": "nope"}]
    got = read(store, ["driver_customer_stats:trips_together"], rows)
    assert got["trips_together"] == [11, None], got


def reads_services_and_full_names(store):
    got = store.get_online_features(
        features=store.get_feature_service("driver_plain_v1"), entity_rows=drivers(1001)
    ).to_dict()
    assert got["conv_rate"] == [0.28125] and got["avg_daily_trips"] == [123], got
    got = read(store, ["driver_hourly_stats:conv_rate"], drivers(1001), full_feature_names=True)
    assert got["driver_hourly_stats__conv_rate"] == [0.28125], got


def reads_on_demand(store):
    rows = [{"driver_id": 1001, "val_to_add": 10, "val_to_add_2": 100}]
    wanted = ["transformed_conv_rate:conv_rate_plus_val1", "transformed_conv_rate_python:conv_rate_py"]
    got = read(store, wanted, rows)
    assert got["conv_rate_plus_val1"] == [10.28125], got
    assert got["conv_rate_py"] == [10.28125], got


def frame(driver, trips):
    when = datetime(2026, 3, 1, tzinfo=timezone.utc)
    columns = {"driver_id": driver, "conv_rate": 0.5, "acc_rate": 0.25, "avg_daily_trips": trips}
    return pd.DataFrame([{**columns, "event_timestamp": when, "created": when}])


def writes(store):
    store.write_to_online_store("driver_hourly_stats", frame(8001, 17))
    eventually(lambda: read(store, ["driver_hourly_stats:avg_daily_trips"], drivers(8001))["avg_daily_trips"] == [17])


def pushes(store):
    store.push("driver_stats_push_source", frame(8002, 18), to=PushMode.ONLINE)
    wanted = ["driver_hourly_stats_fresh:avg_daily_trips"]
    eventually(lambda: read(store, wanted, drivers(8002))["avg_daily_trips"] == [18])


def says_what_is_unknown(store):
    try:
        read(store, ["nope:conv_rate"], drivers(1001))
    except FeatureViewNotFoundException:
        return
    raise AssertionError("an unknown view was read")


def eventually(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "a write is not seen at the edge"
        time.sleep(0.01)


def data(name):
    return os.path.join(os.environ["FEAST_ANCHOR_DATA"], name)


if __name__ == "__main__":
    main()
