"""What Airflow is told of this package when it looks for providers; imports nothing of Airflow."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

NAME = "Sealift"


def get_provider_info() -> dict[str, Any]:
    """The package as a provider of Airflow: its connection type, hook, operator, sensor and triggers."""
    try:
        ours = version("sealift")
    except PackageNotFoundError:
        ours = "0"

    def modules(name: str) -> list[dict[str, Any]]:
        return [{"integration-name": NAME, "python-modules": [f"sealift.airflow.{name}"]}]

    return {
        "package-name": "sealift",
        "name": NAME,
        "description": "Asks a Sealift daemon for runs, and waits for their end.",
        "versions": [ours],
        "integrations": [{"integration-name": NAME, "external-doc-url": "", "tags": ["service"]}],
        "operators": modules("operator"),
        "sensors": modules("sensor"),
        "hooks": modules("hook"),
        "triggers": modules("triggers"),
        "connection-types": [{"connection-type": "sealift", "hook-class-name": "sealift.airflow.hook.SealiftHook"}],
    }
