"""Runs every tool on the same table in turn and prints one table with ratios. See `run`."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from servers import KINDS, PASSWORD, lineitem_csv

HERE = Path(__file__).parent
ROWS = {1: 6_001_215, 5: 29_999_795}

POLICY = """apiVersion: sealift/v1
kind: Policy
name: bench
unmatched: refuse
rules:
  - {tags: [sealed], action: encrypt}
  - {tags: [open], action: allow}
"""


def connection(source, server):
    if source == "csv":
        return f"files: {{root: {server.folder}}}"
    kind, user = {"postgres": ("postgres", "postgres"), "mariadb": ("mysql", "bench")}[source]
    where = f"host: 127.0.0.1, port: {server.port}, database: bench, user: {user}"
    return f'{kind}: {{{where}, password: "env:PASSWORD", tls: disable}}'


def stream(source, csv):
    return {
        "postgres": "public.lineitem: {",
        "mariadb": "bench.lineitem: {",
        "csv": f"lineitem: {{path: {csv.name}, ",
    }[source]


def furnish(folder, source, server, csv, memory_limit_mb):
    """Sealift's documents: the same stream with every column encrypted, and with none."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pipelines").mkdir(parents=True)
    limit = f"memory_limit_mb: {memory_limit_mb}\n" if memory_limit_mb else ""
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "sealift.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Config\npipelines: pipelines\npolicy: policy.yaml\n"
        "metadata: {sqlite: var/sealift.db}\nkeys: {file: {path: var/keys}}\n"
        'stores: {lake: {url: "file:lake"}}\n'
        f"{limit}connections:\n  db: {{{connection(source, server)}}}\n"
    )
    for name, tag in (("sealed", "sealed"), ("open", "open")):
        (folder / "pipelines" / f"{name}.yaml").write_text(
            f"apiVersion: sealift/v1\nkind: Pipeline\nname: {name}\nowner: bench\nconnection: db\n"
            f'dataset: "bench.{name}"\nstreams:\n  {stream(source, csv)}columns: {{"*": {{tag: {tag}}}}}}}\n'
        )


def drain(server):
    """Two binary COPYs to nowhere: what the source needs to hand the table over."""
    psql = f"psql -q -h 127.0.0.1 -p {server.port} -U postgres -d bench"
    middle = "(SELECT format('(%s,0)', pg_relation_size('lineitem') / 8192 / 2)::tid)"
    halves = (f"ctid < {middle}", f"ctid >= {middle}")
    copies = [
        f'{psql} -c "COPY (SELECT * FROM lineitem WHERE {half}) TO STDOUT (FORMAT binary)" > /dev/null &' for half in halves
    ]
    return ["bash", "-c", "\n".join([*copies, "wait"])]


def odbc2parquet(source, server, out):
    driver, extra = {
        "postgres": ("PostgreSQL Unicode", f"Database=bench;Uid=postgres;Pwd={PASSWORD};UseDeclareFetch=1;Fetch=10000;"),
        "mariadb": ("MariaDB Unicode", f"Database=bench;Uid=bench;Pwd={PASSWORD};"),
    }[source]
    text = f"Driver={{{driver}}};Server=127.0.0.1;Port={server.port};{extra}"
    return ["odbc2parquet", "query", "--connection-string", text, "--column-compression-default", "zstd",
            "--column-compression-level-default", "1", out, "SELECT * FROM lineitem"]


def faucet(server, folder, out):
    document = folder / "faucet.yaml"
    document.write_text(
        "version: 1\nname: lineitem\npipeline:\n  source:\n    type: postgres\n    config:\n"
        f'      connection_url: "postgres://postgres:{PASSWORD}@127.0.0.1:{server.port}/bench"\n'
        '      query: "SELECT * FROM lineitem"\n'
        f'  sink:\n    type: parquet\n    config:\n      destination: {{type: local_path, path: "{out}"}}\n      compression: zstd\n'
    )
    return ["faucet", "run", str(document)]


def tools(source, server, folder):
    """Name -> command, in the order they are run and shown."""
    out = str(folder / "out.parquet")
    sealift = [os.environ["SEALIFT"], "--config", str(folder / "house" / "sealift.yaml"), "sync"]
    commands = {"sealift-sealed": [*sealift, "sealed"], "sealift-open": [*sealift, "open"]}
    if source == "postgres":
        commands = {"drain": drain(server), **commands}
    python = {
        "postgres": ["duckdb", "connectorx", "adbc", "dlt"],
        "mariadb": ["duckdb", "connectorx", "dlt"],
        "csv": ["polars", "duckdb"],
    }[source]
    for name in python:
        commands[name] = [sys.executable, str(HERE / "tool.py"), name, source, out]
    if source != "csv" and shutil.which("odbc2parquet"):
        commands["odbc2parquet"] = odbc2parquet(source, server, out)
    if source == "postgres" and shutil.which("faucet"):
        commands["faucet"] = faucet(server, folder, out)
    return commands


def measure(command, env, folder):
    """Wall seconds, CPU seconds of the client's processes, peak memory in MB; `None` where it fails."""
    for leftover in (*folder.glob("out.parquet*"), folder / "dlt", folder / "dlt-state"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    os.sync()
    begun = time.monotonic()
    with (folder / "console.log").open("wb") as console:
        child = subprocess.Popen(command, env=env, stdout=console, stderr=console, cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        return None
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def show(results, reference, rows):
    print(f"\n{'':16}{'wall s':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'peak MB':>9}{'M rows/CPU s':>14}")
    base = results.get(reference)
    for name, runs in results.items():
        if not runs:
            print(f"{name:16}{'failed':>8}")
            continue
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs))
        base_wall, base_cpu, _ = (statistics.median(column) for column in zip(*base)) if base else (wall, cpu, peak)
        print(f"{name:16}{wall:8.2f}{wall / base_wall:7.2f}{cpu:8.2f}{cpu / base_cpu:7.2f}{peak:9.0f}{rows / cpu / 1e6:14.2f}")
    print(f"ratios to {reference}; medians of {max(map(len, results.values()), default=0)} runs, each tool in turn")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=KINDS, default="postgres")
    parser.add_argument("--scale", type=int, default=1, help="TPC-H scale factor")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tools", help="names, separated by commas; default all")
    parser.add_argument("--reference", default="duckdb", help="the tool that ratios are to")
    parser.add_argument("--memory-limit-mb", type=int, help="sets memory_limit_mb of Sealift")
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    csv = lineitem_csv(args.work, args.scale)
    server = KINDS[args.source](args.work)
    server.start(csv)
    try:
        furnish(args.work / "house", args.source, server, csv, args.memory_limit_mb)
        commands = tools(args.source, server, args.work)
        if args.tools:
            commands = {name: commands[name] for name in args.tools.split(",")}
        env = {**os.environ, **server.env(), "PGPASSWORD": PASSWORD, "LINEITEM_CSV": str(csv)}
        results = {name: [] for name in commands}
        for run in range(args.runs):
            for name, command in commands.items():
                result = measure(command, env, args.work)
                print(f"run {run + 1} {name}: {'failed' if result is None else f'{result[0]:.2f} s'}", file=sys.stderr)
                if result:
                    results[name].append(result)
        reference = args.reference if args.reference in results else next(iter(results))
        show(results, reference, ROWS.get(args.scale, 0))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
