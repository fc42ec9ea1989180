"""The feature repository that `feast serve` is measured with: ten doubles of an id, as Littoral's bench view has them.

Run with a number of rows, it makes the tables and writes the rows into the online store.
"""
import os
import sys
from datetime import datetime, timedelta, timezone

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = [f"f{feature}" for feature in range(10)]

bench = Entity(name="bench", join_keys=["bench_id"], value_type=ValueType.INT64)
bench_stats = FeatureView(
    name="bench_stats",
    entities=[bench],
    ttl=timedelta(days=0),
    schema=[Field(name=name, dtype=Float64) for name in NAMES],
    online=True,
    source=FileSource(
        name="bench_stats_source",
        path=os.path.join(HERE, "bench_stats.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    ),
)

if __name__ == "__main__":
    import pandas as pd

    rows = int(sys.argv[1])
    when = datetime(2026, 1, 1, tzinfo=timezone.utc)
    frame = pd.DataFrame({"bench_id": range(rows)})
    for index, name in enumerate(NAMES):
        frame[name] = frame["bench_id"] + index / 16
    frame["event_timestamp"] = when
    frame["created"] = when
    frame.to_parquet(os.path.join(HERE, "bench_stats.parquet"))
    store = FeatureStore(repo_path=HERE)
    store.apply([bench, bench_stats])
    store.write_to_online_store("bench_stats", frame)
