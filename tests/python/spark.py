"""Reads files that Sealift wrote with Spark, through the key client of clients/spark. Prints one JSON line.

  spark.py JAR KEYS OTHER_KEYS OPEN SEALED FILE…

KEYS are the released keys of the column SEALED, OTHER_KEYS those of another one. Everything happens in one Spark
session, so that no reader profits from what an earlier one was allowed.
"""

import hashlib
import json
import os
import sys

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

FACTORY = "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory"
CLIENT = "io.sealift.spark.ReleasedKeys"


def session(jar):
    builder = SparkSession.builder.master("local[1]").appName("sealift")
    options = {
        "spark.ui.enabled": "false",
        "spark.jars": jar,
        "spark.driver.memory": "700m",
        "spark.sql.shuffle.partitions": "1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def digest(values):
    return hashlib.sha256("\n".join(sorted(map(str, values))).encode()).hexdigest()


def as_reader(spark, token, keys):
    """From here on the session reads as somebody who holds these keys."""
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop.set("parquet.crypto.factory.class", FACTORY)
    hadoop.set("parquet.encryption.kms.client.class", CLIENT)
    # Clients are kept by access token: each reader has one of its own.
    hadoop.set("parquet.encryption.key.access.token", token)
    hadoop.set("sealift.keys.file", keys)


def column(spark, files, name):
    return [row[0] for row in spark.read.parquet(*files).select(name).collect()]


def refused(spark, files, name):
    """Why the column cannot be read, in the words of whatever refused; None where it can."""
    try:
        column(spark, files, name)
    except (Py4JJavaError, PySparkException) as error:
        return str(error)
    return None


def main(jar, keys, other_keys, open_column, sealed, *files):
    spark = session(jar)
    spark.sparkContext.setLogLevel("OFF")
    found = {"open": digest(column(spark, files, open_column))}
    found["without_keys"] = refused(spark, files, sealed)
    as_reader(spark, "other", other_keys)
    found["other_keys"] = refused(spark, files, sealed)
    as_reader(spark, "nobody", "")
    found["no_file"] = refused(spark, files, sealed)
    as_reader(spark, "reader", keys)
    found["sealed"] = digest(column(spark, files, sealed))
    found["rows"] = spark.read.parquet(*files).count()
    found["open_with_keys"] = digest(column(spark, files, open_column))
    print(json.dumps(found), flush=True)
    os._exit(0)


main(*sys.argv[1:])
