"""Runs real DAGs of a real Airflow against a real daemon, and prints what became of them as one JSON line.

AIRFLOW_HOME is empty but for its folder of DAGs; AIRFLOW_CONN_SEALIFT_DEFAULT names the daemon, and so do SEALIFT_URL
and SEALIFT_TOKEN. The pipelines are those of clients/python/tests/test_daemon.py, and `crm`.
"""

import asyncio
import contextlib
import importlib
import json
import sqlite3
import sys
import threading
import time
import urllib.request
from datetime import datetime, timezone
from os import environ
from pathlib import Path
from unittest import mock

sys.path.insert(0, environ["SEALIFT_CLIENT_TESTS"])

from airflow.cli.cli_parser import get_parser  # noqa: E402
from test_daemon import closed_gate  # noqa: E402

import sealift  # noqa: E402


def airflow(*words):
    """A call of Airflow's command line, within this process: each start of one takes many seconds."""
    arguments = get_parser().parse_args(words)
    arguments.func(arguments)


def rows(sql, *values):
    with contextlib.closing(sqlite3.connect(Path(environ["AIRFLOW_HOME"]) / "airflow.db")) as database:
        return database.execute(sql, values).fetchall()


def run_dag(dag_id, at, conf=None):
    """One run of the DAG, named by its moment: run again at the same, its task starts anew under the same names."""
    from airflow.utils.cli import get_bagged_dag

    dag = get_bagged_dag(bundle_names=None, dag_id=dag_id)
    return dag.test(run_after=at, logical_date=at, run_conf=conf).run_id


def tasks(dag_id):
    """State and number of tries of the tasks of the DAG's newest run, and what they gave."""
    ((run_id,),) = rows("SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1", dag_id)
    of_run = "WHERE dag_id = ? AND run_id = ?"
    states = rows(f"SELECT task_id, state, try_number FROM task_instance {of_run} ORDER BY task_id", dag_id, run_id)
    given = rows(f"SELECT task_id, value FROM xcom {of_run} AND key = 'return_value'", dag_id, run_id)
    return {"states": states, "given": {task_id: json.loads(value) for task_id, value in given}}


def asked(route):
    """How many requests of the route the daemon has answered."""
    request = urllib.request.Request(environ["SEALIFT_URL"] + "/metrics")
    request.add_header("Authorization", f"Bearer {environ['SEALIFT_TOKEN']}")
    with urllib.request.urlopen(request) as answer:
        lines = answer.read().decode().splitlines()
    counted = [line for line in lines if line.startswith("sealift_http_requests_total") and f'"{route}"' in line]
    return sum(float(line.split()[-1]) for line in counted)


def once_asked(route, times, act):
    """In a thread of its own, acts once the daemon has answered so many further requests of the route."""
    enough = asked(route) + times

    def wait():
        until = time.monotonic() + 120
        while asked(route) < enough and time.monotonic() < until:
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def the_recipe():
    """The DAG of the page of schedulers, by the command line; then one run of it, forced to start a second time."""
    airflow("dags", "test", "crm", "2026-11-28")
    by_command_line = tasks("crm")
    at = datetime(2026, 11, 29, 2, tzinfo=timezone.utc)
    first, given = run_dag("crm", at), tasks("crm")
    second, again = run_dag("crm", at), tasks("crm")
    assert first == second
    return {"by_command_line": by_command_line, "first": given, "again": again}


def bad_ends():
    """Runs that end badly, each of them cleared once."""
    ends, at = {}, datetime(2026, 11, 29, tzinfo=timezone.utc)
    for dag_id in ("held_deferred", "held_blocking", "dirty_deferred", "dirty_blocking", "late"):
        run_dag(dag_id, at)
        ends[dag_id] = tasks(dag_id)["states"]
    run_dag("held_deferred", at)
    return ends


