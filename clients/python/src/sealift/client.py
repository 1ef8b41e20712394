"""A daemon, asked over its API."""

from __future__ import annotations

import hashlib
import http.client
import random
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from sealift import answers
from sealift.access import Access, segment
from sealift.errors import Conflict, NotOver, SealiftError, Temporary, Unreachable
from sealift.runs import Pipeline, Run

LONGEST_WAIT_SECONDS = 20
"""How long one request waits for the end of a run; a daemon allows 25."""
PAUSE_SECONDS = 1.0
"""Least time between two looks at a run: a daemon that many wait for answers at once."""
LONGEST_BACKOFF_SECONDS = 10.0
LONGEST_RETRY_AFTER_SECONDS = 30.0
MOST_FOLLOWED = 20
"""Runs under one key that failed one after the other, while their key is remembered."""

MOST_PAGES = 1_000
"""Of a listing, which ends long before."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""
        return


class _Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.body = status, body
        after = headers.get("Retry-After", "")
        self.retry_after_seconds = float(after) if after.isascii() and after.isdigit() else 0.0


class Client:
    """Asks one daemon. It may be used by several threads.

    A request that got no answer, or was answered with 429, 502, 503 or 504, is sent again for ``patience``
    seconds, with growing pauses. That is safe for all of them: a trigger always has an idempotency key, and a run that
    is cancelled already is as good as one that is cancelled now.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        ca_file: str | None = None,
        *,
        timeout: float = 10.0,
        patience: float = 60.0,
    ) -> None:
        """Nothing is contacted yet.

        Args:
            url: of the daemon, else ``SEALIFT_URL``, else this machine's.
            token: of the daemon, else ``SEALIFT_TOKEN``.
            ca_file: certificates (PEM) of the authorities to trust, instead of the system's.
            timeout: seconds until a daemon must answer, beside the time that it was asked to wait.
            patience: seconds for which a daemon that is away is asked again.

        Raises:
            Invalid: when URL or token cannot be used, or the token would travel in plain text.

        """
        self._access = Access(url, token, ca_file)
        self._timeout, self._patience = timeout, patience
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if self._access.context is None:
            # A proxy would carry what is meant for this machine in plain text.
            handlers.append(urllib.request.ProxyHandler({}))
        else:
            handlers.append(urllib.request.HTTPSHandler(context=self._access.context))
        self._opener = urllib.request.build_opener(*handlers)

    def __repr__(self) -> str:
        return f"Client({self._access.url!r})"

    def pipelines(self) -> list[Pipeline]:
        """The pipelines that the daemon serves.

        Raises:
            SealiftError: of its kind.

        """
        pipelines: list[Pipeline] = []
        query = {"limit": "1000"}
        for _ in range(MOST_PAGES):
            page = self._ask("GET", f"/v1/pipelines?{urlencode(query)}")
            pipelines += (Pipeline.of(one) for one in page["pipelines"])
            if not page.get("next"):
                break
            query["after"] = page["next"]
        return pipelines

    def runs(self, pipeline: str | None = None, limit: int = 50, *, streams: bool = True) -> list[Run]:
        """Runs of one pipeline or of all, newest first; at most ``limit``, from 1 to 1000.

        Args:
            pipeline: its name; those of all without it.
            limit: most runs.
            streams: whether they come with their streams, of which a wide pipeline has very many.

        Raises:
            SealiftError: of its kind.

        """
        query = {"pipeline": pipeline} if pipeline else {}
        query |= {"streams": str(streams).lower(), "limit": str(limit)}
        runs: list[Run] = []
        for _ in range(MOST_PAGES):
            page = self._ask("GET", f"/v1/runs?{urlencode(query)}")
            runs += (Run.of(one) for one in page["runs"])
            if len(runs) >= limit or not page.get("next"):
                break
            query |= {"after": page["next"], "limit": str(limit - len(runs))}
        return runs

    def run(self, run_id: str, wait: int = 0) -> Run:
        """One run, once it is over or ``wait`` seconds (0 to 25) have passed.

        Raises:
            NotFound: when there is no such run.
            SealiftError: of its kind.

        """
        path = f"/v1/runs/{segment(run_id)}?wait={wait}"
        return Run.of(self._ask("GET", path, wait_seconds=wait))

    def trigger(
        self,
        pipeline: str,
        idempotency_key: str | None = None,
        *,
        join: bool = False,
        retry_failed: bool = False,
    ) -> str:
        """Ask for a run, and give its id without waiting for its end.

        Args:
            pipeline: its name.
            idempotency_key: names the run that is wanted: asked for again under it until a day after its end, it
                is the run that is there, or a new one where that ended as temporary or cancelled. Without one, each
                call wants a new run.
            join: take the run that the pipeline has already for the one that is wanted.
            retry_failed: a run that is found under the key, and has failed, is followed by a new one: for a task
                that a person starts anew once the cause is mended.

        Raises:
            Conflict: when the pipeline has another active run.
            NotFound: when there is no such pipeline.
            SealiftError: of its kind.

        """
        key = idempotency_key or str(uuid.uuid4())
        run_id, is_found = self._trigger(pipeline, key, join)
        for _ in range(MOST_FOLLOWED):
            if not (retry_failed and is_found):
                break
            run = self.run(run_id)
            if not run.is_over or run.is_done:
                break
            # Of the run that failed: whoever comes after it by the same way finds the same.
            key = "after-" + hashlib.sha256(f"{key}\n{run_id}".encode()).hexdigest()
            run_id, is_found = self._trigger(pipeline, key, join)
        return run_id

    def wait(self, run_id: str, timeout: float | None = None) -> Run:
        """The run once it is over, whatever its outcome; :meth:`Run.expect_done` turns that into an exception.

        Args:
            run_id: of the run.
            timeout: seconds to wait at most; none means that only the daemon's absence ends it.

        Raises:
            NotOver: when the time is over; the run goes on.
            SealiftError: of its kind.

        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            sent = time.monotonic()
            left = LONGEST_WAIT_SECONDS if until is None else max(0.0, until - sent)
            run = self.run(run_id, wait=min(LONGEST_WAIT_SECONDS, int(left)))
            if run.is_over:
                return run
            if until is not None and time.monotonic() >= until:
                raise NotOver(f"run {run_id} is not over within {timeout:g} s", run_id=run_id)
            pause = sent + PAUSE_SECONDS - time.monotonic()
            time.sleep(max(0.0, pause if until is None else min(pause, until - time.monotonic())))

    def sync(
        self,
        pipeline: str,
        idempotency_key: str | None = None,
        *,
        join: bool = False,
        timeout: float | None = None,
    ) -> Run:
        """Ask for a run, wait for its end, and give it where it succeeded: ``sealift trigger --wait``.

        Raises:
            NotOver: when the time is over; the run goes on.
            SealiftError: of the kind of its outcome, and as :meth:`trigger`.

        """
        return self.wait(self.trigger(pipeline, idempotency_key, join=join), timeout).expect_done()

    def cancel(self, run_id: str) -> None:
        """Ask for a run to stop. It has stopped once it is over; one that is cancelled already stays so.

        Raises:
            Conflict: when it came to another end, or a command runs it (``sealift sync``).
            NotFound: when there is no such run.
            SealiftError: of its kind.

        """
        try:
            self._ask("POST", f"/v1/runs/{segment(run_id)}/cancel")
        except Conflict as conflict:
            # It was asked for before: by others, or by a request whose answer was lost.
            if conflict.problem != "run-over" or self.run(run_id).state != "cancelled":
                raise

    def _trigger(self, pipeline: str, key: str, join: bool) -> tuple[str, bool]:
        """The run, and whether it was there under the key already."""
        path = f"/v1/pipelines/{segment(pipeline)}/runs"
        try:
            said = self._ask("POST", path, key=key)
        except Conflict as busy:
            if join and busy.run_id:
                return busy.run_id, False
            raise
        run_id = said.get("run_id")
        if not isinstance(run_id, str):
            raise answers.no_daemon(self._access.url, 202)
        return run_id, said.get("created") is False

    def _ask(self, method: str, path: str, *, key: str | None = None, wait_seconds: int = 0) -> dict[str, Any]:
        request = urllib.request.Request(
            self._access.url + path,
            data=b"" if method == "POST" else None,
            headers=self._access.headers(key),
            method=method,
        )
        return self._patiently(lambda: self._send(request, self._timeout + wait_seconds))

    def _patiently(self, send: Callable[[], _Answer]) -> dict[str, Any]:
        """Send until there is an answer that lasts, or patience ends."""
        until = time.monotonic() + self._patience
        backoff = 0.25
        while True:
            least = 0.0
            try:
                answer = send()
                least = min(answer.retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
                return answers.read(self._access.url, answer.status, answer.body)
            except SealiftError as error:
                if isinstance(error, Conflict) or not isinstance(error, Temporary | Unreachable):
                    raise
                pause = max(least, backoff * random.uniform(0.5, 1.0))
                if time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    def _send(self, request: urllib.request.Request, timeout: float) -> _Answer:
        until = time.monotonic() + timeout
        try:
            try:
                response = self._opener.open(request, timeout=timeout)
            except urllib.error.HTTPError as problem:
                response = problem
            with response:
                return _Answer(response.status, response.headers, self._body(response, until))
        except (OSError, http.client.HTTPException) as error:
            slow = isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError)
            how = "does not answer in time" if slow else "cannot be reached"
            raise Unreachable(
                f"the daemon at {self._access.url} {how} ({_cause(error)})",
                remedy="start it with `sealift serve`, or write its address in SEALIFT_URL",
            ) from None

    def _body(self, response: Any, until: float) -> bytes:
        """The answer's bytes, as many as an answer may have and as long as it may take."""
        body = bytearray()
        while chunk := response.read1(1 << 16):
            body += chunk
            if len(body) > answers.MOST_BYTES:
                raise answers.no_daemon(self._access.url, response.status)
            if time.monotonic() > until:
                raise TimeoutError
        return bytes(body)


def _cause(error: BaseException) -> str:
    """What went wrong below HTTP, in a word or two; a certificate that is not trusted says so."""
    reason = getattr(error, "reason", error)
    cause = reason if isinstance(reason, BaseException) else error
    words = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return str(words) if words else type(cause).__name__
