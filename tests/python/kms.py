"""A key service for pyarrow: unwraps Sealift's data keys with released dataset keys.

`sealift keys release DATASET --json` prints the dataset keys; `load_keys` reads that output. A data key travels in
the file as `wrappedDEK` = base64(nonce 12 | ciphertext | tag 16), AES-256-GCM under the dataset key, with the UTF-8
bytes of `masterKeyID` as additional data.
"""

import base64
import json
import pathlib

import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class SealiftKmsClient(pe.KmsClient):
    """Holds dataset keys by id; refuses every other id."""

    def __init__(self, keys):
        super().__init__()
        self.keys = keys

    def wrap_key(self, key_bytes, master_key_identifier):
        raise PermissionError("this client only reads")

    def unwrap_key(self, wrapped_key, master_key_identifier):
        if master_key_identifier not in self.keys:
            raise PermissionError(f"no key released for {master_key_identifier}")
        sealed = base64.b64decode(wrapped_key)
        key = AESGCM(self.keys[master_key_identifier])
        return key.decrypt(sealed[:12], sealed[12:], master_key_identifier.encode())


def load_keys(json_path):
    """The keys of `sealift keys release … --json`: {id: bytes}. The summary is the last line."""
    last = pathlib.Path(json_path).read_text().strip().splitlines()[-1]
    return {key["id"]: base64.b64decode(key["key_base64"]) for key in json.loads(last)["keys"]}


def decryption(keys):
    """What `pyarrow.parquet.ParquetFile(decryption_properties=…)` wants."""
    factory = pe.CryptoFactory(lambda config: SealiftKmsClient(keys))
    return factory.file_decryption_properties(pe.KmsConnectionConfig())
