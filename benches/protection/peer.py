"""One run of another tool from Parquet to Parquet, zstd-1, two threads: `peer.py duckdb|pyarrow plain|sealed IN OUT`."""

import os
import sys


def duckdb_copies(is_sealed, source, out):
    import duckdb
    import duckdb_extensions

    # Its OpenSSL: without it DuckDB refuses to encrypt.
    duckdb_extensions.import_extension("httpfs")
    con = duckdb.connect(config={"threads": 2})
    con.execute("LOAD httpfs")
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    if is_sealed:
        # One key for the whole file: what DuckDB calls uniform encryption.
        con.execute("PRAGMA add_parquet_key('key', '0123456789abcdef0123456789abcdef')")
        options += ", ENCRYPTION_CONFIG {footer_key: 'key'}"
    con.execute(f"COPY (SELECT * FROM read_parquet('{source}')) TO '{out}' ({options})")


def pyarrow_writes(is_sealed, source, out):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(2)
    file = pq.ParquetFile(source)
    properties = sealing(file.schema_arrow.names) if is_sealed else None
    with pq.ParquetWriter(
        out, file.schema_arrow, compression="zstd", compression_level=1, encryption_properties=properties
    ) as writer:
        for batch in file.iter_batches(batch_size=1 << 17):
            writer.write_batch(batch)


def sealing(names):
    """Each column with a key of its own, a signed plaintext footer: the form that Sealift writes."""
    import base64
    from datetime import timedelta

    import pyarrow.parquet.encryption as pe
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    class Kms(pe.KmsClient):
        def __init__(self, _config):
            super().__init__()

        def wrap_key(self, key, master):
            nonce = os.urandom(12)
            return base64.b64encode(nonce + AESGCM(master.encode().ljust(32, b"-")).encrypt(nonce, key, master.encode()))

        def unwrap_key(self, wrapped, master):
            raise NotImplementedError

    factory = pe.CryptoFactory(Kms)
    config = pe.EncryptionConfiguration(
        footer_key="footer",
        column_keys={name: [name] for name in names},
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=True,
        double_wrapping=False,
        data_key_length_bits=256,
        cache_lifetime=timedelta(minutes=5),
    )
    return factory.file_encryption_properties(pe.KmsConnectionConfig(), config)


if __name__ == "__main__":
    tool, form, source, out = sys.argv[1:]
    {"duckdb": duckdb_copies, "pyarrow": pyarrow_writes}[tool](form == "sealed", source, out)
