"""TPC-H lineitem, made, summed, and read back by other engines. Each command prints one JSON line.

  make SCALE CSV                writes lineitem as CSV without a header
  source CSV                    what the columns add up to
  duckdb|polars|deltalake URL   the same, of the open columns of a published table, without keys
  pyarrow URL KEYS              digest of the encrypted column, read with released keys
  refused URL                   whether the encrypted column is refused without a key

URL is s3://bucket/prefix; AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY say how to reach it.
"""

import hashlib
import json
import os
import sys

COLUMNS = {
    "l_orderkey": "BIGINT",
    "l_partkey": "BIGINT",
    "l_suppkey": "BIGINT",
    "l_linenumber": "BIGINT",
    "l_quantity": "DECIMAL(15,2)",
    "l_extendedprice": "DECIMAL(15,2)",
    "l_discount": "DECIMAL(15,2)",
    "l_tax": "DECIMAL(15,2)",
    "l_returnflag": "VARCHAR",
    "l_linestatus": "VARCHAR",
    "l_shipdate": "DATE",
    "l_commitdate": "DATE",
    "l_receiptdate": "DATE",
    "l_shipinstruct": "VARCHAR",
    "l_shipmode": "VARCHAR",
    "l_comment": "VARCHAR",
}
NUMBERS = ["l_orderkey", "l_partkey", "l_suppkey", "l_linenumber", "l_quantity", "l_discount", "l_tax"]
DATES = ["l_shipdate", "l_commitdate", "l_receiptdate"]
WORDS = ["l_returnflag", "l_linestatus", "l_shipinstruct", "l_shipmode"]
SEALED, TOKENS = "l_comment", "l_extendedprice"


def duck(*extensions):
    import duckdb
    import duckdb_extensions

    connection = duckdb.connect()
    for extension in extensions:
        duckdb_extensions.import_extension(extension)
        connection.execute(f"LOAD {extension}")
    return connection


def sums_sql(relation):
    parts = ["count(*)"]
    parts += [f"CAST(sum({c}) AS VARCHAR)" for c in NUMBERS]
    parts += [f"CAST(sum(date_diff('day', DATE '1970-01-01', {c})) AS VARCHAR)" for c in DATES]
    parts += [f"CAST(sum(CAST(hash({c}) AS HUGEINT)) AS VARCHAR)" for c in WORDS]
    row = ", ".join(f"CAST({c} AS VARCHAR)" for c in NUMBERS + DATES + WORDS)
    parts += [f"CAST(sum(CAST(hash(concat_ws('|', {row})) AS HUGEINT)) AS VARCHAR)"]
    parts += [f"count(DISTINCT {TOKENS})", f"count({TOKENS})"]
    return f"SELECT {', '.join(parts)} FROM {relation}"


def named(row):
    names = ["rows", *NUMBERS, *DATES, *WORDS, "open_rows", "prices_distinct", "prices"]
    return dict(zip(names, row, strict=True))


def digest(values):
    return hashlib.sha256("\n".join(sorted(values)).encode()).hexdigest()


def make(scale, path):
    connection = duck("tpch")
    connection.execute(f"CALL dbgen(sf = {float(scale)})")
    connection.execute(f"COPY lineitem TO '{path}' (HEADER false)")
    return {"rows": connection.execute("SELECT count(*) FROM lineitem").fetchone()[0]}


def source(path):
    types = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items()) + "}"
    relation = f"read_csv('{path}', header = false, columns = {types})"
    connection = duck()
    comments = connection.execute(f"SELECT {SEALED} FROM {relation}").fetchall()
    sums = named(connection.execute(sums_sql(relation)).fetchone())
    return {"sums": sums, "comments": digest(comment for (comment,) in comments)}


def endpoint():
    return os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")


def storage_options():
    return {
        "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }


def read_duckdb(url):
    connection = duck("httpfs", "delta")
    connection.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}',
            SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}', ENDPOINT '{endpoint()}', USE_SSL false,
            URL_STYLE 'path', REGION 'us-east-1')"""
    )
    return named(connection.execute(sums_sql(f"delta_scan('{url}')")).fetchone())


def read_polars(url):
    import polars as pl

    column = pl.col
    parts = [pl.len().alias("rows")]
    parts += [column(c).sum().cast(pl.String) for c in NUMBERS]
    parts += [column(c).cast(pl.Int32).cast(pl.Int64).sum().cast(pl.String) for c in DATES]
    frame = pl.scan_delta(url, storage_options=storage_options())
    return frame.select(parts).collect().row(0, named=True)


def read_deltalake(url):
    from deltalake import DeltaTable, QueryBuilder

    table = DeltaTable(url, storage_options=storage_options())
    parts = ["count(*) AS rows"] + [f"CAST(sum({c}) AS VARCHAR) AS {c}" for c in NUMBERS]
    found = QueryBuilder().register("t", table).execute(f"SELECT {', '.join(parts)} FROM t").read_all()
    return {name: found.column(name)[0].as_py() for name in found.schema.names}


def live_files(url):
    import pyarrow.fs
    from deltalake import DeltaTable

    files = pyarrow.fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=endpoint(),
        scheme="http",
        region="us-east-1",
    )
    for uri in DeltaTable(url, storage_options=storage_options()).file_uris():
        yield files.open_input_file(uri.removeprefix("s3://"))


def read_pyarrow(url, keys):
    import kms
    import pyarrow.parquet as pq

    properties = kms.decryption(kms.load_keys(keys))
    comments = []
    for file in live_files(url):
        table = pq.ParquetFile(file, decryption_properties=properties).read(columns=[SEALED])
        comments += table.column(0).to_pylist()
    return {"rows": len(comments), "comments": digest(comments)}


def refused(url):
    import pyarrow.parquet as pq

    outcome = {"files": 0, "refused": 0, "open": 0}
    for file in live_files(url):
        outcome["files"] += 1
        parquet = pq.ParquetFile(file)
        outcome["open"] += parquet.read(columns=["l_orderkey"]).num_rows
        try:
            parquet.read(columns=[SEALED])
        except OSError:
            outcome["refused"] += 1
    return outcome


COMMANDS = {
    "make": make,
    "source": source,
    "duckdb": read_duckdb,
    "polars": read_polars,
    "deltalake": read_deltalake,
    "pyarrow": read_pyarrow,
    "refused": refused,
}
if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])), flush=True)
    # Threads of the S3 client may outlive an ordinary exit and abort it.
    os._exit(0)
