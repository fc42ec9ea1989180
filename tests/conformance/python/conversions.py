"""Writes the same pandas frames to a separate Feast and to Littoral, and prints the stored value of each.

Run with the address of a leader and the `littoral` executable. Prints one JSON object: case -> outcomes, each a list of the
values as read back, or "refused".
"""
import base64
import datetime as dt
import decimal
import json
import math
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

LEADER, LITTORAL = sys.argv[1], sys.argv[2]
WHEN = pd.Timestamp("2026-01-01T00:00:00Z")
UTC = dt.timezone.utc

TYPES = {
    "bool": Bool, "int32": Int32, "int64": Int64, "float": Float32, "double": Float64, "string": String, "bytes": Bytes,
    "unix_timestamp": UnixTimestamp, "bool_list": Array(Bool), "int64_list": Array(Int64), "float_list": Array(Float32),
    "double_list": Array(Float64), "string_list": Array(String), "bytes_list": Array(Bytes),
    "unix_timestamp_list": Array(UnixTimestamp),
}


def texts(*values):
    return pd.Series(list(values), dtype="object")


def cases():
    """Case -> (the types it is written as, its column)."""
    numbers = ["int32", "int64", "float", "double"]
    scalars = ["bool", *numbers, "string", "bytes", "unix_timestamp"]
    floats = pd.Series([5.0, np.nan])
    D = decimal.Decimal
    return {
        "integers with one missing, as floats": (scalars, floats),
        "integers with one missing, nullable": (scalars, pd.Series([5, None], dtype="Int64")),
        "integers": (scalars, pd.Series([5, 7])),
        "zero and one": (scalars, pd.Series([1, 0])),
        "unsigned beyond int64": (numbers, pd.Series([2**64 - 1], dtype="uint64")),
        "beyond int32": (["int32"], pd.Series([2**31])),
        "2^53 + 1": (numbers, pd.Series([2**53 + 1])),
        "2^24 + 1": (["float"], pd.Series([2**24 + 1])),
        "a fraction": (scalars, pd.Series([5.5])),
        "2^53 as a float": (["int64"], pd.Series([float(2**53)])),
        "infinity": (numbers, pd.Series([np.inf, -np.inf])),
        "beyond float": (["float", "double"], pd.Series([1e39])),
        "subnormal": (["float", "double"], pd.Series([5e-324, 1e-40])),
        "all missing": (scalars, pd.Series([np.nan])),
        "all none": (list(TYPES), texts(None)),
        "half floats": (numbers, pd.Series([1.5, 2.5], dtype="float16")),
        "decimals": ([*numbers, "string"], texts(D("1.50"), None)),
        "whole decimals": ([*numbers, "string"], texts(D("5.00"), D("7.00"))),
        "categories of integers": (["int32", "int64", "string"], pd.Series([5, 6], dtype="category")),
        "categories of texts": (["string"], pd.Series(["a", None], dtype="category")),
        "bools": (scalars, pd.Series([True, False])),
        "bools with one missing": (["bool", "int64"], texts(True, None)),
        "digits": (scalars, texts("5", "7")),
        "digits with a point": (["int64", "double"], texts("5.0")),
        "text": (scalars, texts("a", "")),
        "text of a number beyond double": (["float", "double"], texts("1e400")),
        "text of NaN": (["float", "double", "string"], texts("NaN")),
        "text of infinity": (["float", "double"], texts("Infinity")),
        "bytes": (["bytes", "string"], texts(b"ab", b"\xff")),
        "times": (["unix_timestamp", "int64", "string"], pd.Series(pd.to_datetime(["2024-01-01T10:00:00.9Z", None]))),
        "times without zone": (["unix_timestamp"], pd.Series(pd.to_datetime(["2024-01-01T10:00:00"]))),
        "times of Tokyo": (["unix_timestamp"], pd.Series(pd.to_datetime(["2024-01-01T10:00:00"])).dt.tz_localize("Asia/Tokyo")),
        "times before 1970": (["unix_timestamp"], pd.Series(pd.to_datetime(["1969-12-31T23:59:58.5Z"]))),
        "far times": (["unix_timestamp"], texts(dt.datetime(9999, 12, 31, tzinfo=UTC))),
        "dates": (["unix_timestamp"], texts(dt.date(2024, 1, 1))),
        "text of a time": (["unix_timestamp"], texts("2024-01-01T10:00:00Z")),
        "durations": (["int64", "unix_timestamp"], pd.Series(pd.to_timedelta(["1s"]))),
        "times of day": (["int64", "string"], texts(dt.time(10, 0))),
        "lists of integers": (["int64_list", "double_list", "string_list"], texts([1, 2], None)),
        "lists of floats": (["float_list", "double_list", "int64_list"], texts([1.0, 2.5])),
        "lists of floats with none": (["float_list", "double_list"], texts([1.5, None])),
        "lists of floats with NaN": (["float_list", "double_list"], texts([1.5, math.nan])),
        "lists of integers with none": (["int64_list"], texts([1, None])),
        "lists of texts": (["string_list"], texts(["a", ""], [])),
        "lists of texts with none": (["string_list"], texts(["a", None])),
        "lists of bools": (["bool_list"], texts([True, False])),
        "lists of bools with none": (["bool_list"], texts([True, None])),
        "lists of bytes": (["bytes_list"], texts([b"a", b"\xff"])),
        "lists of times": (["unix_timestamp_list"], texts([dt.datetime(2024, 1, 1, tzinfo=UTC)])),
        "arrays of numpy": (["float_list", "double_list"], texts(np.array([1.5, 2.5], dtype="float32"))),
        "lists of lists": (["double_list"], texts([[1.0]])),
        "a list": (["double"], texts([1.0])),
    }


