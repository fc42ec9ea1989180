"""Reads and writes with Feast's client and its `auth` setting, at an edge of Littoral with authentication.

Run with the directory of the feature repository, and `reads` or `writes`: what the client may do. Any failed assertion ends it
with a traceback.
"""
import os
import sys
from datetime import datetime, timezone

import pandas as pd

REPO, MAY = sys.argv[1], sys.argv[2]
sys.path.insert(0, REPO)
os.chdir(REPO)

import features as definitions  # noqa: E402
from feast import FeatureStore  # noqa: E402
from feast.errors import FeastPermissionError  # noqa: E402


def main():
    store = FeatureStore(repo_path=REPO)
    store.apply([definitions.driver, definitions.driver_hourly_stats])
    got = store.get_online_features(
        features=["driver_hourly_stats:conv_rate"], entity_rows=[{"driver_id": 1001}]
    ).to_dict()
    assert got["conv_rate"] == [0.28125], got
    frame = pd.DataFrame(
        {
            "driver_id": [1001],
            "conv_rate": [0.28125],
            "acc_rate": [0.5],
            "avg_daily_trips": [123],
            "event_timestamp": [datetime(2026, 1, 2, tzinfo=timezone.utc)],
            "created": [datetime(2026, 1, 2, tzinfo=timezone.utc)],
        }
    )
    try:
        store.write_to_online_store("driver_hourly_stats", frame)
        written = True
    except FeastPermissionError as error:
        assert "the scope 'write'" in str(error), error
        written = False
    assert written == (MAY == "writes"), written
    print("Feast's client is served")


main()
