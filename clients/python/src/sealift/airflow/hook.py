"""A daemon, as an Airflow connection names it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sealift.access import Access
from sealift.airflow.versions import AirflowException, AirflowFailException, BaseHook, Connection
from sealift.client import Client
from sealift.errors import Invalid, SealiftError


class SealiftHook(BaseHook):
    """Makes clients from an Airflow connection of type ``sealift``.

    Host is the daemon's URL, or a host beside schema (``https`` unless it says otherwise) and port. Password is the
    token. Extra may hold ``ca_file``, the certificates (PEM) of the authorities to trust.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "sealift_default"
    conn_type = "sealift"
    hook_name = "Sealift"

    def __init__(self, conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id

    def get_conn(self) -> Client:
        """A client of the daemon.

        Raises:
            Invalid: when the connection's URL or token cannot be used.

        """
        return Client(**_settings(self.get_connection(self.conn_id)))

    async def access(self) -> Access:
        """As :meth:`get_conn`, for those who ask without blocking, as triggers do."""
        if hasattr(self, "aget_connection"):
            connection = await self.aget_connection(self.conn_id)
        else:
            connection = await asyncio.to_thread(self.get_connection, self.conn_id)
        return Access(**_settings(connection))

    def test_connection(self) -> tuple[bool, str]:
        """Whether the daemon answers to the token, and what it said."""
        try:
            pipelines = self.get_conn().pipelines()
        except SealiftError as error:
            return False, str(error)
        return True, f"the daemon serves {len(pipelines)} pipelines"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """How the form of a connection looks."""
        return {
            "hidden_fields": ["login"],
            "relabeling": {"host": "URL or host", "schema": "https or http", "password": "Token"},
            "placeholders": {"host": "https://sealift.example.com:8470", "extra": '{"ca_file": "/…/ca.pem"}'},
        }


def _settings(connection: Connection) -> dict[str, Any]:
    """URL, token and trust, as the connection has them: nothing is taken from the environment instead."""
    name = connection.conn_id
    if not connection.host:
        raise Invalid(f"the Airflow connection {name} has no host", remedy="write the daemon's URL as host")
    if not connection.password:
        raise Invalid(f"the Airflow connection {name} has no password", remedy="write the token as password")
    host = connection.host
    if "://" in host:
        url = host
    else:
        host = f"[{host}]" if ":" in host else host
        url = f"{connection.schema or 'https'}://{host}"
    if connection.port:
        url = f"{url.rstrip('/')}:{connection.port}"
    return {"url": url, "token": connection.password, "ca_file": _ca_file(connection)}


def _ca_file(connection: Connection) -> str | None:
    # Not `extra_dejson`, which talks to the supervisor in a way that a triggerer's event loop forbids.
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise Invalid(f"the extra of the Airflow connection {connection.conn_id} is not a JSON object")
    ca_file = extra.get("ca_file")
    return None if ca_file is None else str(ca_file)


@contextmanager
def outcomes() -> Iterator[None]:
    """What fails inside, as Airflow's: tried again where that can help, else failed at once."""
    try:
        yield
    except SealiftError as error:
        kind = AirflowException if error.retry else AirflowFailException
        raise kind(f"{error.outcome}: {error}") from error
