//! A private MariaDB for the ODBC tests: its own folder, a free loopback port, gone with its last user.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
pub(super) struct Server {
    folder: TempDir,
    process: Child,
    port: u16,
    /// Lets the thread end that the server is bound to.
    _keeper: Sender<()>,
}

/// A database of its own for one test, on the shared server.
pub(super) struct Database {
    server: Arc<Server>,
    pub(super) name: String,
}

impl Database {
    pub(super) fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = Server::shared();
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.client("mysql", &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        Self { server, name }
    }

    /// Runs statements; gives what the server prints, tab-separated, `NULL` for NULL.
    pub(super) fn run(&self, sql: &str) -> String {
        self.server.client(&self.name, sql)
    }

    pub(super) fn port(&self) -> u16 {
        self.server.port
    }
}

impl Server {
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let user = if rustix::process::geteuid().is_root() { "mysql" } else { "" };
        if !user.is_empty() {
            let done = Command::new("chown").args(["-R", user]).arg(folder.path()).status().unwrap();
            assert!(done.success());
        }
        let as_user = format!("--user={user}");
        let mut install = Command::new(program("mariadb-install-db"));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", data.display()));
        let mut server = Command::new("setpriv");
        server.args(["--pdeathsig", "TERM"]).arg(program("mariadbd")).arg("--no-defaults");
        if !user.is_empty() {
            install.arg(&as_user);
            server.arg(&as_user);
        }
        let installed = install.output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        server.arg(format!("--datadir={}", data.display())).arg(format!("--port={port}"));
        server.arg(format!("--socket={}", folder.path().join("sock").display()));
        server.arg(format!("--pid-file={}", folder.path().join("pid").display()));
        server.args(["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]);
        server.stdout(Stdio::null()).stderr(fs::File::create(folder.path().join("log")).unwrap());
        let (keeper, ended) = channel::<()>();
        let (started, process) = channel();
        std::thread::spawn(move || {
            started.send(server.spawn().unwrap()).unwrap();
            let _ = ended.recv();
        });
        let mut server = Self { folder, process: process.recv().unwrap(), port, _keeper: keeper };
        server.wait_until_ready();
        server.client(
            "mysql",
            "CREATE USER reader@'%' IDENTIFIED BY 'se;cr}et{=1'; GRANT ALL ON *.* TO reader@'%'",
        );
        server
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        while !self.command("mysql", "SELECT 1").output().unwrap().status.success() {
            let ended = self.process.try_wait().unwrap();
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && start.elapsed() < START_LIMIT, "MariaDB does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn command(&self, database: &str, sql: &str) -> Command {
        let mut command = Command::new(program("mariadb"));
        command.args(["--no-defaults", "-u", "root", "-N", "-B", "--default-character-set=utf8mb4"]);
        command.arg(format!("--socket={}", self.folder.path().join("sock").display()));
        command.args(["-D", database, "-e", sql]);
        command
    }

    fn client(&self, database: &str, sql: &str) -> String {
        let output = self.command(database, sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(name: &str) -> PathBuf {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
        .iter()
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("MariaDB is not installed: no {name}; install the package `mariadb-server`")
        })
}
