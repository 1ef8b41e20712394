"""Reads a published table column by column, ordered by `n`, with pyarrow. Prints one JSON line.

  URL    {"types": {column: Delta type}, "values": {column: [value]}}

Scalars are text: dates and instants are counted from 1970 (days, microseconds), floats are their bits,
bytes are hex. Lists and structs are lists.
"""

import json
import os
import struct
import sys
import urllib.parse

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from deltalake import DeltaTable


def tables(url):
    table = DeltaTable(url)
    types = {field.name: str(field.type) for field in table.schema().fields}
    paths = [urllib.parse.unquote(path) for path in table.get_add_actions(flatten=True).column("path").to_pylist()]
    return types, pa.concat_tables([pq.ParquetFile(os.path.join(url, path)).read() for path in paths])


def values(array):
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type
    if pa.types.is_list(kind):
        items = values(array.values)
        spans = zip(array.offsets.to_pylist(), array.offsets.to_pylist()[1:])
        found = [items[start:end] for start, end in spans]
    elif pa.types.is_struct(kind):
        parts = [values(array.field(index)) for index in range(kind.num_fields)]
        found = [list(row) for row in zip(*parts)]
    else:
        found = [text(kind, value) for value in counted(array).to_pylist()]
    return [value if valid else None for value, valid in zip(found, array.is_valid().to_pylist())]


def counted(array):
    if pa.types.is_date32(array.type):
        return array.cast(pa.int32())
    if pa.types.is_timestamp(array.type):
        assert array.type.unit == "us", array.type
        return array.cast(pa.int64())
    return array


def text(kind, value):
    if value is None:
        return None
    if pa.types.is_boolean(kind):
        return "true" if value else "false"
    if pa.types.is_float32(kind):
        return struct.pack(">f", value).hex()
    if pa.types.is_float64(kind):
        return struct.pack(">d", value).hex()
    if pa.types.is_decimal(kind):
        return format(value, "f")
    if pa.types.is_binary(kind):
        return value.hex()
    return str(value)


if __name__ == "__main__":
    types, rows = tables(sys.argv[1])
    rows = rows.take(pa.compute.sort_indices(rows.column("n")))
    print(json.dumps({"types": types, "values": {name: values(rows.column(name)) for name in rows.column_names}}))
