"""How late a daemon's schedule is when much falls due; see `run`."""

import argparse
import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PIPELINES = 10_000
EVERY_SECONDS = 100

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
listen: {{http: "127.0.0.1:{port}"}}
"""
POLICY = """apiVersion: sealift/v1
kind: Policy
name: due
unmatched: refuse
rules:
  - {tags: [public], action: allow}
"""
PIPELINE = """apiVersion: sealift/v1
kind: Pipeline
name: p{number}
owner: load
connection: drops
dataset: "p{number}.{{stream}}"
streams:
  rows: {{path: rows.csv, columns: {{"*": {{tag: public}}}}}}
schedule: {{every: 100s, anchor: "{anchor}"}}
"""


def furnish(work):
    shutil.rmtree(work, ignore_errors=True)
    (work / "drops").mkdir(parents=True)
    (work / "drops/rows.csv").write_text("id,city\n1,Bern\n")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (work / "sealift.yaml").write_text(CONFIG.format(port=port))
    (work / "policy.yaml").write_text(POLICY)
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    for number in range(PIPELINES):
        anchor = day + datetime.timedelta(seconds=number % EVERY_SECONDS)
        folder = work / f"pipelines/{number % 100}"
        folder.mkdir(parents=True, exist_ok=True)
        text = PIPELINE.format(number=number, anchor=anchor.strftime("%Y-%m-%dT%H:%M:%SZ"))
        (folder / f"p{number}.yaml").write_text(text)
    return port


def asked(port, path, token=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def histogram(text):
    """Turns by how late they were asked for, summed up, and their number."""
    found = re.findall(r'sealift_schedule_lag_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    return {float("inf") if most == "+Inf" else float(most): int(count) for most, count in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    work = args.work / "house"
    port = furnish(work)
    command = [os.environ["SEALIFT"], "--config", str(work / "sealift.yaml")]
    made = subprocess.run(
        [*command, "token", "create", "load", "--role", "scheduler", "--json"], check=True, capture_output=True, text=True
    )
    token = json.loads(made.stdout.splitlines()[-1])["token"]
    with open(work / "log", "w", encoding="utf-8") as log:
        begun = time.monotonic()
        daemon = subprocess.Popen([*command, "serve"], stdout=log, stderr=log)
    try:
        while True:
            try:
                asked(port, "/readyz")
                break
            except OSError:
                if daemon.poll() is not None or time.monotonic() - begun > 120:
                    sys.exit((work / "log").read_text()[-4000:])
                time.sleep(0.01)
        print(f"ready after {time.monotonic() - begun:.2f} s")
        time.sleep(args.seconds)
        text = asked(port, "/metrics", token)
    finally:
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
    late = histogram(text)
    turns = late[float("inf")]
    for most, count in sorted(late.items()):
        print(f"within {most:>6} s {count:8}")
    done = sum(int(count) for count in re.findall(r'sealift_runs_total\{[^}]*outcome="done"[^}]*\} (\d+)', text))
    print(f"{turns} turns asked for in {args.seconds} s, {done} runs done")
    if turns < 95 * args.seconds:
        sys.exit(f"{turns} turns are less than 95 in a second")
    if late[1.0] < turns:
        sys.exit(f"{turns - late[1.0]} turns were asked for a second late or later")


main()
