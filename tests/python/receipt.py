"""receipt.py KEYS FOLDER: checks every receipt below FOLDER as an auditor does who has no secret.

KEYS is what `sealift keys public --json` prints. Prints how many receipts there are, and those that fail.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fails(path, keys):
    data = path.read_bytes()
    receipt = json.loads(data)
    if canonical(receipt) != data:
        return "not in canonical form"
    signature = base64.b64decode(receipt.pop("signature"))
    try:
        keys[receipt["signer"]].verify(signature, canonical(receipt))
    except (KeyError, InvalidSignature):
        return "not signed by these keys"
    table = path.parent.parent.parent
    commit = table / "_delta_log" / f"{receipt['version']:020}.json"
    if commit.exists():
        blank = commit.read_bytes().replace(hashlib.sha256(data).hexdigest().encode(), b"0" * 64, 1)
        if hashlib.sha256(blank).hexdigest() != receipt["commit_sha256"]:
            return "its commit is another one"
    for file in receipt["files"]["added"]:
        (path,) = table.rglob(file["name"])
        data = path.read_bytes()
        if (len(data), hashlib.sha256(data).hexdigest()) != (file["bytes"], file["sha256"]):
            return f"{file['name']} is another file"
    return None


keys = json.loads(pathlib.Path(sys.argv[1]).read_text())["keys"]
keys = {key["id"]: load_pem_public_key(key["pem"].encode()) for key in keys}
paths = sorted(pathlib.Path(sys.argv[2]).rglob("_sealift/receipts/*.json"))
failed = {path.name: why for path in paths if (why := fails(path, keys))}
print(json.dumps({"receipts": len(paths), "failed": failed}))
