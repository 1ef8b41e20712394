"""DAGs for what the page of schedulers does not show: runs that end badly, that are awaited, that another one has."""

import datetime

from airflow.sdk import DAG

from sealift.airflow import SealiftRunSensor, SealiftSyncOperator

SETTINGS = {"start_date": datetime.datetime(2026, 1, 1), "schedule": None}
RETRIES = {"retries": 1, "retry_delay": datetime.timedelta(0)}

for name in ("held", "dirty"):
    for deferrable in (True, False):
        with DAG(f"{name}_{'deferred' if deferrable else 'blocking'}", **SETTINGS):
            SealiftSyncOperator(task_id="sync", pipeline=name, deferrable=deferrable, **RETRIES)

with DAG("busy", **SETTINGS):
    SealiftSyncOperator(
        task_id="sync", pipeline="gated", retries=100, retry_delay=datetime.timedelta(milliseconds=100)
    )

with DAG("awaits", **SETTINGS):
    SealiftRunSensor(
        task_id="fresh",
        pipeline="gated",
        since="{{ dag_run.conf['since'] }}",
        deferrable=True,
        poke_interval=1,
        timeout=120,
    )

with DAG("late", **SETTINGS):
    SealiftRunSensor(
        task_id="fresh", pipeline="daily", since="2100-01-01", deferrable=True, poke_interval=0.1, timeout=0.2
    )
