"""Times increments of a large table and prints one table; fails when 100 new rows cost 1 second or more of own
work (wall time less the source's own) in any mode. See `run`."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
from servers import PASSWORD, Postgres, bindir  # noqa: E402

BATCH = 100
# What 100 new rows may cost beside the source's own time.
LIMIT_SECONDS = 1.0
MODES = {
    "append": "write_mode: append",
    "merge": "write_mode: merge",
    "merge, delete_missing": "write_mode: merge, delete_missing: hard",
}
# What is changed before a sync: rows beyond the newest, or rows all over the table.
CHANGES = {
    "new": """INSERT INTO items SELECT n, 'customer ' || n % 50000, n % 100000 / 100.0, 'note ' || md5(n::text), now()
              FROM (SELECT max(id) AS last FROM items) m, generate_series(m.last + 1, m.last + {batch}) n""",
    "changed, in one place": "UPDATE items SET amount = amount + 1, changed_at = now() WHERE id BETWEEN {at} AND {at} + {batch} - 1",
    "changed, all over": """UPDATE items SET amount = amount + 1, changed_at = now()
              WHERE id IN (SELECT {at} % ({rows} / {batch}) + n * ({rows} / {batch}) FROM generate_series(0, {batch} - 1) n)""",
}


def fill(server, rows):
    server.sql(
        f"""CREATE TABLE items (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2) NOT NULL,
                note text, changed_at timestamptz NOT NULL);
            INSERT INTO items SELECT n, 'customer ' || n % 50000, n % 100000 / 100.0, 'note ' || md5(n::text),
                timestamptz '2024-01-01Z' + n * interval '1 second' FROM generate_series(0, {rows} - 1) n;
            CREATE INDEX ON items (changed_at)"""
    )
    # Not in the transaction of the others.
    server.sql("VACUUM ANALYZE items")


def furnish(folder, server, mode):
    """A lake of its own for each mode; the note is encrypted, the key and the cursor are open."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pipelines").mkdir(parents=True)
    (folder / "policy.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Policy\nname: bench\nunmatched: refuse\nrules:\n"
        "  - {tags: [sealed], action: encrypt}\n  - {tags: [open], action: allow}\n"
    )
    (folder / "sealift.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Config\npipelines: pipelines\npolicy: policy.yaml\n"
        "metadata: {sqlite: var/sealift.db}\nkeys: {file: {path: var/keys}}\n"
        'stores: {lake: {url: "file:lake"}}\nconnections:\n'
        f"  db: {{postgres: {{host: 127.0.0.1, port: {server.port}, database: bench, user: postgres, "
        'password: "env:PASSWORD", tls: disable}}\n'
    )
    (folder / "pipelines" / "items.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Pipeline\nname: items\nowner: bench\nconnection: db\n"
        'dataset: "bench.items"\nstreams:\n'
        f"  public.items: {{sync_mode: incremental, cursor_field: changed_at, primary_key: [id], {MODES[mode]}, "
        'columns: {note: {tag: sealed}, "*": {tag: open}}}\n'
    )


def sync(folder, env):
    """Wall and CPU seconds, peak memory in MB, and rows of one sync."""
    os.sync()
    command = [os.environ["SEALIFT"], "--config", str(folder / "sealift.yaml"), "sync", "items", "--json"]
    with (folder / "out.json").open("wb") as out, (folder / "console.log").open("ab") as console:
        begun = time.monotonic()
        child = subprocess.Popen(command, env=env, stdout=out, stderr=console, cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"exit code {child.returncode}: see {folder}/console.log")
    summary = json.loads((folder / "out.json").read_text().splitlines()[-1])
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, summary["streams"][0]["rows"]


def answer(server, sql):
    """What psql prints for a query, on a connection of its own."""
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "bench"]
    env = {**os.environ, "PGPASSWORD": PASSWORD}
    command = [bindir("psql"), "-qAt", *where, "-c", sql]
    return subprocess.run(command, check=True, env=env, capture_output=True, text=True).stdout.strip()


def source_seconds(server, since):
    """How long the source itself takes for the rows that an increment asks for."""
    plan = answer(server, f"EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM items WHERE changed_at >= '{since}'")
    return (json.loads(plan)[0]["Planning Time"] + json.loads(plan)[0]["Execution Time"]) / 1000


def measure(server, folder, env, mode, args):
    furnish(folder, server, mode)
    wall, cpu, peak, rows = sync(folder, env)
    yield mode, "the whole table", [(0.0, wall, cpu, peak, rows)]
    for change, sql in CHANGES.items():
        if mode == "append" and change != "new":
            continue
        runs = []
        for run in range(args.runs):
            since = answer(server, "SELECT max(changed_at) FROM items")
            server.sql(sql.format(batch=BATCH, rows=args.rows, at=1000 * (run + 1)))
            runs.append((source_seconds(server, since), *sync(folder, env)))
        yield mode, change, runs


def show(mode, change, runs):
    """Prints a line, and gives the own seconds in it."""
    source, wall, cpu, peak, rows = (statistics.median(column) for column in zip(*runs))
    print(f"{mode:24}{change:24}{rows:12,.0f}{source:11.3f}{wall:9.2f}{wall - source:9.2f}{cpu:8.2f}{peak:9.0f}", flush=True)
    return wall - source


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the table")
    parser.add_argument("--runs", type=int, default=5, help="increments of each kind")
    parser.add_argument("--modes", help="names, separated by semicolons; default all: " + "; ".join(MODES))
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    slow = []
    server = Postgres(args.work)
    if server.begin(f"items-{args.rows}"):
        fill(server, args.rows)
    try:
        env = {**os.environ, "PASSWORD": PASSWORD}
        print(f"{'mode':24}{'what':24}{'rows':>12}{'source s':>11}{'wall s':>9}{'own s':>9}{'CPU s':>8}{'peak MB':>9}")
        for mode in args.modes.split(";") if args.modes else MODES:
            for line in measure(server, args.work / "house", env, mode.strip(), args):
                own = show(*line)
                if line[1] == "new" and own >= LIMIT_SECONDS:
                    slow.append(f"{line[0]}: {own:.2f} s")
        print(f"medians of {args.runs} increments; source: planning and execution of the same query in PostgreSQL")
    finally:
        server.stop()
    if slow:
        raise SystemExit(f"{BATCH} new rows cost {LIMIT_SECONDS:.0f} s or more of own work: " + "; ".join(slow))


if __name__ == "__main__":
    main()
