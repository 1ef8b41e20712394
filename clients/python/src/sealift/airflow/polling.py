"""A daemon, asked without blocking: many triggers share one event loop. httpx comes with Airflow."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx

from sealift import answers
from sealift.access import Access, segment
from sealift.client import LONGEST_WAIT_SECONDS
from sealift.errors import Unreachable
from sealift.runs import Run

TIMEOUT_SECONDS = 10.0


class Polling:
    """Asks one daemon, over one connection. A context manager."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._http = httpx.AsyncClient(
            verify=access.context if access.context is not None else False,
            # A proxy would carry what is meant for this machine in plain text; a redirect, the token elsewhere.
            trust_env=access.is_tls,
            follow_redirects=False,
            timeout=httpx.Timeout(TIMEOUT_SECONDS, read=TIMEOUT_SECONDS + LONGEST_WAIT_SECONDS),
        )

    async def __aenter__(self) -> Polling:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *about: Any) -> None:
        await self._http.__aexit__(*about)

    async def run(self, run_id: str, wait: int) -> Run:
        """One run, once it is over or ``wait`` seconds have passed.

        Raises:
            SealiftError: of its kind.

        """
        return Run.of(await self._ask("GET", f"/v1/runs/{segment(run_id)}?wait={wait}"))

    async def runs(self, pipeline: str, limit: int) -> list[Run]:
        """The newest runs of the pipeline first.

        Raises:
            SealiftError: of its kind.

        """
        query = urlencode({"pipeline": pipeline, "limit": limit})
        return [Run.of(one) for one in (await self._ask("GET", f"/v1/runs?{query}"))["runs"]]

    async def cancel(self, run_id: str) -> None:
        """Ask for a run to stop.

        Raises:
            SealiftError: of its kind.

        """
        await self._ask("POST", f"/v1/runs/{segment(run_id)}/cancel")

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
