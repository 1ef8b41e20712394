"""Asks a Sealift daemon for runs of its pipelines, and waits for their end.

The core needs nothing but Python's standard library. :mod:`sealift.airflow` and :mod:`sealift.dagster` need
Airflow and Dagster, and are imported by name.
"""

from sealift.client import Client
from sealift.errors import (
    BadData,
    Cancelled,
    Conflict,
    Denied,
    Failed,
    Held,
    Invalid,
    NotFound,
    NotOver,
    SealiftError,
    Temporary,
    Unauthorized,
    Unreachable,
    Usage,
)
from sealift.runs import Pipeline, Run, Stream

__all__ = [
    "BadData",
    "Cancelled",
    "Client",
    "Conflict",
    "Denied",
    "Failed",
    "Held",
    "Invalid",
    "NotFound",
    "NotOver",
    "Pipeline",
    "Run",
    "SealiftError",
    "Stream",
    "Temporary",
    "Unauthorized",
    "Unreachable",
    "Usage",
]
