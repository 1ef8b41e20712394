"""A load that is killed and goes on: what of it is read a second time; fails when that is more than 35 % of the rows.
See `run` beside this file."""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

FILES = 30
# Most of the rows that may be read again: the 30 % that were not read, and the part that was cut off.
MOST_AGAIN = 0.35

POLICY = """apiVersion: sealift/v1
kind: Policy
name: resume
rules:
  - {tags: ["pii.*"], action: encrypt}
  - {tags: [internal], action: allow}
"""
CONFIG = """apiVersion: sealift/v1
kind: Config
pipelines: pipelines
policy: policy.yaml
metadata: {sqlite: var/sealift.db}
keys: {file: {path: var/keys}}
stores: {lake: {url: "file:lake"}}
connections: {drops: {files: {root: drops}}}
"""
PIPELINE = """apiVersion: sealift/v1
kind: Pipeline
name: load
owner: benches
connection: drops
dataset: "load.{stream}"
streams:
  people:
    path: "people*.csv"
    parquet: {file_size: 256MiB}
    columns: {name: {tag: pii.name}, "*": {tag: internal}}
"""


def write(work: Path, rows: int) -> None:
    drops = work / "drops"
    drops.mkdir(parents=True)
    each = rows // FILES
    for file in range(FILES):
        program = (
            'BEGIN { print "id,name,balance,since,note"; for (i = first; i < first + each; i++)'
            ' printf "%d,Name %d of %d,%d.%02d,20%02d-%02d-%02d,note number %d on the account of this customer\\n",'
            " i, (i * 7919) % 1000003, i % 97, i % 99991, i % 100, i % 25, i % 12 + 1, i % 28 + 1, (i * 31) % 1000033 }"
        )
        with (drops / f"people{file:02}.csv").open("w") as out:
            command = ["awk", "-v", f"first={file * each}", "-v", f"each={each}", program]
            subprocess.run(command, stdout=out, check=True)
    (work / "pipelines").mkdir()
    for name, text in [("policy.yaml", POLICY), ("sealift.yaml", CONFIG), ("pipelines/load.yaml", PIPELINE)]:
        (work / name).write_text(text)


def kept(work: Path) -> tuple[int, int]:
    """Parts that the ledger lists, and their rows."""
    database = work / "var/sealift.db"
    if not database.exists():
        return (0, 0)
    with sqlite3.connect(database) as ledger:
        try:
            return ledger.execute("SELECT count(*), coalesce(sum(rows), 0) FROM run_parts").fetchone()
        except sqlite3.OperationalError:
            return (0, 0)


def lake_bytes(work: Path) -> int:
    return sum(file.stat().st_size for file in (work / "lake").rglob("part-*.parquet*") if file.exists())


def forget(work: Path) -> None:
    for folder in ["lake", "var"]:
        shutil.rmtree(work / folder, ignore_errors=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--rows", type=int, default=30_000_000)
    arguments.add_argument("--kill-at", type=float, default=0.7, help="share of the rows that are read by then")
    options = arguments.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    write(options.work, options.rows)
    sync = [os.environ["SEALIFT"], "--config", str(options.work / "sealift.yaml"), "--json", "sync", "load"]

    # What the whole load writes: how much is there tells how many of the rows are read.
    subprocess.run(sync, capture_output=True, check=True)
    whole = lake_bytes(options.work)
    forget(options.work)

    began = time.monotonic()
    first = subprocess.Popen(sync, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while first.poll() is None and lake_bytes(options.work) < options.kill_at * whole:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    killed = time.monotonic() - began
    parts, rows = kept(options.work)

    began = time.monotonic()
    second = subprocess.run(sync, capture_output=True, text=True, check=True)
    took = time.monotonic() - began
    said = next((line for line in second.stderr.splitlines() if "goes on" in line), "it did not go on")
    published = json.loads(second.stdout.splitlines()[-1])["streams"][0]["rows"]
    print(f"killed after {killed:.1f} s, {options.kill_at:.0%} of {options.rows:,} rows read; kept {parts} parts of {rows:,} rows")
    print(f"second run: {took:.1f} s, published {published:,} rows; {said.strip()}")
    again = 1 - rows / options.rows
    print(f"read again: {again:.1%} of the rows")
    shutil.rmtree(options.work)
    if "goes on" not in said or again > MOST_AGAIN:
        raise SystemExit(f"more than {MOST_AGAIN:.0%} of the rows were read again")


if __name__ == "__main__":
    main()
