"""What a triggerer runs for tasks that are deferred.

A trigger keeps no state: what it needs is in its arguments, and what it learns it asks of the daemon, so another
triggerer can go on at any moment. The token is not among the arguments. It fires when there is something to
decide, and the task that it wakes asks the daemon itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sealift.airflow.hook import SealiftHook
from sealift.airflow.polling import Polling
from sealift.client import LONGEST_WAIT_SECONDS, PAUSE_SECONDS
from sealift.errors import SealiftError
from sealift.runs import Run, begun

PATIENCE_SECONDS = 300.0
"""How long a daemon may be away before the task is woken to say so."""
MOST_LISTED = 100

T = TypeVar("T")


class _Patience:
    """Bears a daemon's absence for a time."""

    def __init__(self) -> None:
        self._heard = time.monotonic()

    async def asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The answer; ``None`` where there is none, but may be later.

        Raises:
            SealiftError: what lasts.

        """
        try:
            answer = await ask()
        except SealiftError as error:
            if not error.retry or time.monotonic() - self._heard > PATIENCE_SECONDS:
                raise
            return None
        self._heard = time.monotonic()
        return answer


def _left(until: float | None) -> float:
    return float("inf") if until is None else max(0.0, until - time.time())


class RunTrigger(BaseTrigger):
    """Fires when the run is over, when ``until`` (seconds since 1970) is past, or when the daemon stays away."""

    def __init__(self, conn_id: str, run_id: str, until: float | None = None, cancel_on_kill: bool = True) -> None:
        super().__init__()
        self.conn_id, self.run_id, self.until, self.cancel_on_kill = conn_id, run_id, until, cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, from which another triggerer makes the same trigger."""
        names = ("conn_id", "run_id", "until", "cancel_on_kill")
        return "sealift.airflow.triggers.RunTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        error = None
        try:
            async with Polling(await SealiftHook(self.conn_id).access()) as daemon:
                await self._wait(daemon)
        except SealiftError as lasting:
            error = str(lasting)
        yield TriggerEvent({"run_id": self.run_id, "until": self.until, "error": error})

    async def _wait(self, daemon: Polling) -> None:
        patience = _Patience()
        while True:
            sent = time.monotonic()
            seconds = int(min(LONGEST_WAIT_SECONDS, _left(self.until)))
            run = await patience.asked(partial(daemon.run, self.run_id, seconds))
            if (run is not None and run.is_over) or not _left(self.until):
                return
            await asyncio.sleep(max(0.0, sent + PAUSE_SECONDS - time.monotonic()))

    async def on_kill(self) -> None:
        """Stop the run, when a person ends or clears the task (Airflow from 3.3 on calls this)."""
        if not self.cancel_on_kill:
            return
        try:
            async with Polling(await SealiftHook(self.conn_id).access()) as daemon:
                await daemon.cancel(self.run_id)
        except SealiftError as error:
            self.log.warning("run %s was not cancelled: %s", self.run_id, error)


class SuccessTrigger(BaseTrigger):
    """Fires when a run that began at ``since`` (RFC 3339) or later succeeded, or as :class:`RunTrigger`."""

    def __init__(
        self,
        conn_id: str,
        pipeline: str,
        since: str,
        dataset: str | None = None,
        until: float | None = None,
        poll_seconds: float = 60.0,
    ) -> None:
        super().__init__()
        self.conn_id, self.pipeline, self.since = conn_id, pipeline, since
        self.dataset, self.until, self.poll_seconds = dataset, until, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, from which another triggerer makes the same trigger."""
        names = ("conn_id", "pipeline", "since", "dataset", "until", "poll_seconds")
        return "sealift.airflow.triggers.SuccessTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        error = None
        try:
            async with Polling(await SealiftHook(self.conn_id).access()) as daemon:
                await self._wait(daemon)
        except SealiftError as lasting:
            error = str(lasting)
        yield TriggerEvent({"since": self.since, "until": self.until, "error": error})

    async def _wait(self, daemon: Polling) -> None:
        patience, since = _Patience(), datetime.fromisoformat(self.since)
        while True:
            runs = await patience.asked(partial(daemon.runs, self.pipeline, MOST_LISTED)) or []
            if await self._succeeded(daemon, patience, begun(runs, since)) or not _left(self.until):
                return
            await self._pause(daemon, patience, runs)

    async def _succeeded(self, daemon: Polling, patience: _Patience, runs: list[Run]) -> bool:
        if self.dataset is None:
            return any(run.is_done for run in runs)
        for run in runs:
            whole = await patience.asked(partial(daemon.run, run.run_id, 0))
            if whole is not None and whole.published(self.dataset):
                return True
        return False

    async def _pause(self, daemon: Polling, patience: _Patience, runs: list[Run]) -> None:
        """Until it is worth looking again: the end of the run that is under way, or a while."""
        sent = time.monotonic()
        active = next((run for run in runs if not run.is_over), None)
        pause = self.poll_seconds
        if active is not None:
            seconds = int(min(LONGEST_WAIT_SECONDS, _left(self.until)))
            await patience.asked(partial(daemon.run, active.run_id, seconds))
            pause = PAUSE_SECONDS
        await asyncio.sleep(max(0.0, min(sent + pause - time.monotonic(), _left(self.until))))
