"""Reads encrypted columns of Sealift with Polars, which takes the raw data keys of each file.

    import raw_keys
    released = raw_keys.released("keys.json")        # sealift keys release crm.customers --json > keys.json
    frame = raw_keys.scan("lake/crm/customers", "part-….parquet", "crm.customers", released).collect()

Every file has data keys of its own, wrapped in its footer by the dataset keys that were released. Needs `polars` from
2.1 on and `cryptography`.
"""

import base64
import json
import pathlib
import re
import urllib.parse

import polars as pl
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MOST_FOOTER_BYTES = 64 << 20
# Key metadata as it stands in a plaintext footer; nothing in it but the wrapped key counts for anything.
METADATA = re.compile(rb'\{"keyMaterialType":"PKMT1"[^{}]{1,2000}\}')


def released(path):
    """The keys that `sealift keys release … --json` printed: {id: bytes}. The summary is the last line."""
    last = pathlib.Path(path).read_text().strip().splitlines()[-1]
    return {key["id"]: base64.b64decode(key["key_base64"]) for key in json.loads(last)["keys"]}


def data_keys(footer, keys):
    """The data keys in a footer that the released keys open: (footer key, {column: key})."""
    footer_key, columns = None, {}
    for found in METADATA.finditer(footer):
        material = json.loads(found.group())
        name = material["masterKeyID"]
        if name not in keys:
            continue
        wrapped = base64.b64decode(material["wrappedDEK"])
        opened = AESGCM(keys[name]).decrypt(wrapped[:12], wrapped[12:], name.encode())
        if material["isFooterKey"]:
            footer_key = opened
        else:
            column = name.partition("/")[2].rpartition("@")[0]
            columns[urllib.parse.unquote(column)] = opened
    return footer_key, columns


def footer_of(path):
    """The bytes of a file's footer, which ends with its length and four letters."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(size - 8)
        length = int.from_bytes(file.read(4), "little")
        if not 0 < length <= min(size - 8, MOST_FOOTER_BYTES):
            raise ValueError("not a Parquet file with a plaintext footer")
        file.seek(size - 8 - length)
        return file.read(length)


def scan(table, file, dataset, keys):
    """A file of a table as a lazy frame. Columns without a released key cannot be read, and are the only ones.

    The file is bound to its place: one that was put there in another's stead does not decrypt.
    """
    path = pathlib.Path(table) / file
    footer_key, columns = data_keys(footer_of(path), keys)
    if footer_key is None:
        return pl.scan_parquet(path)
    decryption = pl.ParquetDecryptionProperties(
        footer_key=footer_key, column_keys=columns, aad_prefix=f"{dataset}/{file}".encode()
    )
    return pl.scan_parquet(path, decryption=decryption)
