"""Materialises the assets of a pipeline in process with a real Dagster, and prints what it recorded as one JSON line.

SEALIFT_URL and SEALIFT_TOKEN name the daemon, SEALIFT_RECIPE is the file of definitions of the page of schedulers; the
pipelines are those of clients/python/tests/test_daemon.py, and `crm`.
"""

import contextlib
import json
import os
import runpy
import sys

import dagster

sys.path.insert(0, os.environ["SEALIFT_CLIENT_TESTS"])

from test_daemon import closed_gate  # noqa: E402

import sealift  # noqa: E402
from sealift.dagster import SealiftResource, build_sealift_assets, sealift_asset  # noqa: E402

RESOURCE = SealiftResource(url=os.environ["SEALIFT_URL"], token=os.environ["SEALIFT_TOKEN"])


def recorded(result):
    """What Dagster recorded of each asset."""
    assets = {}
    for event in result.get_asset_materialization_events():
        said = event.materialization
        values = {name: value.value for name, value in said.metadata.items()}
        assets[said.asset_key.to_user_string()] = values | {"data_version": said.tags.get("dagster/data_version")}
    return assets


def materialised(assets):
    with dagster.DagsterInstance.ephemeral() as instance:
        result = dagster.materialize([assets], instance=instance, resources={"sealift": RESOURCE}, raise_on_error=False)
        kinds = [event.event_type_value for event in result.all_events]
        failed = [event.event_specific_data.error.message for event in result.get_step_failure_events()]
        told = [event.event_specific_data.user_failure_data for event in result.get_step_failure_events()]
        failed += [said.description for said in told if said]
        return {
            "success": result.success,
            "assets": recorded(result),
            "restarts": kinds.count("STEP_RESTARTED"),
            "failed": failed,
        }


def the_recipe():
    """The definitions of the page of schedulers, all of their assets."""
    defs = runpy.run_path(os.environ["SEALIFT_RECIPE"])["defs"]
    with dagster.DagsterInstance.ephemeral() as instance:
        result = defs.get_implicit_global_asset_job_def().execute_in_process(instance=instance)
        return {"success": result.success, "assets": recorded(result)}


def busy(client):
    """The first try finds another run; a later one has its turn."""
    gate = contextlib.ExitStack()
    gate.enter_context(closed_gate())
    other = client.trigger("gated")
    tries = iter([None])

    class MakesWay(SealiftResource):
        """Opens the gate when the second try begins."""

        def client(self):
            with contextlib.suppress(StopIteration):
                next(tries)
                return super().client()
            gate.close()
            client.wait(other, timeout=120)
            return super().client()

    asset = sealift_asset("gated", "gated.rows", retry_seconds=0)
    resource = MakesWay(url=RESOURCE.url, token=RESOURCE.token)
    with dagster.DagsterInstance.ephemeral() as instance:
        result = dagster.materialize([asset], instance=instance, resources={"sealift": resource}, raise_on_error=False)
        kinds = [event.event_type_value for event in result.all_events]
        return {"success": result.success, "restarts": kinds.count("STEP_RESTARTED"), "other": other}


def interrupted():
    """A step is interrupted, and its run cannot be cancelled: it ends, and asks for nothing more."""
    asked = []

    class Daemon:
        """Has a run that is over when it is to be stopped."""

        def trigger(self, *_, **__):
            asked.append("trigger")
            return "r1"

        def wait(self, *_):
            asked.append("wait")
            raise dagster.DagsterExecutionInterruptedError

        def cancel(self, _):
            asked.append("cancel")
            raise sealift.Conflict("the run is over")

    class Interrupted(SealiftResource):
        """A daemon whose runs are not awaited to their end."""

        def client(self):
            return Daemon()

    resources = {"sealift": Interrupted(url=RESOURCE.url, token=RESOURCE.token)}
    asset = sealift_asset("daily", "daily.rows", retry_seconds=0)
    with dagster.DagsterInstance.ephemeral() as instance, contextlib.suppress(dagster.DagsterExecutionInterruptedError):
        dagster.materialize([asset], instance=instance, resources=resources, raise_on_error=False)
    return asked


def main():
    client = sealift.Client()
    with contextlib.redirect_stdout(sys.stderr):
        told = {
            "recipe": the_recipe(),
            "held": materialised(sealift_asset("held", "held.rows")),
            "missing": materialised(build_sealift_assets("daily", ["daily.rows", "daily.others"])),
            "busy": busy(client),
            "interrupted": interrupted(),
            "shows_token": os.environ["SEALIFT_TOKEN"] in repr(RESOURCE) + str(RESOURCE),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
