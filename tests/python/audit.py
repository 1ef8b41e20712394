"""audit.py EXPORT [CHECKPOINTS KEYS]: checks an exported audit trail by nothing but its layout (docs/audit.md).

EXPORT is what `sealift audit export --json` prints, CHECKPOINTS the file of signed checkpoints, KEYS what `sealift keys
public --json` prints. Prints how many entries and checkpoints there are, and what fails.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def text(words):
    data = words.encode()
    return struct.pack(">I", len(data)) + data


def number(value):
    return struct.pack(">q", value)


def beginning(trail):
    return hashlib.sha256(b"sealift audit trail v1\0" + text(trail)).hexdigest()


def hashed(entry):
    said = [text(entry[field]) for field in ("actor", "action", "subject", "outcome")]
    parts = [number(entry["seq"]), number(entry["at_ms"]), *said, bytes.fromhex(entry["prev"])]
    return hashlib.sha256(b"sealift audit entry v1\0" + b"".join(parts)).hexdigest()


def chain(entries, trail):
    prev = beginning(trail)
    for place, entry in enumerate(entries, 1):
        if entry["seq"] != place:
            return f"entry {place} is missing"
        if entry["prev"] != prev:
            return f"entry {place} does not follow the one before it"
        if entry["hash"] != hashed(entry):
            return f"entry {place} has another hash"
        prev = entry["hash"]
    return None


def signed(checkpoint, keys, entries):
    words = [text(checkpoint["trail"]), number(checkpoint["seq"]), bytes.fromhex(checkpoint["hash"])]
    words += [number(checkpoint["at_ms"]), text(checkpoint["signer"])]
    message = b"sealift audit checkpoint v1\0" + b"".join(words)
    try:
        keys[checkpoint["signer"]].verify(base64.b64decode(checkpoint["signature"]), message)
    except (KeyError, InvalidSignature):
        return f"checkpoint {checkpoint['seq']} is not signed by these keys"
    if checkpoint["seq"] > len(entries):
        return f"the trail ends before checkpoint {checkpoint['seq']}"
    if entries[checkpoint["seq"] - 1]["hash"] != checkpoint["hash"]:
        return f"entry {checkpoint['seq']} is not the one that was signed"
    return None


def lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


*entries, summary = lines(sys.argv[1])
failed = [chain(entries, summary["trail"])]
checkpoints = []
if len(sys.argv) > 3:
    checkpoints = lines(sys.argv[2])
    keys = json.loads(pathlib.Path(sys.argv[3]).read_text())["keys"]
    keys = {key["id"]: load_pem_public_key(key["pem"].encode()) for key in keys}
    failed += [signed(checkpoint, keys, entries) for checkpoint in checkpoints]
failed = [why for why in failed if why]
print(json.dumps({"entries": len(entries), "checkpoints": len(checkpoints), "failed": failed}))
