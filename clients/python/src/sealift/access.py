"""Where a daemon is, and the token for it: checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import ssl
from typing import NoReturn
from urllib.parse import quote, urlsplit

from sealift.errors import Invalid

DEFAULT_URL = "http://127.0.0.1:8470"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked_url(url: str) -> str:
    """The URL without a slash at its end. Its words are not repeated in errors: it may hold a password."""
    example = "https://sealift.example.com"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise Invalid("the URL of the daemon is not an http or https URL", remedy=f"write it as {example}")
    if parts.username is not None or parts.password is not None:
        raise Invalid("the URL of the daemon holds credentials", remedy="give the token by itself")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Invalid("the URL of the daemon holds more than a host", remedy=f"write it as {example}")
    if parts.scheme == "http" and not _is_loopback(host):
        remedy = "use https://; http:// is for this machine only"
        raise Invalid(f"the URL of the daemon at {host} is not encrypted", remedy=remedy)
    return f"{parts.scheme}://{parts.netloc}"


class Access:
    """A daemon's URL, the trust in its certificate, and a token. It shows, copies and pickles no token."""

    def __init__(self, url: str | None = None, token: str | None = None, ca_file: str | None = None) -> None:
        """Check what is given; nothing is contacted.

        Args:
            url: of the daemon, else ``SEALIFT_URL``, else this machine's.
            token: of the daemon, else ``SEALIFT_TOKEN``.
            ca_file: certificates (PEM) of the authorities to trust, instead of the system's.

        Raises:
            Invalid: when one of them cannot be used, or the token would travel in plain text.

        """
        self.url = _checked_url(url or os.environ.get("SEALIFT_URL") or DEFAULT_URL)
        self.is_tls = self.url.startswith("https://")
        token = (token or os.environ.get("SEALIFT_TOKEN") or "").strip()
        if not token:
            raise Invalid("there is no token for the daemon", remedy="write it in SEALIFT_TOKEN")
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise Invalid("the token of the daemon holds what no header can carry")
        self.__token = token
        self.context: ssl.SSLContext | None = None
        if self.is_tls:
            try:
                self.context = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise Invalid("the file of trusted certificates cannot be read") from error

    def headers(self, idempotency_key: str | None = None) -> dict[str, str]:
        """The headers of a request. They hold the token: show them to nobody but the daemon.

        Raises:
            Invalid: unless the key is of 1 to 255 visible ASCII characters.

        """
        headers = {
            "Authorization": f"Bearer {self.__token}",
            "Accept": "application/json, application/problem+json",
            "User-Agent": "sealift-python",
        }
        if idempotency_key is not None:
            if not (1 <= len(idempotency_key) <= 255 and all("!" <= c <= "~" for c in idempotency_key)):
                raise Invalid("an idempotency key is of 1 to 255 visible ASCII characters")
            headers["Idempotency-Key"] = idempotency_key
        return headers

    def __repr__(self) -> str:
        return f"Access({self.url!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not to be pickled or copied: make the client where it is used")


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="") if name not in (".", "..") else name.replace(".", "%2E")
