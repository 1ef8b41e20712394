"""What the daemon tells of pipelines and runs, as types. Members that are not known are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sealift.errors import of_outcome

MOST_LOOKED_AT = 20
"""Runs of which one that succeeded is looked for."""


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


@dataclass(frozen=True)
class Stream:
    """What became of one stream of a run."""

    stream: str
    dataset: str
    state: str
    """``published``, ``failed``, ``held`` or ``cancelled``."""
    version: int | None
    """The version of the dataset that is visible."""
    rows: int
    bytes: int
    seconds: float
    quarantined: int = 0

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Stream:
        """From an answer of the daemon."""
        return cls(
            stream=said["stream"],
            dataset=said["dataset"],
            state=said["state"],
            version=said.get("version"),
            rows=said.get("rows") or 0,
            bytes=said.get("bytes") or 0,
            seconds=said.get("seconds") or 0.0,
            quarantined=said.get("quarantined") or 0,
        )


@dataclass(frozen=True)
class Run:
    """One execution of a pipeline."""

    run_id: str
    pipeline: str
    state: str
    """``queued``, ``running``, ``succeeded``, ``failed``, ``held`` or ``cancelled``."""
    outcome: str | None
    """``None`` until the run is over, then ``done`` or a word of the table of exit codes."""
    error: str | None
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    streams: tuple[Stream, ...]

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Run:
        """From an answer of the daemon."""
        return cls(
            run_id=said["run_id"],
            pipeline=said["pipeline"],
            state=said["state"],
            outcome=said.get("outcome"),
            error=said.get("error"),
            created_at=_instant(said.get("created_at")),
            started_at=_instant(said.get("started_at")),
            finished_at=_instant(said.get("finished_at")),
            streams=tuple(Stream.of(stream) for stream in said.get("streams") or ()),
        )

    @property
    def is_over(self) -> bool:
        """Whether it has an outcome."""
        return self.outcome is not None

    @property
    def is_done(self) -> bool:
        """Whether it succeeded."""
        return self.outcome == "done"

    def published(self, dataset: str) -> bool:
        """Whether it published the dataset, whatever became of its other streams."""
        return any(one.dataset == dataset and one.state == "published" for one in self.streams)

    def expect_done(self) -> Run:
        """The run itself, where it succeeded.

        Raises:
            SealiftError: of the kind of its outcome.

        """
        kind = of_outcome(self.outcome or "temporary")
        if kind is None:
            return self
        said = self.error or f"run {self.run_id} ended: {self.outcome or self.state}"
        # What a run records of its error ends with the remedy.
        message, _, remedy = said.partition("\nhelp: ")
        raise kind(f"{message}\n  in run {self.run_id}", remedy=remedy or None, run_id=self.run_id)

    def summary(self) -> dict[str, Any]:
        """The run in plain JSON types, for logs and for what comes after it."""
        said = asdict(self)
        for name in ("created_at", "started_at", "finished_at"):
            said[name] = said[name].isoformat() if said[name] else None
        said["streams"] = list(said["streams"])
        return said


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that the daemon serves."""

    name: str
    owner: str
    description: str | None
    cron: str | None
    timezone: str | None
    next_run_at: datetime | None
    active_run: str | None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Pipeline:
        """From an answer of the daemon."""
        schedule = said.get("schedule") or {}
        return cls(
            name=said["name"],
            owner=said["owner"],
            description=said.get("description"),
            cron=schedule.get("cron"),
            timezone=schedule.get("timezone"),
            next_run_at=_instant(said.get("next_run_at")),
            active_run=said.get("active_run"),
        )


def begun(runs: Iterable[Run], since: datetime) -> list[Run]:
    """Those of a listing that began at ``since`` or later, newest first; at most :data:`MOST_LOOKED_AT`.

    A run that began earlier read its source earlier.
    """
    later = (run for run in runs if run.started_at is not None and run.started_at >= since)
    return list(islice(later, MOST_LOOKED_AT))
