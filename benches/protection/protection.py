"""Rows per CPU-second under each action, in one run. See `run`."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROWS = {"lineitem": 6_001_215, "people": 2_000_000}
COLUMNS = {"lineitem": 16, "people": 8}
# The kinds of columns, by which an action takes them.
TEXT = {
    "lineitem": ["l_returnflag", "l_linestatus", "l_shipinstruct", "l_shipmode", "l_comment"],
    "people": ["name", "email", "ssn", "iban", "note"],
}
DATES = {"lineitem": ["l_shipdate", "l_commitdate", "l_receiptdate"], "people": ["born"]}
NUMBERS = {
    "lineitem": ["l_orderkey", "l_partkey", "l_suppkey", "l_linenumber", "l_quantity", "l_extendedprice", "l_discount", "l_tax"],
    "people": ["id", "cents"],
}
WHOLE = lambda table: TEXT[table] + DATES[table] + NUMBERS[table]  # noqa: E731
# action as the policy has it, and the columns that it is given
ACTIONS = {
    "allow": ("allow", lambda table: []),
    "encrypt": ("encrypt", WHOLE),
    "tokenize": ("tokenize", WHOLE),
    "hash": ("hash", WHOLE),
    "mask": ("mask", TEXT.get),
    "redact": ("redact", TEXT.get),
    "nullify": ("nullify", WHOLE),
    "drop": ("drop", DATES.get),
    "scrub": ("scrub", lambda table: [TEXT[table][-1]]),
    "encrypt_value": ("encrypt_value", WHOLE),
    "encrypt_value by": ("{encrypt_value: {by: %s}}", WHOLE),
    "tokenize_fpe": ("{tokenize_fpe: {alphabet: digits}}", lambda table: {"people": ["ssn"]}.get(table, [])),
    "generalize": ("{generalize: {date: month}}", DATES.get),
    "date_shift": ("{date_shift: {max_days: 30}}", DATES.get),
}
PEERS = [(tool, form) for tool in ("duckdb", "pyarrow") for form in ("plain", "sealed")]


def furnish(work, table, source, action):
    house = work / f"{table}-{action}"
    shutil.rmtree(house, ignore_errors=True)
    (house / "pipelines").mkdir(parents=True)
    (house / "drops").mkdir()
    os.link(source, house / "drops" / f"{table}.parquet")
    word, columns = ACTIONS[action]
    word = word.replace("%s", NUMBERS[table][0])
    chosen = columns(table)
    (house / "policy.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Policy\nname: bench\nunmatched: refuse\nrules:\n"
        f"  - {{tags: [acted], action: {word}}}\n"
        '  - {tags: [open, "*", "pii.*", "financial.*", "free_text.*", "health.*"], action: allow}\n'
    )
    (house / "sealift.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Config\npipelines: pipelines\npolicy: policy.yaml\n"
        "metadata: {sqlite: var/sealift.db}\nkeys: {file: {path: var/keys}}\n"
        'stores: {lake: {url: "file:lake"}}\nconnections: {drops: {files: {root: drops}}}\n'
    )
    tags = "".join(f"{name}: {{tag: acted}}, " for name in chosen)
    (house / "pipelines" / "table.yaml").write_text(
        "apiVersion: sealift/v1\nkind: Pipeline\nname: table\nowner: bench\nconnection: drops\n"
        f'dataset: "bench.{table}"\nstreams:\n  {table}: {{path: {table}.parquet, columns: {{{tags}"*": {{tag: open}}}}}}\n'
    )
    return house, len(chosen)


def timed(command, **options):
    """CPU seconds of a child and its children, and wall seconds."""
    script = (
        "import resource, subprocess, sys, time\n"
        "begun = time.monotonic()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "sys.stderr.buffer.write(done.stderr) if done.returncode else None\n"
        "print(used.ru_utime + used.ru_stime, time.monotonic() - begun, used.ru_maxrss / 1024)\n"
        "sys.exit(done.returncode)"
    )
    ran = subprocess.run([sys.executable, "-c", script, *map(str, command)], capture_output=True, text=True, **options)
    if ran.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {ran.stderr}")
    return tuple(map(float, ran.stdout.split()))


def measure(args, table, source):
    """Every variant in turn, round after round; its CPU and wall seconds, megabytes and columns acted on."""
    variants = {}
    for action in args.actions.split(","):
        if action != "allow" and not ACTIONS[action][1](table):
            continue  # nothing in the table that it can act on
        house, columns = furnish(args.work, table, source, action)
        sync = [os.environ["SEALIFT"], "--config", house / "sealift.yaml", "sync", "table", "--json"]
        variants[action] = (sync, house / "lake", columns, [])
    for tool, form in PEERS:
        out = args.work / f"{tool}-{form}.parquet"
        peer = [sys.executable, HERE / "peer.py", tool, form, source, out]
        variants[f"{tool} {form}"] = (peer, out, COLUMNS[table] if form == "sealed" else 0, [])
    for round_ in range(args.runs + 1):
        for name, (command, out, _, runs) in variants.items():
            shutil.rmtree(out, ignore_errors=True) if out.is_dir() else out.unlink(missing_ok=True)
            figures = timed(command)
            # The first round fills caches.
            if round_ or args.runs == 1:
                runs.append(figures)
    return variants


def report(table, variants):
    median = {name: [statistics.median(f) for f in zip(*runs)] for name, (_, _, _, runs) in variants.items()}
    allow = median["allow"]
    print(f"\n{table}, {ROWS[table]:,} rows, {COLUMNS[table]} columns")
    print("| action | columns | rows per CPU-second | CPU / allow | wall / allow | M values per CPU-second | MB |")
    print("|---|---|---|---|---|---|---|")
    for name, (_, _, columns, _) in variants.items():
        cpu, wall, megabytes = median[name]
        more, values = cpu - allow[0], ROWS[table] * columns
        is_field_level = name in ("tokenize", "hash", "mask", "scrub", "encrypt_value", "encrypt_value by", "tokenize_fpe")
        speed = f"{values / more / 1e6:.1f}" if is_field_level and more > 0 else ""
        print(f"| {name} | {columns} | {ROWS[table] / cpu:,.0f} | {cpu / allow[0]:.2f} | {wall / allow[1]:.2f} | {speed} | {megabytes:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tables", default="lineitem,people")
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for table in args.tables.split(","):
        source = args.work / f"{table}.parquet"
        if not source.exists():
            part = source.with_suffix(".part")
            subprocess.run([sys.executable, HERE / "tables.py", table, part], check=True)
            part.rename(source)
        report(table, measure(args, table, source))
    print(f"\nmedians of {args.runs} runs of each in turn; M values per CPU-second: of the CPU beyond that of `allow`")


if __name__ == "__main__":
    main()
