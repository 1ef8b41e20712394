"""to_parquet.py CSV PARQUET "name type;name type;…": a CSV with a header as a Parquet file of those types."""

import json
import sys

import duckdb


def main(csv, parquet, columns):
    types = dict(column.split(" ", 1) for column in columns.split(";"))
    described = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in types.items()) + "}"
    duckdb.execute(f"COPY (FROM read_csv('{csv}', header = true, columns = {described})) TO '{parquet}' (FORMAT parquet)")
    print(json.dumps({"columns": len(types)}))


main(*sys.argv[1:])
