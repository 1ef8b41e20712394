"""A stand-in for Google Cloud KMS: `gcp_kms.py FOLDER`.

Answers `Encrypt` and `Decrypt` of the REST API v1 as Google documents them: real AES-256-GCM, associated data, versions
of a key, checksums both ways, errors as google.rpc.Status. Callers show a self-signed token of a service account, whose
signature, scope and time are checked; FOLDER receives their documents: `caller.json`, `powerless.json` (known, without a
role) and `stranger.json` (unknown). Prints the port it listens on. Keys live in memory.

`POST /test/key {"name", "purpose", "state"}` makes a key, `/test/rotate {"name"}` a new version of it,
`/test/answer {"code", "status", "times"}` has the next requests answered so, and `/test/garble {"what"}` has a bit of
the `plaintext` or the `ciphertext` changed on its way here, or of what is `wrapped` or `opened` on its way back.
"""

import base64
import http.server
import json
import os
import pathlib
import re
import sys
import time

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCOPES = {"https://www.googleapis.com/auth/cloudkms", "https://www.googleapis.com/auth/cloud-platform"}
CALL = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/:]+):(encrypt|decrypt)")
HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
keys = {}
accounts = {}
canned = {"code": "", "status": 0, "times": 0}
garbled = {"what": ""}


class Refused(Exception):
    """A google.rpc.Status, or with a number alone an answer that is none."""

    def __init__(self, code, message=""):
        super().__init__(code)
        self.code = code
        self.message = message


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def account(name, folder, is_known):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": f"id-of-{name}",
        "private_key": pem.decode(),
        "client_email": f"{name}@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.example/token",
    }
    path = pathlib.Path(folder) / f"{name}.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    if is_known:
        accounts[document["client_email"]] = (name, document["private_key_id"], key.public_key())


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def caller(authorization):
    """Who signed a bearer token (RFC 7519, RS256)."""
    try:
        head, body, signature = authorization.removeprefix("Bearer ").split(".")
        claims, header = json.loads(part(body)), json.loads(part(head))
        name, key_id, key = accounts[claims["iss"]]
        key.verify(part(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        is_fit = (
            header["alg"] == "RS256"
            and header["kid"] == key_id
            and claims["sub"] == claims["iss"]
            and SCOPES & set(claims["scope"].split())
            and claims["iat"] - 60 <= time.time() < claims["exp"] <= claims["iat"] + 3600 + 60
        )
    except (ValueError, KeyError, InvalidSignature):
        is_fit = False
    if not is_fit:
        raise Refused("UNAUTHENTICATED", "Request had invalid authentication credentials.")
    return name


def flipped(data, what):
    if garbled["what"] != what or not data:
        return data
    garbled["what"] = ""
    return bytes([data[0] ^ 1]) + data[1:]


def sent(body, name):
    """A field, and whether its checksum is there and right."""
    data = base64.b64decode(body.get(name) or "", validate=True)
    data = flipped(data, name)
    checksum = body.get(f"{name}Crc32c")
    return data, checksum is not None and int(checksum) == crc32c(data), checksum is not None


def primary(key):
    if key["purpose"] != "ENCRYPT_DECRYPT":
        raise Refused("FAILED_PRECONDITION", "KeyPurpose is not ENCRYPT_DECRYPT")
    if key["state"] != "ENABLED":
        raise Refused("FAILED_PRECONDITION", f"the version is not enabled, current state is: {key['state']}.")
    return key["versions"][-1]


def encrypt(name, key, body):
    plain, is_right, is_told = sent(body, "plaintext")
    aad, is_aad_right, is_aad_told = sent(body, "additionalAuthenticatedData")
    if is_told and not is_right or is_aad_told and not is_aad_right:
        raise Refused("INVALID_ARGUMENT", "a checksum does not match")
    nonce, version = os.urandom(12), len(key["versions"])
    sealed = AESGCM(primary(key)).encrypt(nonce, plain, aad)
    wrapped = version.to_bytes(4, "big") + nonce + sealed
    answer = {
        "name": f"{name}/cryptoKeyVersions/{version}",
        "ciphertext": base64.b64encode(flipped(wrapped, "wrapped")).decode(),
        "ciphertextCrc32c": str(crc32c(wrapped)),
        "protectionLevel": "SOFTWARE",
    }
    # False is left out, as everywhere in JSON of protocol buffers.
    answer |= {"verifiedPlaintextCrc32c": True} if is_told else {}
    return answer | ({"verifiedAdditionalAuthenticatedDataCrc32c": True} if is_aad_told else {})


def decrypt(key, body):
    wrapped, is_right, is_told = sent(body, "ciphertext")
    aad, is_aad_right, is_aad_told = sent(body, "additionalAuthenticatedData")
    version = int.from_bytes(wrapped[:4], "big")
    primary(key)
    try:
        if is_told and not is_right or is_aad_told and not is_aad_right or not 0 < version <= len(key["versions"]):
            raise ValueError
        plain = AESGCM(key["versions"][version - 1]).decrypt(wrapped[4:16], wrapped[16:], aad)
    except (InvalidTag, ValueError):
        raise Refused("INVALID_ARGUMENT", "Decryption failed: the ciphertext is invalid.") from None
    return {
        "plaintext": base64.b64encode(flipped(plain, "opened")).decode(),
        "plaintextCrc32c": str(crc32c(plain)),
        "usedPrimary": version == len(key["versions"]),
        "protectionLevel": "SOFTWARE",
    }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, said = 200, self.routed(json.loads(raw) if raw else {})
        except Refused as refused:
            status = HTTP.get(refused.code) or int(refused.code)
            said = {"error": {"code": status, "message": refused.message, "status": refused.code}}
            said = said if refused.code in HTTP else None
        except ValueError:
            status, said = 400, {"error": {"code": 400, "message": "bad JSON", "status": "INVALID_ARGUMENT"}}
        text = json.dumps(said).encode() if said is not None else b"<html>no reason</html>"
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if said is not None else "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def routed(self, body):
        match self.path:
            case "/test/key":
                made = {"purpose": "ENCRYPT_DECRYPT", "state": "ENABLED", "versions": [AESGCM.generate_key(256)]}
                keys[body["name"]] = keys.get(body["name"], made) | body
                return {}
            case "/test/rotate":
                keys[body["name"]]["versions"].append(AESGCM.generate_key(256))
                return {}
            case "/test/answer":
                canned.update(body)
                return {}
            case "/test/garble":
                garbled.update(body)
                return {}
        if canned["times"] > 0:
            canned["times"] -= 1
            raise Refused(canned["code"] or str(canned["status"]), "canned")
        call = CALL.fullmatch(self.path.partition("?")[0])
        if not call:
            raise Refused("404")
        name, verb = call.groups()
        if caller(self.headers.get("Authorization") or "") != "caller":
            raise Refused("PERMISSION_DENIED", f"Permission 'cloudkms.cryptoKeyVersions.useTo' denied on {name}")
        if name not in keys:
            raise Refused("NOT_FOUND", f"CryptoKey {name} not found.")
        return encrypt(name, keys[name], body) if verb == "encrypt" else decrypt(keys[name], body)


for who in ("caller", "powerless", "stranger"):
    account(who, sys.argv[1], who != "stranger")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
