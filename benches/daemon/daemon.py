"""Time to readiness and idle memory of a daemon that knows many pipelines."""

import argparse
import datetime
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

SEALIFT = os.environ["SEALIFT"]
# By number of pipelines: most seconds until it is ready, and most MB (10^6 bytes) when idle.
BOUNDS = {1_000: (1.0, None), 10_000: (3.0, 150.0)}
TEAMS = 100
PATIENCE_SECONDS = 120

CONFIG = """apiVersion: sealift/v1
kind: Config
pipelines: pipelines
policy: policy.yaml
metadata: {{sqlite: var/sealift.db}}
keys: {{file: {{path: var/keys}}}}
stores:
  lake: {{url: "file:lake"}}
connections:
  drops: {{files: {{root: drops}}}}
{connections}listen: {{http: "127.0.0.1:{port}"}}
"""
CONNECTION = """  team{team}_db: {{postgres: {{host: db{team}.example, database: team{team}, user: sealift, password: "env:NONE"}}}}
"""
POLICY = """apiVersion: sealift/v1
kind: Policy
name: many-1
unmatched: refuse
rules:
  - {tags: ["pii.*", "financial.*"], action: encrypt}
  - {tags: [pii.email], action: {tokenize: {join_domain: customer}}}
  - {tags: [public, internal], action: allow}
"""
PIPELINE = """apiVersion: sealift/v1
kind: Pipeline
name: team{team}-p{number}
owner: team{team}
description: Customers and orders of region {number}, for churn modelling
connection: team{team}_db
dataset: "team{team}.{{table}}_{number}"
defaults: {{sync_mode: incremental, write_mode: merge}}
streams:
  public.customers:
    cursor_field: updated_at
    primary_key: [id]
    transform: |
      SELECT id, lower(email) AS email, country, updated_at FROM source WHERE deleted_at IS NULL
    columns: {{email: {{tag: pii.email}}, "*": {{tag: internal}}}}
schedule: {{cron: "{minute} {hour} * * *", timezone: Europe/Zurich}}
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def furnish(folder, pipelines):
    """A house of its own, and the port its daemon listens at."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "drops").mkdir(parents=True)
    port = free_port()
    connections = "".join(CONNECTION.format(team=team) for team in range(TEAMS))
    (folder / "sealift.yaml").write_text(CONFIG.format(connections=connections, port=port))
    (folder / "policy.yaml").write_text(POLICY)
    # Nothing may fall due while it is measured.
    now = datetime.datetime.now(datetime.timezone.utc)
    for number in range(pipelines):
        team = number % TEAMS
        at = now + datetime.timedelta(hours=6 + number % 12)
        place = folder / "pipelines" / f"team{team}"
        place.mkdir(parents=True, exist_ok=True)
        text = PIPELINE.format(team=team, number=number, minute=number % 60, hour=at.hour)
        (place / f"p{number}.yaml").write_text(text)
    return port


def ready(port):
    """What a ready daemon says; None while it is not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def kib(path, name):
    """A line of a file of /proc, in KiB; None where only others may read it."""
    try:
        lines = Path(path).read_text().splitlines()
    except PermissionError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(folder, port, pipelines, idle_seconds):
    """Seconds to readiness, then resident and proportional MB after a while of doing nothing."""
    with open(folder / "log", "w", encoding="utf-8") as log:
        begun = time.monotonic()
        command = [SEALIFT, "--config", str(folder / "sealift.yaml"), "serve"]
        daemon = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
    try:
        while not (said := ready(port)):
            if daemon.poll() is not None or time.monotonic() - begun > PATIENCE_SECONDS:
                raise SystemExit((folder / "log").read_text()[-4000:] or "the daemon does not get ready")
            time.sleep(0.005)
        seconds = time.monotonic() - begun
        if said["pipelines"] != pipelines:
            raise SystemExit(f"{said['pipelines']} of {pipelines} pipelines are in force: see {folder / 'log'}")
        time.sleep(idle_seconds)
        resident = kib(f"/proc/{daemon.pid}/status", "VmRSS")
        proportional = kib(f"/proc/{daemon.pid}/smaps_rollup", "Pss")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)
    return seconds, resident * 1024 / 1e6, (proportional or 0) * 1024 / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, nargs="+", default=list(BOUNDS), help="numbers of documents")
    parser.add_argument("--runs", type=int, default=5, help="starts for each number")
    parser.add_argument("--idle-seconds", type=float, default=5, help="time before the memory is read")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    misses = []
    print(f"{'pipelines':>10}{'ready s':>10}{'RSS MB':>10}{'PSS MB':>10}")
    for pipelines in args.pipelines:
        folder = args.work / f"house-{pipelines}"
        port = furnish(folder, pipelines)
        # The first start makes ledger and keys.
        measure(folder, port, pipelines, 0)
        runs = [measure(folder, port, pipelines, args.idle_seconds) for _ in range(args.runs)]
        seconds, resident, proportional = (statistics.median(column) for column in zip(*runs))
        print(f"{pipelines:10,}{seconds:10.2f}{resident:10.1f}{proportional:10.1f}", flush=True)
        most_seconds, most_mb = BOUNDS.get(pipelines, (None, None))
        if most_seconds and seconds >= most_seconds:
            misses.append(f"{pipelines} pipelines: ready after {seconds:.2f} s, not within {most_seconds:.0f} s")
        if most_mb and resident >= most_mb:
            misses.append(f"{pipelines} pipelines: {resident:.0f} MB when idle, not below {most_mb:.0f} MB")
    print(f"medians of {args.runs} starts")
    if misses:
        raise SystemExit("\n".join(misses))


if __name__ == "__main__":
    main()
