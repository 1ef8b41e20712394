"""The two tables, as Parquet files: `tables.py lineitem|people PATH`. A process of its own: a child's peak of memory
begins with its parent's."""

import random
import sys

PEOPLE_ROWS = 2_000_000
GIVEN = "Anna Ben Carla David Eva Felix Greta Hans Iris Jan Karin Leo Mia Nils Olga Paul Rita Sven Tina Urs".split()
FAMILY = "Keller Meier Schmid Brown Smith Rossi Novak Kowalski Garcia Martin Dubois Jansen Weber Huber Frei Lang".split()
REASONS = "asks about the fee,wants the statement again,moves next month,disputes a charge,closes the savings account".split(",")


def lineitem(path):
    import duckdb
    import duckdb_extensions

    duckdb_extensions.import_extension("tpch")
    con = duckdb.connect()
    con.execute("LOAD tpch; CALL dbgen(sf = 1)")
    con.execute(f"COPY lineitem TO '{path}' (FORMAT parquet, COMPRESSION snappy)")


def person(draw, number):
    given, family = draw.choice(GIVEN), draw.choice(FAMILY)
    email = f"{given}.{family}{number % 99991}@mail{number % 37}.example.org".lower()
    return (
        number,
        f"{given} {family}",
        email,
        f"{draw.randrange(100, 666)}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}",
        f"CH{draw.randrange(10, 99)}00762{draw.randrange(10**11, 10**12)}",
        draw.randrange(0, 10**7),
        10_000 + draw.randrange(0, 9_000),
        f"{given} {draw.choice(REASONS)}, see case {draw.randrange(10**6)}; answer to {email}",
    )


def people(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw = random.Random(6)
    types = [pa.int64(), pa.string(), pa.string(), pa.string(), pa.string(), pa.int64(), pa.int32(), pa.string()]
    names = ["id", "name", "email", "ssn", "iban", "cents", "born", "note"]
    schema = pa.schema([(name, kind) for name, kind in zip(names, types)]).set(6, pa.field("born", pa.date32()))
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for first in range(0, PEOPLE_ROWS, 100_000):
            columns = list(zip(*(person(draw, number) for number in range(first, first + 100_000))))
            arrays = [pa.array(values, kind) for values, kind in zip(columns, types)]
            arrays[6] = arrays[6].cast(pa.date32())
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


if __name__ == "__main__":
    {"lineitem": lineitem, "people": people}[sys.argv[1]](sys.argv[2])
