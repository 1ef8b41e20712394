"""Reads a published table with other engines. Each command prints one JSON line.

  deltalake|polars|duckdb URL    rows, and sums of the open columns `id` and `country`, without keys
  pyarrow URL KEYS COLUMN        the encrypted column, sorted, read with released keys
  refused URL COLUMN             how many files refuse the encrypted column without a key
  stats URL                      what other Delta readers see of minimum and maximum

URL is a folder or s3://bucket/prefix; AWS_ENDPOINT_URL and credentials say how to reach it.
"""

import json
import os
import sys


def options():
    if "AWS_ENDPOINT_URL" not in os.environ:
        return None
    return {
        "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }


def summary(ids, countries):
    texts = ["NULL" if country is None else country for country in countries]
    return {"rows": len(ids), "ids": sum(ids), "countries": sorted(texts)}


def read_deltalake(url):
    from deltalake import DeltaTable, QueryBuilder

    table = DeltaTable(url, storage_options=options())
    found = QueryBuilder().register("t", table).execute("SELECT id, country FROM t").read_all()
    columns = {name: found.column(name).to_pylist() for name in ("id", "country")}
    return summary(columns["id"], columns["country"])


def read_polars(url):
    import polars as pl

    frame = pl.scan_delta(url, storage_options=options()).select("id", "country").collect()
    return summary(frame["id"].to_list(), frame["country"].to_list())


def duckdb_with_delta():
    import duckdb
    import duckdb_extensions

    connection = duckdb.connect()
    for extension in ("httpfs", "delta"):
        duckdb_extensions.import_extension(extension)
        connection.execute(f"LOAD {extension}")
    if "AWS_ENDPOINT_URL" in os.environ:
        connection.execute(
            f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}',
                SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}', USE_SSL false, URL_STYLE 'path',
                ENDPOINT '{os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")}', REGION 'us-east-1')"""
        )
    return connection


def read_duckdb(url):
    rows = duckdb_with_delta().execute(f"SELECT id, country FROM delta_scan('{url}')").fetchall()
    return summary([row[0] for row in rows], [row[1] for row in rows])


def live_files(url):
    import pyarrow.fs
    from deltalake import DeltaTable

    if options():
        files = pyarrow.fs.S3FileSystem(
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            endpoint_override=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
            scheme="http",
            region="us-east-1",
        )
    else:
        files = pyarrow.fs.LocalFileSystem()
    paths = [path for (path,) in paths_of(DeltaTable(url, storage_options=options()))]
    for path in paths:
        yield files.open_input_file(f"{url.removeprefix('s3://')}/{path}")


def paths_of(table):
    import urllib.parse

    for path in table.get_add_actions(flatten=True).column("path").to_pylist():
        yield (urllib.parse.unquote(path) if "%25" in path else path,)


def read_pyarrow(url, keys, column):
    import kms
    import pyarrow.parquet as pq

    properties = kms.decryption(kms.load_keys(keys))
    values = []
    for file in live_files(url):
        values += pq.ParquetFile(file, decryption_properties=properties).read(columns=[column]).column(0).to_pylist()
    return {"values": sorted(values)}


def refused(url, column):
    import pyarrow.parquet as pq

    outcome = {"files": 0, "refused": 0, "open": 0}
    for file in live_files(url):
        outcome["files"] += 1
        parquet = pq.ParquetFile(file)
        outcome["open"] += parquet.read(columns=["id"]).num_rows
        try:
            parquet.read(columns=[column])
        except OSError:
            outcome["refused"] += 1
    return outcome


def stats(url):
    from deltalake import DeltaTable

    actions = DeltaTable(url, storage_options=options()).get_add_actions(flatten=True)
    return {name: [str(value) for value in actions.column(name).to_pylist()] for name in actions.schema.names if "." in name}


COMMANDS = {
    "deltalake": read_deltalake,
    "polars": read_polars,
    "duckdb": read_duckdb,
    "pyarrow": read_pyarrow,
    "refused": refused,
    "stats": stats,
}
if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])), flush=True)
    # Threads of the S3 client may outlive an ordinary exit and abort it.
    os._exit(0)