def a_busy_pipeline(client):
    """The first try finds another run, and fails; a later one has its turn."""
    gate = contextlib.ExitStack()
    gate.enter_context(closed_gate())
    other = client.trigger("gated")

    def make_way():
        gate.close()
        client.wait(other, timeout=120)

    way = once_asked("/v1/pipelines/{name}/runs", 1, make_way)
    run_dag("busy", datetime(2026, 11, 29, tzinfo=timezone.utc))
    way.join()
    return tasks("busy") | {"other": other}


def awaited(client):
    """A sensor waits for a run that somebody else asked for."""
    since = datetime.now(timezone.utc).isoformat()
    gate = contextlib.ExitStack()
    gate.enter_context(closed_gate())
    run_id = client.trigger("gated")
    # The task looks, then its trigger does, and waits.
    opens = once_asked("/v1/runs", 2, gate.close)
    run_dag("awaits", datetime(2026, 11, 29, tzinfo=timezone.utc), {"since": since})
    opens.join()
    return tasks("awaits") | {"run_id": run_id}


def since():
    """From when on a run counts for a sensor: where DAG runs have intervals, and where they have moments."""
    from airflow.sdk import timezone as moments

    from sealift.airflow import SealiftRunSensor

    due = moments.datetime(2026, 11, 29, 2)
    sensor = SealiftRunSensor(task_id="since", pipeline="crm")
    of_interval = {"data_interval_start": moments.datetime(2026, 11, 28, 2), "data_interval_end": due}
    of_moment = {"data_interval_start": due, "data_interval_end": due}
    return [sensor._since(context).isoformat() for context in (of_interval, of_moment)]


async def fired(trigger):
    """The event of a trigger, made anew of what Airflow keeps of it."""
    path, arguments = json.loads(json.dumps(trigger.serialize()))
    module, _, name = path.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    return [event.payload async for event in kind(**arguments).run()]


async def moved(client):
    """A triggerer stops while its trigger waits; another one goes on."""
    from sealift.airflow.polling import Polling
    from sealift.airflow.triggers import RunTrigger

    waits = asyncio.Event()
    run = Polling.run

    def told(*arguments):
        waits.set()
        return run(*arguments)

    with closed_gate(), mock.patch.object(Polling, "run", told):
        trigger = RunTrigger("sealift_default", client.trigger("gated"))
        task = asyncio.create_task(fired(trigger))
        await asyncio.wait([task, asyncio.create_task(waits.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.result()
        task.cancel()
        await asyncio.wait([task])
        run = client.run(trigger.run_id)
        assert not run.is_over, run
    events = await fired(trigger)
    shown = json.dumps(trigger.serialize()) + repr(trigger)
    return {"events": events, "run_id": trigger.run_id, "shows_token": environ["SEALIFT_TOKEN"] in shown}


async def killed(client):
    """What is cancelled when a task is killed: by its trigger, by its worker, and not where it is another's run."""
    from sealift.airflow import SealiftSyncOperator
    from sealift.airflow.triggers import RunTrigger

    ends = []
    for kill in ("trigger", "worker"):
        with closed_gate():
            run_id = client.trigger("gated")
            if kill == "trigger":
                await RunTrigger("sealift_default", run_id, cancel_on_kill=False).on_kill()
                assert not client.run(run_id).is_over
                await RunTrigger("sealift_default", run_id).on_kill()
            else:
                for join in (True, False):
                    operator = SealiftSyncOperator(task_id="sync", pipeline="gated", join=join)
                    operator._run_id = run_id
                    assert not client.run(run_id).is_over
                    await asyncio.to_thread(operator.on_kill)
            ends.append(client.wait(run_id, timeout=120).outcome)
    return ends


def provider():
    """What Airflow finds of the package by itself."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    return {"known": "sealift" in manager.providers, "hook": manager.hooks["sealift"].hook_class_name}


def main():
    client = sealift.Client()
    with contextlib.redirect_stdout(sys.stderr):
        airflow("db", "migrate")
        told = {
            "provider": provider(),
            "recipe": the_recipe(),
            "bad_ends": bad_ends(),
            "busy": a_busy_pipeline(client),
            "awaited": awaited(client),
            "since": since(),
            "moved": asyncio.run(moved(client)),
            "killed": asyncio.run(killed(client)),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
