"""A stand-in for the transit engine of Vault: `vault.py TOKEN POWERLESS_TOKEN [CERTIFICATE KEY]`.

Answers as Vault 1.9 and newer document it for keys of AES-GCM: real AES-256-GCM, the wrapped form
`vault:v<version>:<base64 of nonce | ciphertext | tag>`, associated data, policies by token, namespaces kept apart.
Prints the port it listens on. Keys live in memory. `POST /test/answer {"status", "times"}` has the next requests
answered with a status.
"""

import base64
import http.server
import json
import os
import re
import ssl
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKENS = {sys.argv[1]: "user", sys.argv[2]: "powerless", "root": "root"}
WIRE = re.compile(r"vault:v([1-9][0-9]*):([A-Za-z0-9+/=]+)")
keys = {}
canned = {"status": 0, "times": 0}


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status, *errors):
        super().__init__(status)
        self.status = status
        self.errors = list(errors)


def create(path, body):
    kind = body.get("type", "aes256-gcm96")
    bits = {"aes256-gcm96": 256, "aes128-gcm96": 128}.get(kind, 256)
    keys[path] = {
        "type": kind,
        "derived": bool(body.get("derived")),
        "exportable": bool(body.get("exportable")),
        "allow_plaintext_backup": bool(body.get("allow_plaintext_backup")),
        "versions": [AESGCM.generate_key(bits)],
    }


def found(path):
    if path not in keys:
        raise Refused(404)
    return keys[path]


def told(path):
    key = found(path)
    told = {name: key[name] for name in ("type", "derived", "exportable", "allow_plaintext_backup")}
    return told | {"name": path[-1], "latest_version": len(key["versions"]), "supports_encryption": True}


def decoded(body, name):
    try:
        return base64.b64decode(body.get(name) or "", validate=True)
    except ValueError:
        raise Refused(400, f"failed to base64-decode {name}") from None


def encrypt(path, body, role):
    if path not in keys:
        # Vault makes a missing key for a token that may `create`; a user's policy has `update` only.
        if role != "root":
            raise Refused(403, "permission denied")
        create(path, {})
    key = found(path)
    plain, aad = decoded(body, "plaintext"), decoded(body, "associated_data")
    nonce = os.urandom(12)
    sealed = AESGCM(key["versions"][-1]).encrypt(nonce, plain, aad)
    version = len(key["versions"])
    return {"ciphertext": f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}", "key_version": version}


def decrypt(path, body):
    key = found(path)
    wire = WIRE.fullmatch(body.get("ciphertext") or "")
    if not wire:
        raise Refused(400, "invalid ciphertext: no prefix")
    version = int(wire[1])
    if version > len(key["versions"]):
        raise Refused(400, "invalid ciphertext: version is too new")
    aad = decoded(body, "associated_data")
    try:
        sealed = base64.b64decode(wire[2], validate=True)
        plain = AESGCM(key["versions"][version - 1]).decrypt(sealed[:12], sealed[12:], aad)
    except (InvalidTag, ValueError):
        raise Refused(400, "cipher: message authentication failed") from None
    return {"plaintext": base64.b64encode(plain).decode()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def answer(self, method):
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            body = json.loads(raw) if raw else {}
            status, said = 200, {"data": self.routed(method, body)}
        except Refused as refused:
            status, said = refused.status, {"errors": refused.errors}
        except ValueError:
            status, said = 400, {"errors": ["error parsing JSON"]}
        text = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def routed(self, method, body):
        role = TOKENS.get(self.headers.get("X-Vault-Token"))
        if self.path == "/test/answer":
            canned.update(body)
            return {}
        if canned["times"] > 0:
            canned["times"] -= 1
            raise Refused(canned["status"], "Vault is sealed" if canned["status"] == 503 else "canned")
        if role in (None, "powerless"):
            raise Refused(403, "permission denied")
        namespace = (self.headers.get("X-Vault-Namespace") or "").strip("/")
        parts = self.path.removeprefix("/v1/").split("/")
        match method, parts:
            case "GET", ["transit", "keys", name]:
                return told((namespace, name))
            case "POST", ["transit", "encrypt", name]:
                return encrypt((namespace, name), body, role)
            case "POST", ["transit", "decrypt", name]:
                return decrypt((namespace, name), body)
            case "POST", ["transit", "keys", name] if role == "root":
                return create((body.get("namespace", ""), name), body)
            case "POST", ["transit", "keys", name, "rotate"] if role == "root":
                key = found((namespace, name))
                key["versions"].append(AESGCM.generate_key(256))
                return {}
        raise Refused(404, "no handler for route")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
