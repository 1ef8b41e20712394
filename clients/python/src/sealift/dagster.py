"""Sealift from Dagster: assets that a pipeline publishes."""

from collections.abc import Iterator, Sequence
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    ConfigurableResource,
    DagsterExecutionInterruptedError,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
    RetryRequested,
    multi_asset,
)
from pydantic import Field

from sealift.client import Client
from sealift.errors import SealiftError
from sealift.runs import Run, Stream

__all__ = ["SealiftResource", "build_sealift_assets", "sealift_asset"]


class SealiftResource(ConfigurableResource):  # type: ignore[type-arg]
    """A daemon. Give the token as ``EnvVar("SEALIFT_TOKEN")``, so that Dagster shows the variable's name only."""

    url: str = Field(default="http://127.0.0.1:8470", description="The daemon's URL.")
    token: str = Field(repr=False, description="A token of role scheduler or engineer.")
    ca_file: str | None = Field(default=None, description="Certificates (PEM) to trust instead of the system's.")

    def client(self) -> Client:
        """A client of the daemon.

        Raises:
            Invalid: when URL or token cannot be used.

        """
        return Client(self.url, self.token, self.ca_file)


def build_sealift_assets(
    pipeline: str,
    datasets: Sequence[str],
    *,
    name: str | None = None,
    group_name: str | None = None,
    key_prefix: Sequence[str] = (),
    deps: Sequence[Any] = (),
    timeout: float | None = None,
    join: bool = False,
    max_retries: int = 3,
    retry_seconds: float = 60.0,
) -> AssetsDefinition:
    """Assets that one run of a pipeline publishes: ``crm.customers`` is the asset ``["crm", "customers"]``.

    They are materialised together. Each says its rows, bytes, version and run; the version of the dataset is the
    data version of the asset. What can pass is tried again within the Dagster run, under the same idempotency key;
    what cannot fails at once. A step that is interrupted cancels its run.

    Args:
        pipeline: its name.
        datasets: that it publishes, as ``namespace.name``; a run that publishes one of them not, fails the step.
        name: of the step; by default the pipeline's, with underscores.
        group_name: of the assets.
        key_prefix: parts before those of the dataset.
        deps: what the assets depend on.
        timeout: seconds to wait at most for one try.
        join: take a run that the pipeline has already for the one that is wanted.
        max_retries: tries after the first, of what can pass.
        retry_seconds: between tries.

    Returns:
        A definition that needs a :class:`SealiftResource` under the key ``sealift``.

    """
    step = name or "".join(c if c.isalnum() else "_" for c in pipeline)
    keys = {dataset: AssetKey([*key_prefix, *dataset.split(".")]) for dataset in datasets}
    specs = [
        AssetSpec(key, group_name=group_name, deps=deps, kinds={"sealift"}, metadata={"sealift/pipeline": pipeline})
        for key in keys.values()
    ]

    @multi_asset(name=step, specs=specs)
    def assets(context: AssetExecutionContext, sealift: SealiftResource) -> Iterator[MaterializeResult[Any]]:
        # Tries of one Dagster run want the same run.
        key = f"dagster-{context.run_id}-{step}"
        try:
            run = _synced(context, sealift.client(), pipeline, key, timeout, join)
        except SealiftError as error:
            if error.retry:
                raise RetryRequested(max_retries, retry_seconds) from error
            raise Failure(f"{error.outcome}: {error}", allow_retries=False) from error
        published = {one.dataset: one for one in run.streams if one.state == "published"}
        missing = sorted(set(keys) - set(published))
        if missing:
            raise Failure(f"run {run.run_id} did not publish {', '.join(missing)}", allow_retries=False)
        for dataset, asset in keys.items():
            yield _result(asset, run, published[dataset])

    return assets


def sealift_asset(pipeline: str, dataset: str, **settings: Any) -> AssetsDefinition:
    """As :func:`build_sealift_assets`, of a pipeline's only dataset."""
    return build_sealift_assets(pipeline, [dataset], **settings)


def _synced(
    context: AssetExecutionContext,
    client: Client,
    pipeline: str,
    key: str,
    timeout: float | None,
    join: bool,
) -> Run:
    run_id = client.trigger(pipeline, key, join=join)
    context.log.info(f"run {run_id} of pipeline {pipeline}")
    try:
        return client.wait(run_id, timeout).expect_done()
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        if not join:
            _stop(context, client, run_id)
        raise


def _stop(context: AssetExecutionContext, client: Client, run_id: str) -> None:
    """Stop the run, as far as that can be: what stands in the way must not take the place of the interrupt."""
    try:
        client.cancel(run_id)
    except SealiftError as error:
        context.log.warning(f"run {run_id} was not cancelled: {error}")


def _result(asset: AssetKey, run: Run, stream: Stream) -> MaterializeResult[Any]:
    metadata: dict[str, Any] = {
        "dagster/row_count": stream.rows,
        "sealift/dataset": stream.dataset,
        "sealift/version": stream.version,
        "sealift/bytes": stream.bytes,
        "sealift/quarantined": stream.quarantined,
        "sealift/seconds": MetadataValue.float(stream.seconds),
        "sealift/run_id": run.run_id,
    }
    return MaterializeResult(asset_key=asset, metadata=metadata, data_version=DataVersion(str(stream.version)))
