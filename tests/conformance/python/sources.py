"""Pushes the same frames into a real Feast (SQLite) and to an edge of Littoral, and materializes and ingests the same file. Both must
accept and reject the same frames, and serve the same values.

Run with the directory of the feature repository, the edge's URL, and the program `littoral`.
"""
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import pandas as pd

REPO, URL, LITTORAL = sys.argv[1:]
sys.path.insert(0, REPO)
os.chdir(REPO)

import features as definitions  # noqa: E402
from feast import Entity, FeatureStore, FeatureView  # noqa: E402

NOW = datetime.now(timezone.utc).replace(microsecond=0)


def ago(**span):
    return (NOW - timedelta(**span)).isoformat()


# Push source, view, frame. Each driver is used once, so that every case starts without rows.
FRAMES = [
    ("clicks", "click_stats", {"driver_id": [1], "score": [10], "ts": [ago(minutes=1)]}),
    ("clicks", "click_stats", {"driver_id": [2, 2], "score": [10, 5], "ts": [ago(hours=2), ago(minutes=1)]}),
    ("clicks", "click_stats", {"driver_id": [3, 3], "score": [1, 2], "ts": [ago(hours=1), ago(hours=1)]}),
    ("clicks", "click_stats", {"driver_id": [4], "score": [10]}),
    ("clicks", "click_stats", {"driver_id": [5], "score": [10], "event_timestamp": [ago(minutes=1)]}),
    ("clicks", "click_stats", {"driver_id": [6], "score": [10], "ts": [None]}),
    ("clicks", "click_stats", {"driver_id": [7], "score": [10], "ts": ["soon"]}),
    ("clicks", "click_stats", {"driver_id": [8], "ts": [ago(minutes=1)]}),
    ("clicks", "click_stats", {"score": [8], "ts": [ago(minutes=1)]}),
    ("made", "made_stats", {"driver_id": [9], "score": [1], "ts": [ago(minutes=1)]}),
    ("made", "made_stats", {"driver_id": [10], "score": [1], "ts": [ago(minutes=1)], "made_at": [ago(minutes=1)]}),
    (
        "made",
        "made_stats",
        {"driver_id": [11, 11], "score": [1, 2], "ts": [ago(days=9)] * 2, "made_at": [ago(minutes=1), ago(minutes=2)]},
    ),
    ("plain", "plain_stats", {"driver_id": [12], "score": [1]}),
    ("mapped", "mapped_stats", {"driver_id": [13], "score": [1], "ts": [ago(minutes=1)]}),
    ("mapped", "mapped_stats", {"drv": [14], "score": [1], "ts": [ago(minutes=1)]}),
    ("mapped", "mapped_stats", {"drv": [15], "score": [1], "when": [ago(minutes=1)]}),
    ("mapped", "mapped_stats", {"driver_id": [16], "score": [1]}),
    ("mapped", "mapped_stats", {"driver_id": [17], "score": [1], "sc": [2], "ts": [ago(minutes=1)]}),
]

# Driver, score, minutes since the event, minutes since the row's creation.
TIES = [
    (101, 2, 60, 10), (101, 1, 60, 20), (102, 1, 60, 20), (102, 2, 60, 10), (103, 2, 50, 90), (103, 1, 60, 10),
    (104, 2, 60, 10), (104, 1, 60, None), (105, 3, 60, 10), (105, 1, 60, 40), (105, 2, 50, 90), (105, 1, 50, 91),
]  # fmt: skip


def main():
    store = FeatureStore(repo_path=REPO)
    store.apply([one for one in vars(definitions).values() if isinstance(one, (Entity, FeatureView))])
    differences = []
    for source, view, df in FRAMES:
        theirs, ours = pushed_there(store, source, df), pushed_here(source, df)
        drivers = sorted(set(df.get("driver_id", df.get("drv", []))))
        if theirs == ours and theirs == "taken" and drivers:
            theirs, ours = read_there(store, view, drivers), read_here(view, drivers)
        if theirs != ours:
            differences.append(f"{source} {df}: Feast {theirs}, here {ours}")
    differences += ties(store)
    assert not differences, "\n".join(differences)
    print("both accept and reject the same frames")


def pushed_there(store, source, df):
    try:
        store.push(source, pd.DataFrame(df))
    except Exception:  # Feast raises whatever its libraries do.
        return "refused"
    return "taken"


def pushed_here(source, df):
    try:
        post("/push", {"push_source_name": source, "df": df, "to": "online"})
    except urllib.error.HTTPError as error:
        assert error.code == 422, (error.code, error.read())
        return "refused"
    return "taken"


def read_there(store, view, drivers):
    wanted, rows = [f"{view}:score"], [{"driver_id": driver} for driver in drivers]
    return store.get_online_features(features=wanted, entity_rows=rows).to_dict()["score"]


def read_here(view, drivers):
    # Read at the leader, which has every acknowledged row.
    answer = post(
        "/v1/read",
        {"features": [f"{view}:score"], "entities": {"driver_id": drivers}, "demand": {"consistency": "leader"}},
    )
    return answer["columns"][1]["values"]


def ties(store):
    file = os.path.join(REPO, "made_log.parquet")
    times = lambda minutes: None if minutes is None else NOW - timedelta(minutes=minutes)  # noqa: E731
    frame = pd.DataFrame(
        {
            "driver_id": [row[0] for row in TIES],
            "score": [row[1] for row in TIES],
            "ts": [times(row[2]) for row in TIES],
            "made_at": pd.to_datetime([times(row[3]) for row in TIES], utc=True),
        }
    )
    frame.to_parquet(file)
    store.materialize(NOW - timedelta(days=1), NOW + timedelta(minutes=1), ["made_stats"])
    subprocess.run([LITTORAL, "ingest", "parquet", file, "--view", "made_stats", "--to", URL], check=True)
    drivers = sorted({row[0] for row in TIES})
    theirs, ours = read_there(store, "made_stats", drivers), read_here("made_stats", drivers)
    return [] if theirs == ours else [f"ties of {drivers}: Feast {theirs}, here {ours}"]


def post(path, body):
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read() or b"null")


if __name__ == "__main__":
    main()
