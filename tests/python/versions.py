"""Reads every version of a published table with another engine, without keys: `versions.py ENGINE URL NEWEST`.

Prints {"versions": [[rows, sum of id, sum of cents], …]}, oldest first. ENGINE is deltalake, polars or duckdb;
URL is a folder or s3://bucket/prefix, as for tables.py.
"""

import json
import os
import sys

import tables


def of_deltalake(url, newest):
    from deltalake import DeltaTable, QueryBuilder

    for version in range(newest + 1):
        table = DeltaTable(url, version=version, storage_options=tables.options())
        sums = QueryBuilder().register("t", table).execute("SELECT count(*) AS n, sum(id) AS i, sum(cents) AS c FROM t")
        sums = sums.read_all()
        yield [sums.column(name).to_pylist()[0] for name in ("n", "i", "c")]


def of_polars(url, newest):
    import polars as pl

    for version in range(newest + 1):
        frame = pl.scan_delta(url, version=version, storage_options=tables.options())
        yield list(frame.select(pl.len(), pl.sum("id"), pl.sum("cents")).collect().row(0))


def of_duckdb(url, newest):
    connection = tables.duckdb_with_delta()
    for version in range(newest + 1):
        sql = f"SELECT count(*), sum(id)::bigint, sum(cents)::bigint FROM delta_scan('{url}', version => {version})"
        yield list(connection.execute(sql).fetchone())


ENGINES = {"deltalake": of_deltalake, "polars": of_polars, "duckdb": of_duckdb}
if __name__ == "__main__":
    engine, url, newest = sys.argv[1:]
    # Of no rows a sum is NULL, or zero, as each engine has it.
    found = [[value or 0 for value in version] for version in ENGINES[engine](url, int(newest))]
    print(json.dumps({"versions": found}), flush=True)
    # Threads of the S3 client may outlive an ordinary exit and abort it.
    os._exit(0)
