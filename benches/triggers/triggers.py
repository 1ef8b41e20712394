"""Load on the trigger API beside two syncs; see `run`."""

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CONNECTIONS = 32
# What an answer takes, about: so much less a connection of wrk rests.
EXPECTED_MS = 7
BIG = ("big_a", "big_b")
# Object storage is elsewhere: what the syncs write must not be what the metadata store waits for.
MEMORY = Path("/dev/shm/sealift-triggers")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rate", type=int, default=500, help="requests a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60_000_000, help="rows of each large sync")
    parser.add_argument("--lake", type=Path, help="where the syncs publish; in memory where the machine lets it")
    parser.add_argument("--limit-ms", type=float, default=20.0)
    parser.add_argument("--wrk", type=int, default=0, help="seconds for which wrk asks at this rate after that")
    return parser.parse_args()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pipeline(name, file):
    return (
        f"apiVersion: sealift/v1\nkind: Pipeline\nname: {name}\nowner: load\nconnection: drops\n"
        f'dataset: "{name}.{{stream}}"\nstreams:\n  rows:\n    path: {file}\n'
        '    columns: {name: {tag: pii.name}, "*": {tag: public}}\n'
    )


def big_source(path, rows):
    """A CSV of so many rows, kept between runs of this program."""
    if path.exists() and path.with_suffix(".rows").exists() and path.with_suffix(".rows").read_text() == str(rows):
        return
    dice = random.Random(7)
    block = "".join(f"{dice.randrange(10**9)},{dice.randbytes(8).hex()},{dice.random():.6f}\n" for _ in range(100_000))
    with path.open("w") as out:
        out.write("id,name,score\n")
        for _ in range(rows // 100_000):
            out.write(block)
    path.with_suffix(".rows").write_text(str(rows))


def house(work, lake, port, small, rows):
    for folder in (work / "in", work / "out", lake):
        shutil.rmtree(folder, ignore_errors=True)
    drops = work / "drops"
    drops.mkdir(parents=True, exist_ok=True)
    big_source(drops / "big.csv", rows)
    write(drops / "small.csv", "id,name,score\n1,a,2\n")
    write(
        work / "in/sealift.yaml",
        "apiVersion: sealift/v1\nkind: Config\npipelines: pipelines\npolicy: policy.yaml\n"
        "metadata: {sqlite: ../out/sealift.db}\nkeys: {file: {path: ../out/keys}}\n"
        f'stores:\n  lake: {{url: "file:{lake}"}}\n'
        "connections:\n  drops: {files: {root: ../drops}}\n"
        f'listen: {{http: "127.0.0.1:{port}"}}\n',
    )
    write(
        work / "in/policy.yaml",
        "apiVersion: sealift/v1\nkind: Policy\nname: load\nunmatched: refuse\nrules:\n"
        '  - {tags: ["pii.*"], action: encrypt}\n  - {tags: [public], action: allow}\n',
    )
    for name in BIG:
        write(work / f"in/pipelines/{name}.yaml", pipeline(name, "big.csv"))
    for number in range(small):
        write(work / f"in/pipelines/many/{number // 500}/p{number}.yaml", pipeline(f"p{number}", "small.csv"))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Daemon:
    def __init__(self, work, port):
        self.base = f"http://127.0.0.1:{port}"
        self.command = [os.environ["SEALIFT"], "--config", str(work / "in/sealift.yaml")]
        made = subprocess.run(
            [*self.command, "token", "create", "load", "--role", "scheduler", "--json"],
            check=True, capture_output=True, text=True,
        )
        self.token = json.loads(made.stdout.splitlines()[-1])["token"]
        self.log = (work / "out/serve.log").open("w")
        self.process = subprocess.Popen([*self.command, "serve"], stderr=self.log, stdout=self.log)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.base}/readyz", timeout=5)
                return
            except OSError:
                time.sleep(0.02)
        sys.exit("the daemon is not ready after a minute")

    def ask(self, method, path):
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def state(self, run_id):
        return self.ask("GET", f"/v1/runs/{run_id}")["state"]

    def end(self):
        self.process.kill()
        self.process.wait()