def shown(value):
    """Converts a value to Littoral's JSON."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return [shown(element) for element in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, np.generic):
        return shown(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def frame(first, column):
    columns = {"id": np.arange(first, first + len(column), dtype="int64"), "v": column, "event_timestamp": WHEN}
    return pd.DataFrame(columns)


class Feast:
    """A Feast with a SQLite store."""

    def __init__(self, directory):
        empty = os.path.join(directory, "empty.parquet")
        frame(0, pd.Series([1])).to_parquet(empty)
        config = RepoConfig(
            project="conversions", provider="local", registry=os.path.join(directory, "registry.db"),
            online_store={"type": "sqlite", "path": os.path.join(directory, "online.db")},
            entity_key_serialization_version=3,
        )
        self.store = FeatureStore(config=config)
        row = Entity(name="id", join_keys=["id"], value_type=ValueType.INT64)
        views = [
            FeatureView(
                name=f"v_{name}", entities=[row], schema=[Field(name="id", dtype=Int64), Field(name="v", dtype=dtype)],
                source=FileSource(name=f"s_{name}", path=empty, timestamp_field="event_timestamp"), ttl=dt.timedelta(0),
            )
            for name, dtype in TYPES.items()
        ]
        self.store.apply([row, *views])

    def write_and_read(self, name, rows):
        ids = [int(row) for row in rows["id"]]
        try:
            self.store.write_to_online_store(f"v_{name}", rows)
            read = self.store.get_online_features(features=[f"v_{name}:v"], entity_rows=[{"id": row} for row in ids])
            return [shown(value) for value in read.to_dict()["v"]]
        except Exception as error:
            self.last = error
            return "refused"


def ask(path, body, method="POST"):
    request = urllib.request.Request(LEADER + path, json.dumps(body).encode(), method=method)
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        error.read()
        return error.code, None


class Littoral:
    """A leader, written to by Parquet files and by Feast's HTTP protocol."""

    def __init__(self, directory):
        self.file = os.path.join(directory, "frame.parquet")
        for name in TYPES:
            view = {"entities": [{"name": "id", "value_type": "int64"}], "features": [{"name": "v", "value_type": name}]}
            assert ask(f"/v1/views/v_{name}", view, "PUT")[0] == 200

    def read(self, name, ids):
        status, answer = ask("/get-online-features", {"features": [f"v_{name}:v"], "entities": {"id": ids}})
        assert status == 200, status
        return answer["results"][1]["values"]

    def by_parquet(self, name, rows):
        try:
            rows.to_parquet(self.file)
        except Exception:
            return None
        command = [LITTORAL, "ingest", "parquet", self.file, "--view", f"v_{name}", "--restart", "--to", LEADER]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            assert "column 'v'" in done.stderr, done.stderr
            return "refused"
        return self.read(name, [int(row) for row in rows["id"]])

    def by_json(self, name, rows):
        """Sends a frame as a client of Feast's feature server does; returns None if JSON has no such value."""
        df = {column: rows[column].tolist() for column in rows}
        df["event_timestamp"] = [time.isoformat() for time in df["event_timestamp"]]
        try:
            json.dumps(df)
        except TypeError:
            return None
        status, _ = ask("/write-to-online-store", {"feature_view_name": f"v_{name}", "df": df})
        assert status in (200, 400, 422), status
        return self.read(name, [int(row) for row in rows["id"]]) if status == 200 else "refused"


def main():
    outcomes = {}
    with tempfile.TemporaryDirectory() as directory:
        feast, littoral = Feast(directory), Littoral(directory)
        first = 1
        for case, (types, column) in cases().items():
            for name in types:
                outcome = {"feast": feast.write_and_read(name, frame(first, column))}
                for way in ("parquet", "json"):
                    first += len(column)
                    became = getattr(littoral, f"by_{way}")(name, frame(first, column))
                    if became is not None:
                        outcome[way] = became
                first += len(column)
                outcomes[f"{case} -> {name}"] = outcome
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
