"""What an HTTP answer of the daemon means."""

from __future__ import annotations

import json
from typing import Any

from sealift.errors import (
    Conflict,
    Denied,
    Failed,
    NotFound,
    SealiftError,
    Temporary,
    Unauthorized,
    Unreachable,
    Usage,
    of_word,
)

MOST_BYTES = 16 << 20
"""Far above any listing."""

_BY_STATUS: dict[int, type[SealiftError]] = {
    400: Usage,
    401: Unauthorized,
    403: Denied,
    404: NotFound,
    408: Temporary,
    409: Conflict,
    422: Usage,
    429: Temporary,
    502: Temporary,
    503: Temporary,
    504: Temporary,
}


_PROBLEM = "urn:sealift:problem:"


def no_daemon(url: str, status: int) -> Unreachable:
    """What answers is something else."""
    remedy = "write the daemon's address in SEALIFT_URL"
    return Unreachable(f"what answers at {url} is no daemon of sealift ({status})", remedy=remedy)


def read(url: str, status: int, body: bytes) -> dict[str, Any]:
    """The answer's JSON object.

    Raises:
        SealiftError: the daemon's problem (RFC 9457), or ``Unreachable`` where the answer is not of a daemon.

    """
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        # A proxy in front of a daemon that is away answers so in its own words.
        kind = _BY_STATUS.get(status)
        if kind is Temporary:
            raise Temporary(f"the daemon at {url} is away ({status})")
        raise no_daemon(url, status)
    if 200 <= status < 300:
        return said
    if 300 <= status < 400:
        raise no_daemon(url, status)
    words = {name: said[name] for name in ("type", "detail", "help", "run_id") if isinstance(said.get(name), str)}
    problem = words.get("type", "").removeprefix(_PROBLEM)
    kind = of_word(problem) or _BY_STATUS.get(status, Failed)
    message = words.get("detail") or f"the daemon answers {status}"
    raise kind(message, remedy=words.get("help"), run_id=words.get("run_id"), problem=problem)
