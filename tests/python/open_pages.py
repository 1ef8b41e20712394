"""open_pages.py FOLDER OUT: writes down everything a reader without keys can see in the Parquet files below FOLDER.

For each file, below OUT: every Zstandard frame, decompressed (a page is one frame, whichever column it belongs to),
the footer's key-value metadata, and the values of every column that opens without a key, as text. Prints how many
files, frames and columns there were.
"""

import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def frames(data):
    """Every Zstandard frame in the bytes; what only looks like one is left out."""
    at = data.find(ZSTD_MAGIC)
    while at >= 0:
        plain = bytearray()
        try:
            stream = pa.CompressedInputStream(pa.BufferReader(data[at:]), "zstd")
            while chunk := stream.read(1):
                plain += chunk
        except (OSError, pa.ArrowException):
            pass
        if plain:
            yield bytes(plain)
        at = data.find(ZSTD_MAGIC, at + 1)


def open_columns(path):
    """(name, values as text) of every column that opens without a key."""
    for name in pq.read_schema(path).names:
        try:
            column = pq.ParquetFile(path).read(columns=[name]).column(0)
        except (OSError, pa.ArrowException):
            continue
        yield name, "\n".join(str(value) for value in column.to_pylist())


def main(folder, out):
    count = {"files": 0, "frames": 0, "columns": 0}
    for number, path in enumerate(sorted(pathlib.Path(folder).rglob("*.parquet"))):
        count["files"] += 1
        target = pathlib.Path(out) / f"{number:04}"
        target.mkdir(parents=True)
        for plain in frames(path.read_bytes()):
            (target / f"frame-{count['frames']:05}").write_bytes(plain)
            count["frames"] += 1
        (target / "metadata").write_text(repr(pq.read_schema(path).metadata))
        for name, text in open_columns(path):
            (target / f"column-{name}").write_text(text)
            count["columns"] += 1
    print(json.dumps(count))


main(*sys.argv[1:])
