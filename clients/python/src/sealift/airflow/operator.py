"""An operator that asks for a run of a pipeline, and waits for its end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from sealift.airflow.hook import SealiftHook, outcomes
from sealift.airflow.triggers import RunTrigger
from sealift.airflow.versions import BaseOperator, Context, deferrable_by_default
from sealift.errors import NotOver, SealiftError
from sealift.runs import Run


class SealiftSyncOperator(BaseOperator):
    """Asks for a run of a pipeline, waits for it, and gives its summary as XCom.

    Task, DAG run and map index name the run that is wanted, the number of the try does not: a retry, and a task that
    is cleared, take up the run that is there, for as long as the daemon remembers it (until a day after its end).
    Only a run that ended as temporary or cancelled is followed by another; and one that failed for good, when the
    task is cleared.

    What can pass (temporary, unreachable, cancelled, another active run) fails the try, for Airflow to retry. What
    cannot (failed, held, data, denied, invalid) fails the task at once, whatever its ``retries``.

    Args:
        pipeline: its name. Templated.
        conn_id: the Airflow connection of the daemon. Templated.
        idempotency_key: names the wanted run instead of what is said above. Templated.
        wait: for the end of the run; without it the task is done once the run is taken.
        timeout: how long to wait at most, from the start of the try. The run goes on; a retry takes it up.
        join: take a run that the pipeline has already for the one that is wanted. Such a run is not cancelled.
        cancel_on_kill: stop the run when the task is killed.
        deferrable: wait in the triggerer. By default as Airflow's configuration says.

    """

    template_fields: Sequence[str] = ("pipeline", "conn_id", "idempotency_key")
    ui_color = "#d9ecf2"

    def __init__(
        self,
        *,
        pipeline: str,
        conn_id: str = SealiftHook.default_conn_name,
        idempotency_key: str | None = None,
        wait: bool = True,
        timeout: timedelta | float | None = None,
        join: bool = False,
        cancel_on_kill: bool = True,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline, self.conn_id, self.idempotency_key = pipeline, conn_id, idempotency_key
        self.wait, self.join, self.cancel_on_kill = wait, join, cancel_on_kill
        self.timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self.deferrable = deferrable_by_default() if deferrable is None else deferrable
        self._run_id: str | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask for the run, and wait or defer."""
        until = None if self.timeout is None else time.time() + self.timeout
        with outcomes():
            client = SealiftHook(self.conn_id).get_conn()
            key = self.idempotency_key or key_of(context)
            run_id = client.trigger(self.pipeline, key, join=self.join, retry_failed=True)
            self._run_id = run_id
            self.log.info("run %s of pipeline %s", run_id, self.pipeline)
            if not self.wait:
                return client.run(run_id).summary()
            run = client.run(run_id) if self.deferrable else client.wait(run_id, self.timeout)
            if run.is_over:
                return self._ended(run)
        return self._defer(run_id, until)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on once the trigger fired: what became of the run is the daemon's to say."""
        run_id, until = event["run_id"], event["until"]
        self._run_id = run_id
        if event["error"]:
            self.log.warning("waiting ended: %s", event["error"])
        with outcomes():
            run = SealiftHook(self.conn_id).get_conn().run(run_id)
            if run.is_over:
                return self._ended(run)
            if until is not None and time.time() >= until:
                raise NotOver(f"run {run_id} is not over in time", run_id=run_id)
        return self._defer(run_id, until)

    def on_kill(self) -> None:
        """Stop the run, unless it was there before this task."""
        if self._run_id is None or not self._may_cancel:
            return
        try:
            SealiftHook(self.conn_id).get_conn().cancel(self._run_id)
        except SealiftError as error:
            self.log.warning("run %s was not cancelled: %s", self._run_id, error)

    @property
    def _may_cancel(self) -> bool:
        return self.cancel_on_kill and not self.join

    def _defer(self, run_id: str, until: float | None) -> NoReturn:
        trigger = RunTrigger(self.conn_id, run_id, until, self._may_cancel)
        self.defer(trigger=trigger, method_name="execute_complete")

    def _ended(self, run: Run) -> dict[str, Any]:
        for one in run.streams:
            told = (one.stream, one.state, one.dataset, one.version, one.rows, one.bytes)
            self.log.info("stream %s %s: %s version %s, %d rows, %d bytes", *told)
        return run.expect_done().summary()


def key_of(context: Context) -> str:
    """The idempotency key of a task: the same for each of its tries, and for no other task."""
    task = context["ti"]
    named = [task.dag_id, task.task_id, task.run_id, getattr(task, "map_index", -1)]
    return "airflow-" + hashlib.sha256(json.dumps(named).encode()).hexdigest()
