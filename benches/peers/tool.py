"""One peer at work: `tool.py NAME SOURCE OUT` reads lineitem from the source and writes Parquet (zstd 1).

Every peer does what its documentation shows for the task, with two connections where it can take
more than one, and without encryption.
"""

import os
import sys

COLUMNS = (
    "l_orderkey l_partkey l_suppkey l_linenumber l_quantity l_extendedprice l_discount l_tax l_returnflag "
    "l_linestatus l_shipdate l_commitdate l_receiptdate l_shipinstruct l_shipmode l_comment"
).split()


def duckdb_copy(source, out):
    import duckdb
    import duckdb_extensions

    con = duckdb.connect()
    con.execute("SET threads = 2")
    env = os.environ
    if source == "csv":
        relation = f"read_csv('{env['LINEITEM_CSV']}')"
    else:
        extension = {"postgres": "postgres_scanner", "mariadb": "mysql_scanner"}[source]
        duckdb_extensions.import_extension(extension)
        con.execute(f"LOAD {extension}")
        if source == "postgres":
            where = f"host=127.0.0.1 port={env['PORT']} dbname=bench user=postgres password={env['PASSWORD']}"
            con.execute(f"ATTACH '{where}' AS db (TYPE postgres, READ_ONLY)")
            relation = "db.public.lineitem"
        else:
            where = f"host=127.0.0.1 port={env['PORT']} database=bench user=bench password={env['PASSWORD']}"
            con.execute(f"ATTACH '{where}' AS db (TYPE mysql, READ_ONLY)")
            relation = "db.bench.lineitem"
    con.execute(
        f"COPY (SELECT * FROM {relation}) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )


def url(source):
    scheme, user = {"postgres": ("postgresql", "postgres"), "mariadb": ("mysql", "bench")}[source]
    return f"{scheme}://{user}:{os.environ['PASSWORD']}@127.0.0.1:{os.environ['PORT']}/bench"


def connectorx_read(source, out):
    import connectorx
    import pyarrow.parquet as pq

    table = connectorx.read_sql(
        url(source),
        "SELECT * FROM lineitem",
        return_type="arrow",
        partition_on="l_orderkey",
        partition_num=2,
    )
    pq.write_table(table, out, compression="zstd", compression_level=1)


def adbc_read(_source, out):
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow.parquet as pq

    with adbc.connect(url("postgres")) as con, con.cursor() as cursor:
        cursor.execute("SELECT * FROM lineitem")
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(out, reader.schema, compression="zstd", compression_level=1) as writer:
            for batch in reader:
                writer.write_batch(batch)


def dlt_load(source, out):
    import dlt
    from dlt.sources.sql_database import sql_table

    dsn = url(source).replace("mysql://", "mysql+pymysql://").replace("postgresql://", "postgresql+psycopg2://")
    table = sql_table(dsn, table="lineitem", backend="connectorx", chunk_size=200_000)
    folder = os.path.dirname(out)
    pipeline = dlt.pipeline(
        "lineitem",
        destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/dlt"),
        pipelines_dir=f"{folder}/dlt-state",
    )
    pipeline.run(table, loader_file_format="parquet")


def polars_sink(_source, out):
    import polars as pl

    frame = pl.scan_csv(os.environ["LINEITEM_CSV"], try_parse_dates=True)
    frame.sink_parquet(out, compression="zstd", compression_level=1)


TOOLS = {
    "duckdb": duckdb_copy,
    "connectorx": connectorx_read,
    "adbc": adbc_read,
    "dlt": dlt_load,
    "polars": polars_sink,
}

if __name__ == "__main__":
    TOOLS[sys.argv[1]](sys.argv[2], sys.argv[3])
