"""The names of Airflow that we use, from where its version has them: the Task SDK of 3.x, else the places of 2.x."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator, Connection, Context
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
else:
    try:
        from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator, Connection, Context
    except ImportError:
        from airflow.hooks.base import BaseHook
        from airflow.models import BaseOperator, Connection
        from airflow.sensors.base import BaseSensorOperator
        from airflow.utils.context import Context
    try:
        from airflow.sdk.configuration import conf
    except ImportError:
        from airflow.configuration import conf
    try:
        from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout
    except ImportError:
        from airflow.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "BaseHook",
    "BaseOperator",
    "BaseSensorOperator",
    "Connection",
    "Context",
    "conf",
]


def deferrable_by_default() -> bool:
    """Whether this Airflow's configuration says that operators defer unless told otherwise."""
    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
