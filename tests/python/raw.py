"""Reads a table's files with Polars and raw keys, through clients/polars. Prints one JSON line.

  raw.py TABLE DATASET KEYS OPEN SEALED OTHER
"""

import json
import pathlib
import shutil
import sys

import polars as pl

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "clients" / "polars"))
import raw_keys  # noqa: E402


def refused(read):
    try:
        read().collect()
    except pl.exceptions.PolarsError as error:
        return str(error)
    return None


def main(table, dataset, keys, open_column, sealed, other):
    files = sorted(path.name for path in pathlib.Path(table).glob("*.parquet"))
    keys = raw_keys.released(keys)

    def frame(file):
        return raw_keys.scan(table, file, dataset, keys)

    def column(name):
        return [value for file in files for value in frame(file).select(name).collect()[name].to_list()]

    first, second = files
    found = {
        "open": [pl.scan_parquet(pathlib.Path(table) / file).select(open_column).collect().height for file in files],
        "without_keys": refused(lambda: pl.scan_parquet(pathlib.Path(table) / first).select(sealed)),
        "other": refused(lambda: frame(first).select(other)),
        "sealed": sorted(column(sealed)),
        "open_with_keys": len(column(open_column)),
    }
    shutil.copyfile(pathlib.Path(table) / first, pathlib.Path(table) / second)
    found["swapped"] = refused(lambda: frame(second).select(sealed))
    print(json.dumps(found))


main(*sys.argv[1:])
