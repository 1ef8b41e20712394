"""Reads one column of every file of a table with released keys. Prints one JSON line.

  key_life.py TABLE KEYS COLUMN     {"read": values of the files that open, sorted, "refused": how many do not}
"""

import json
import pathlib
import sys

import pyarrow.parquet as pq

import kms


def main(table, keys, column):
    properties = kms.decryption(kms.load_keys(keys))
    read, refused = [], 0
    for path in sorted(pathlib.Path(table).glob("*.parquet")):
        try:
            file = pq.ParquetFile(path, decryption_properties=properties)
            read += file.read(columns=[column], use_threads=False)[column].to_pylist()
        except (PermissionError, OSError, ValueError):
            refused += 1
    print(json.dumps({"read": sorted(read), "refused": refused}))


main(*sys.argv[1:])
