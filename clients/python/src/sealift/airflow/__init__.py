"""Sealift from Airflow 3: an operator that asks for a run, and a sensor that waits for one.

Both can be deferrable. The connection (type ``sealift``) holds the daemon's URL as host and the token as password.
"""

from sealift.airflow.hook import SealiftHook
from sealift.airflow.operator import SealiftSyncOperator
from sealift.airflow.sensor import SealiftRunSensor

__all__ = ["SealiftHook", "SealiftRunSensor", "SealiftSyncOperator"]