async def connection(port, token, queue, told):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    while (asked := await queue.get()) is not None:
        due, name = asked
        writer.write(
            f"POST /v1/pipelines/{name}/runs HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
            f"idempotency-key: {name}\r\ncontent-length: 0\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if ": " in line)
        await reader.readexactly(int(fields["content-length"]))
        told.append((loop.time() - due, int(head.split(b" ", 2)[1])))
    writer.close()


async def load(port, token, rate, seconds):
    queue, told = asyncio.Queue(), []
    connections = [asyncio.create_task(connection(port, token, queue, told)) for _ in range(CONNECTIONS)]
    loop = asyncio.get_running_loop()
    begun = loop.time() + 0.1
    for number in range(rate * seconds):
        due = begun + number / rate
        if (left := due - loop.time()) > 0:
            await asyncio.sleep(left)
        queue.put_nowait((due, f"p{number}"))
    for _ in connections:
        queue.put_nowait(None)
    await asyncio.gather(*connections)
    return told, loop.time() - begun


def by_wrk(args, port, token):
    """The same rate by wrk, for pipelines that were not asked for before; each connection rests between two requests."""
    script = Path(__file__).with_name("keys.lua")
    rest_ms = 1000 * CONNECTIONS / args.rate - EXPECTED_MS
    said = [str(args.rate * args.seconds), str(args.wrk * args.rate * 2), f"{rest_ms:.0f}"]
    load = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{args.wrk}s", "--latency", "-s", script]
    load += [f"http://127.0.0.1:{port}", "--", token, *said]
    lines = subprocess.run(load, check=True, capture_output=True, text=True).stdout.splitlines()
    wanted = ("50%", "99%", "Requests/sec", "Non-2xx")
    print("wrk: " + ", ".join(" ".join(line.split()) for line in lines if any(word in line for word in wanted)), flush=True)


def one(args):
    port = free_port()
    lake = args.lake or (MEMORY if MEMORY.parent.is_dir() else args.work / "out/lake")
    house(args.work, lake, port, args.rate * (args.seconds + 2 * args.wrk), args.rows)
    (args.work / "out").mkdir(exist_ok=True)
    daemon = Daemon(args.work, port)
    try:
        big = [daemon.ask("POST", f"/v1/pipelines/{name}/runs")["run_id"] for name in BIG]
        while [daemon.state(run_id) for run_id in big] != ["running", "running"]:
            time.sleep(0.02)
        told, took = asyncio.run(load(port, daemon.token, args.rate, args.seconds))
        if args.wrk:
            by_wrk(args, port, daemon.token)
        still = [daemon.state(run_id) for run_id in big]
    finally:
        daemon.end()
        shutil.rmtree(lake, ignore_errors=True)
    times = sorted(1000 * latency for latency, _ in told)
    refused = sum(status != 202 for _, status in told)
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    figures = (len(told) / took, at(0.5), at(0.99), times[-1])
    print(f"{figures[0]:9.0f} {figures[1]:8.2f} {figures[2]:8.2f} {figures[3]:8.2f} {refused:8}  {', '.join(still)}", flush=True)
    return (*figures, refused, still)


def main():
    args = arguments()
    print("  asked/s   p50 ms   p99 ms   max ms  refused  the two syncs at the end")
    runs = [one(args) for _ in range(args.runs)]
    p99 = statistics.median(run[2] for run in runs)
    print(f"median p99 {p99:.2f} ms at {args.rate} requests a second")
    if p99 >= args.limit_ms:
        sys.exit(f"a trigger takes {p99:.1f} ms, above {args.limit_ms:.0f} ms")
    if any(run[4] for run in runs):
        sys.exit("requests were refused")
    if any(run[5] != ["running", "running"] for run in runs):
        sys.exit("a sync was over too early: give more --rows")


main()
