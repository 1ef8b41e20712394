"""A sensor that waits until a pipeline succeeded, whoever asked for the run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn

from sealift.airflow.hook import SealiftHook, outcomes
from sealift.airflow.triggers import MOST_LISTED, SuccessTrigger
from sealift.airflow.versions import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    Context,
    deferrable_by_default,
)
from sealift.runs import begun


class SealiftRunSensor(BaseSensorOperator):
    """Waits for a run of the pipeline that began at ``since`` or later and succeeded; gives its summary as XCom.

    A run that fails does not end the waiting: a later one may succeed before ``timeout``.

    Args:
        pipeline: its name. Templated.
        dataset: wait until this dataset was published, whatever became of the run's other streams. Templated.
        since: RFC 3339, templated. By default when the DAG run was due: the end of its data interval, where it has one.
        conn_id: the Airflow connection of the daemon. Templated.
        deferrable: wait in the triggerer. By default as Airflow's configuration says.

    """

    template_fields: Sequence[str] = ("pipeline", "dataset", "since", "conn_id")
    ui_color = "#d9ecf2"

    def __init__(
        self,
        *,
        pipeline: str,
        dataset: str | None = None,
        since: str | None = None,
        conn_id: str = SealiftHook.default_conn_name,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline, self.dataset, self.since, self.conn_id = pipeline, dataset, since, conn_id
        self.deferrable = deferrable_by_default() if deferrable is None else deferrable

    def execute(self, context: Context) -> Any:
        """Look, and wait or defer."""
        since = self._since(context)
        if not self.deferrable:
            return super().execute(context) or self._found(since)
        return self._found(since) or self._defer(since, time.time() + self.timeout)

    def poke(self, context: Context) -> bool:
        """Whether there is such a run."""
        return self._found(self._since(context)) is not None

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on once the trigger fired."""
        since, until = datetime.fromisoformat(event["since"]), event["until"]
        if event["error"]:
            self.log.warning("waiting ended: %s", event["error"])
        found = self._found(since)
        if found is not None:
            return found
        if time.time() >= until:
            raise AirflowSensorTimeout(f"no run of {self.pipeline} since {since.isoformat()} succeeded in time")
        return self._defer(since, until)

    def _found(self, since: datetime) -> dict[str, Any] | None:
        with outcomes():
            client = SealiftHook(self.conn_id).get_conn()
            for run in begun(client.runs(self.pipeline, MOST_LISTED, streams=False), since):
                if self.dataset is None and not run.is_done:
                    continue
                whole = client.run(run.run_id)
                if self.dataset is None or whole.published(self.dataset):
                    return whole.summary()
        return None

    def _defer(self, since: datetime, until: float) -> NoReturn:
        trigger = SuccessTrigger(
            self.conn_id, self.pipeline, since.isoformat(), self.dataset, until, self.poke_interval
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _since(self, context: Context) -> datetime:
        # A run before the end of the interval may have been that of the interval before.
        said: Any = self.since or context.get("data_interval_end") or context.get("logical_date")
        said = said or context["dag_run"].run_after
        since = said if isinstance(said, datetime) else datetime.fromisoformat(str(said).replace("Z", "+00:00"))
        return since if since.tzinfo else since.replace(tzinfo=timezone.utc)
