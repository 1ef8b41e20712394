"""Another program at the same table, with columns id (bigint) and tick (int).

  write ENGINE URL FIRST STOP    appends rows of one id each, FIRST and on, until the file STOP is there;
                                 prints {"acknowledged": [id, …], "refused": number of them}
  read URL NEWEST FIRST          per version {"engine", "outside": sorted ids from FIRST on,
                                 "rows": other rows, "ids": different ones, "ticks": [least, most]}

ENGINE is deltalake, or spark: PySpark's client with the engine Sail behind it, which speaks Spark Connect
and has a Delta writer of its own.
"""

import json
import os
import random
import sys
import time


def appender_of_deltalake(url):
    import pyarrow as pa
    from deltalake import write_deltalake

    def append(identifier):
        row = {"id": pa.array([identifier], pa.int64()), "tick": pa.array([-1], pa.int32())}
        write_deltalake(url, pa.table(row), mode="append")

    return append


def appender_of_spark(url):
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    host, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()

    def append(identifier):
        row = session.sql(f"SELECT CAST({identifier} AS BIGINT) AS id, CAST(-1 AS INT) AS tick")
        row.write.format("delta").mode("append").save(url)

    # The server ends with its object.
    append.server = server
    return append


def write(engine, url, first, stop):
    append = {"deltalake": appender_of_deltalake, "spark": appender_of_spark}[engine](url)
    acknowledged, refused, identifier = [], [], int(first)
    while not os.path.exists(stop):
        try:
            append(identifier)
            acknowledged.append(identifier)
        except Exception as error:  # A refusal is a result here, whatever the engine calls it.
            refused.append(str(error)[:200])
        identifier += 1
        # Now and then a pause in which a slow machine's sync comes to its end.
        time.sleep(2.5 if identifier % 8 == 0 else random.uniform(0.02, 0.3))
    return {"acknowledged": acknowledged, "refused": refused}


def engine_of(url, version):
    with open(f"{url}/_delta_log/{version:020}.json") as commit:
        for line in commit:
            action = json.loads(line)
            if "commitInfo" in action:
                return action["commitInfo"].get("engineInfo", "")
    return ""


def read(url, newest, first):
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder

    versions = []
    for version in range(int(newest) + 1):
        table = QueryBuilder().register("t", DeltaTable(url, version=version))
        found = pa.table(table.execute("SELECT id, tick FROM t").read_all()).to_pydict()
        ours = [(i, tick) for i, tick in zip(found["id"], found["tick"]) if i < int(first)]
        ticks = [tick for _, tick in ours]
        versions.append(
            {
                "engine": engine_of(url, version),
                "outside": sorted(i for i in found["id"] if i >= int(first)),
                "rows": len(ours),
                "ids": len({i for i, _ in ours}),
                "ticks": [min(ticks), max(ticks)],
            }
        )
    return {"versions": versions}


COMMANDS = {"write": write, "read": read}
if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])), flush=True)
    # Threads of the engines may outlive an ordinary exit and abort it.
    os._exit(0)
