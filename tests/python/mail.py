"""A mail server: `mail.py FILE [CERTIFICATE KEY]`. With a certificate it wants STARTTLS and the login `sealift`. Prints its port, and
appends {"from", "to", "tls", "login", "headers", "text"} of each mail to FILE, one a line. It does not know `gone@…`."""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

received = sys.argv[1]
tls = None
if len(sys.argv) > 2:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*sys.argv[2:4])


class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 user unknown"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "login": session.auth_data,
            "headers": dict(mail.items()),
            "text": mail.get_content(),
        }
        with open(received, "a") as file:
            file.write(json.dumps(told) + "\n")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    fits = data.login == b"sealift" and data.password == b"mail-password-of-tests"
    return AuthResult(success=fits, auth_data=data.login.decode() if fits else None)


def connection():
    if tls is None:
        return SMTP(Mailbox())
    return SMTP(
        Mailbox(), tls_context=tls, require_starttls=True, auth_required=True, authenticator=authenticate
    )


async def serve():
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
