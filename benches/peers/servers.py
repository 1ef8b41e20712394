"""Database servers in private folders, filled with lineitem once and kept for the next call."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

PASSWORD = "bench-pw"

INTEGERS = "l_orderkey l_partkey l_suppkey l_linenumber".split()
MONEY = "l_quantity l_extendedprice l_discount l_tax".split()
DATES = "l_shipdate l_commitdate l_receiptdate".split()
TEXTS = {
    "l_returnflag": "char(1)",
    "l_linestatus": "char(1)",
    "l_shipinstruct": "varchar(25)",
    "l_shipmode": "varchar(10)",
    "l_comment": "varchar(44)",
}
ORDER = (
    "l_orderkey l_partkey l_suppkey l_linenumber l_quantity l_extendedprice l_discount l_tax l_returnflag "
    "l_linestatus l_shipdate l_commitdate l_receiptdate l_shipinstruct l_shipmode l_comment"
).split()


def table(key=""):
    def kind(name):
        if name in INTEGERS:
            return "bigint"
        if name in MONEY:
            return "decimal(15,2)"
        return "date" if name in DATES else TEXTS[name]

    columns = ", ".join(f"{name} {kind(name)} NOT NULL" for name in ORDER)
    return f"CREATE TABLE lineitem ({columns}{key})"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lineitem_csv(folder, scale):
    """The table as CSV with a header. Made by a process of its own: a child's peak of memory begins
    with its parent's, so the one that measures must stay small."""
    path = folder / f"lineitem-{scale}.csv"
    if not path.exists():
        subprocess.run([sys.executable, __file__, path, str(scale)], check=True)
    return path


def generate(path, scale):
    import duckdb
    import duckdb_extensions

    duckdb_extensions.import_extension("tpch")
    scratch = Path(f"{path}.db")
    con = duckdb.connect(str(scratch))
    con.execute(f"LOAD tpch; CALL dbgen(sf = {scale})")
    con.execute(f"COPY lineitem TO '{path}.part' (FORMAT csv, HEADER)")
    con.close()
    scratch.unlink()
    Path(f"{path}.part").rename(path)


def bindir(name):
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if not found:
        raise SystemExit(f"missing on this machine: {name}")
    return found


class Server:
    """Runs as a user of its own where we are root, which both servers refuse."""

    user = None

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()

    def command(self, *args):
        drop = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [*(drop if os.geteuid() == 0 else []), *map(str, args)]

    def own(self, path):
        path.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(path, self.user, self.user)
        for parent in path.parents:
            if parent.stat().st_uid == os.geteuid() and os.geteuid() == 0:
                parent.chmod(parent.stat().st_mode | 0o011)

    def env(self):
        return {"PORT": str(self.port), "PASSWORD": PASSWORD}


class Postgres(Server):
    user = "postgres"

    def start(self, csv):
        if self.begin(csv.stem):
            self.sql(table())
            with csv.open("rb") as rows:
                self.psql("bench", "-c", "COPY lineitem FROM STDIN (FORMAT csv, HEADER)", stdin=rows)
            self.sql("VACUUM ANALYZE lineitem")
        self.sql("SELECT sum(l_orderkey) FROM lineitem")

    def begin(self, name):
        """Starts the server of a folder; whether its database is new, and so empty."""
        self.data = self.folder / "postgres" / name
        fresh = not (self.data / "PG_VERSION").exists()
        self.own(self.data.parent)
        if fresh:
            password = self.data.parent / "password"
            password.write_text(PASSWORD)
            password.chmod(0o644)
            subprocess.run(
                self.command(bindir("initdb"), "-D", self.data, "-U", "postgres", "--auth=scram-sha-256",
                             f"--pwfile={password}"),
                check=True, stdout=subprocess.DEVNULL, cwd="/",
            )
        options = (
            f"-p {self.port} -k {self.data.parent} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c shared_buffers=2GB -c max_wal_size=8GB"
        )
        subprocess.run(
            self.command(bindir("pg_ctl"), "-D", self.data, "-l", self.data.parent / "log", "-o", options, "-w", "start"),
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )
        if fresh:
            self.sql("CREATE DATABASE bench", "postgres")
        return fresh

    def psql(self, database, *args, **options):
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        env = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run(
            [bindir("psql"), "-q", *where, *args], check=True, env=env, stdout=subprocess.DEVNULL, **options
        )

    def sql(self, sql, database="bench"):
        self.psql(database, "-c", sql)

    def stop(self):
        subprocess.run(
            self.command(bindir("pg_ctl"), "-D", self.data, "-m", "fast", "-w", "stop"),
            check=False, stdout=subprocess.DEVNULL, cwd="/",
        )


class Mariadb(Server):
    user = "mysql"

    def start(self, csv):
        self.data = self.folder / "mariadb" / csv.stem
        fresh = not (self.data / "mysql").exists()
        self.own(self.data)
        if fresh:
            subprocess.run(
                self.command(bindir("mariadb-install-db"), "--no-defaults", f"--datadir={self.data}",
                             "--auth-root-authentication-method=normal", "--skip-test-db"),
                check=True, stdout=subprocess.DEVNULL, cwd="/",
            )
        # A socket's path has a bound of about 100 characters.
        self.socket = f"/tmp/sealift-bench-{self.port}.sock"
        self.process = subprocess.Popen(
            self.command(bindir("mariadbd"), "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                         "--bind-address=127.0.0.1", f"--port={self.port}", "--innodb-buffer-pool-size=2G",
                         "--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve", "--skip-log-bin",
                         f"--log-error={self.data}/error.log", "--local-infile=1"),
            stdout=subprocess.DEVNULL, cwd="/",
        )
        subprocess.run(
            ["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "-uroot", "--wait=30", "ping"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        if fresh:
            self.sql("CREATE DATABASE bench; CREATE USER bench@'%' IDENTIFIED BY '" + PASSWORD + "'; "
                     "GRANT ALL ON bench.* TO bench@'%'; GRANT RELOAD, REPLICATION CLIENT, PROCESS ON *.* TO bench@'%'")
            self.sql("USE bench; " + table(", PRIMARY KEY (l_orderkey, l_linenumber)"))
            self.sql(f"USE bench; LOAD DATA LOCAL INFILE '{csv}' INTO TABLE lineitem "
                     "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES; ANALYZE TABLE lineitem")
        self.sql("SELECT sum(l_partkey) FROM bench.lineitem")

    def sql(self, sql):
        subprocess.run(
            ["mariadb", "--no-defaults", "--local-infile=1", f"--socket={self.socket}", "-uroot", "-e", sql],
            check=True, stdout=subprocess.DEVNULL,
        )

    def stop(self):
        subprocess.run(
            ["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "-uroot", "shutdown"], check=False
        )
        self.process.wait()


class Csv:
    """No server: the file itself."""

    port = 0

    def __init__(self, folder):
        self.folder = folder

    def start(self, csv):
        # Warm, and never whole in memory: a child's peak begins with its parent's.
        with csv.open("rb") as rows:
            while rows.read(1 << 20):
                pass

    def env(self):
        return {}

    def stop(self):
        pass


KINDS = {"postgres": Postgres, "mariadb": Mariadb, "csv": Csv}

if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]))
