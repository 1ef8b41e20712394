"""A daemon, asked without blocking: many triggers share one event loop. httpx comes with Airflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import httpx

from sealift import answers
from sealift.access import Access, segment
from sealift.client import LONGEST_WAIT_SECONDS
from sealift.errors import Conflict, Unreachable
from sealift.runs import Run

TIMEOUT_SECONDS = 10.0
MOST_WAITING = 128
"""Requests of one triggerer that wait at the daemon at the same time, each over a connection of its own: the daemon has
half a thousand for all that comes from one machine."""

_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@asynccontextmanager
async def _turn(places: asyncio.Semaphore, seconds: float) -> AsyncIterator[bool]:
    """Whether there is a place within the time; it is given back at the end.

    ``asyncio.wait_for`` loses a cancellation that comes just when there is one (before Python 3.12).
    """
    place = asyncio.ensure_future(places.acquire())
    try:
        await asyncio.wait([place], timeout=seconds)
        yield place.done()
    finally:
        if place.done() and not place.cancelled():
            places.release()
        else:
            place.cancel()


class Polling:
    """Asks one daemon. A context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._http = httpx.AsyncClient(
            verify=access.context if access.context is not None else False,
            # A proxy would carry what is meant for this machine in plain text; a redirect, the token elsewhere.
            trust_env=access.is_tls,
            follow_redirects=False,
            timeout=httpx.Timeout(TIMEOUT_SECONDS, read=TIMEOUT_SECONDS + LONGEST_WAIT_SECONDS),
            # Who has nothing to ask holds no connection.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Polling:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *about: Any) -> None:
        await self._http.__aexit__(*about)

    async def run(self, run_id: str, wait: int) -> Run:
        """One run, once it is over or ``wait`` seconds have passed. While many wait it may be heard of that late only.

        Raises:
            SealiftError: of its kind.

        """
        if wait <= 0:
            return await self._run(run_id, 0)
        until = time.monotonic() + wait
        places = _waiting.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MOST_WAITING))
        async with _turn(places, wait) as has_place:
            left = max(0, round(until - time.monotonic()))
            return await self._run(run_id, left if has_place else 0)

    async def _run(self, run_id: str, wait: int) -> Run:
        return Run.of(await self._ask("GET", f"/v1/runs/{segment(run_id)}?wait={wait}"))

    async def runs(self, pipeline: str, limit: int) -> list[Run]:
        """The newest runs of the pipeline first, without their streams.

        Raises:
            SealiftError: of its kind.

        """
        query = urlencode({"pipeline": pipeline, "limit": limit, "streams": "false"})
        return [Run.of(one) for one in (await self._ask("GET", f"/v1/runs?{query}"))["runs"]]

    async def cancel(self, run_id: str) -> None:
        """Ask for a run to stop; one that is cancelled already stays so.

        Raises:
            SealiftError: of its kind.

        """
        try:
            await self._ask("POST", f"/v1/runs/{segment(run_id)}/cancel")
        except Conflict as conflict:
            if conflict.problem != "run-over" or (await self._run(run_id, 0)).state != "cancelled":
                raise

    async def _ask(self, method: str, path: str) -> dict[str, Any]:
        url = self._access.url
        body = bytearray()
        try:
            async with self._http.stream(method, url + path, headers=self._access.headers()) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > answers.MOST_BYTES:
                        raise answers.no_daemon(url, response.status_code)
        except httpx.HTTPError as error:
            slow = isinstance(error, httpx.TimeoutException)
            how = "does not answer in time" if slow else "cannot be reached"
            raise Unreachable(f"the daemon at {url} {how} ({type(error).__name__})") from None
        return answers.read(url, response.status_code, bytes(body))
