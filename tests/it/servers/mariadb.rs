//! A private MariaDB: its own data folder and loopback port, gone with the test process. One server
//! serves all tests, each in a database of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use sealift::secret::Reference;
use sealift::spec::config::{self, Limits, Tls};
use tempfile::TempDir;

use super::postgres::{Certificates, is_root, spawn_bound};

/// The user that the tests administer with.
pub const ADMIN: &str = "boss";
const PASSWORD: &str = "correct horse";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    folder: TempDir,
    process: Option<Running>,
    port: u16,
    options: Vec<String>,
}

struct Running {
    process: Child,
    /// Lets the thread end that the server is bound to.
    _keeper: Sender<()>,
}

/// A database of its own for one test.
pub struct Database {
    pub server: Arc<Server>,
    pub name: String,
    client: tokio::sync::Mutex<Conn>,
}

impl Server {
    /// The server that tests share; started by the first and stopped after the last of those at work.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(&|_| None));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A server that speaks TLS with the certificate that `certificates` makes in its folder.
    pub fn start(certificates: &dyn Fn(&Path) -> Option<Certificates>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("password"), PASSWORD).unwrap();
        fs::write(
            path("init.sql"),
            format!(
                "SET sql_log_bin = 0;\nCREATE USER IF NOT EXISTS {ADMIN}@'%' IDENTIFIED BY '{PASSWORD}';\n\
                 GRANT ALL ON *.* TO {ADMIN}@'%' WITH GRANT OPTION;\n"
            ),
        )
        .unwrap();
        let mut options: Vec<String> = [
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--log-bin=log",
            "--server-id=1",
            "--max-connections=200",
            "--performance-schema=off",
            "--character-set-server=utf8mb4",
            "--plugin-load-add=auth_ed25519",
            "--plugin-maturity=alpha",
        ]
        .map(str::to_owned)
        .to_vec();
        // A server that starts clears its folder of temporary files, also of those of others.
        fs::create_dir(path("tmp")).unwrap();
        options.push(format!("--tmpdir={}", path("tmp").display()));
        options.push(format!("--datadir={}", path("data").display()));
        options.push(format!("--socket={}", path("socket").display()));
        options.push(format!("--pid-file={}", path("pid").display()));
        options.push(format!("--init-file={}", path("init.sql").display()));
        if let Some(tls) = certificates(folder.path()) {
            options.push(format!("--ssl-cert={}", tls.certificate.display()));
            options.push(format!("--ssl-key={}", tls.key.display()));
        }
        give_away(folder.path());
        let install = as_mysql("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--datadir={}", path("data").display()))
            .arg(format!("--tmpdir={}", path("tmp").display()))
            .args(["--skip-test-db", "--skip-name-resolve", "--auth-root-authentication-method=normal"])
            .stdout(Stdio::null())
            .output()
            .unwrap();
        assert!(install.status.success(), "install: {}", String::from_utf8_lossy(&install.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { folder, process: None, port, options };
        server.run();
        server
    }

    /// Starts the process and waits until it answers.
    pub fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = as_mysql("mariadbd");
        command.arg("--no-defaults").args(&self.options).arg(format!("--port={}", self.port));
        command.stdout(Stdio::null()).stderr(log);
        let (process, keeper) = spawn_bound(command);
        let mut running = Running { process, _keeper: keeper };
        let start = Instant::now();
        // The socket file comes before the init file has run; the port is opened after it.
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = running.process.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < START_LIMIT,
                "MariaDB does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(running);
    }

    /// Ends the process without ceremony, as a crash does.
    pub fn crash(&mut self) {
        if let Some(mut running) = self.process.take() {
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The private folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How Sealift connects to a database here, as the administrator.
    pub fn settings(&self, database: &str) -> config::Mysql {
        config::Mysql {
            host: "127.0.0.1".into(),
            port: self.port,
            database: database.into(),
            user: ADMIN.into(),
            password: Some(Reference::File(self.folder.path().join("password"))),
            tls: Tls::Disable,
            ca_file: None,
            statement_timeout: None,
            limits: Limits { connections: Some(3), ..Limits::default() },
            throttle: None,
        }
    }

    /// A plain client, for preparing and checking.
    pub async fn client(&self, database: Option<&str>) -> Conn {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(ADMIN))
            .pass(Some(PASSWORD))
            .db_name(database)
            .prefer_socket(false)
            .init(vec!["SET time_zone = '+00:00', sql_mode = ''"]);
        Conn::new(options).await.unwrap()
    }
}

impl Drop for Server {
    /// Stops the server, at once if it does not stop by itself; the folder goes with it.
    fn drop(&mut self) {
        let Some(mut running) = self.process.take() else { return };
        if let Some(pid) = i32::try_from(running.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT {
            if !matches!(running.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = running.process.kill();
        let _ = running.process.wait();
    }
}

impl Database {
    /// A new database on the shared server.
    pub async fn create() -> Self {
        Self::on(Server::shared()).await
    }

    /// A new database on this server.
    pub async fn on(server: Arc<Server>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut admin = server.client(None).await;
        admin.query_drop(format!("CREATE DATABASE {name}")).await.unwrap();
        let client = tokio::sync::Mutex::new(server.client(Some(&name)).await);
        Self { server, name, client }
    }

    /// Runs statements, one for each item.
    pub async fn run(&self, statements: &[&str]) {
        let mut client = self.client.lock().await;
        for sql in statements {
            client.query_drop(*sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
    }

    /// The rows of a query, as the server writes them.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let rows: Vec<mysql_async::Row> =
            self.client.lock().await.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let cell = |value: mysql_async::Value| match value {
            mysql_async::Value::NULL => None,
            mysql_async::Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
            other => panic!("{other:?}"),
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect()).collect()
    }

    /// The one cell of a query.
    pub async fn one(&self, sql: &str) -> String {
        self.rows(sql).await[0][0].clone().unwrap()
    }

    /// How Sealift connects here.
    pub fn settings(&self) -> config::Mysql {
        self.server.settings(&self.name)
    }

    /// Settings of a new user with these grants (`SELECT ON {db}.t`).
    pub async fn as_user(&self, name: &str, grants: &[&str]) -> config::Mysql {
        let user = format!("{name}_{}", self.name);
        self.run(&[&format!("CREATE USER {user}@'%' IDENTIFIED BY 'pw'")]).await;
        for grant in grants {
            self.run(&[&format!("GRANT {} TO {user}@'%'", grant.replace("{db}", &self.name))]).await;
        }
        config::Mysql { user, password: Some(self.secret("pw")), ..self.settings() }
    }

    /// A reference to a file that holds this.
    pub fn secret(&self, text: &str) -> Reference {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("secret_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let path = self.server.folder().join(name);
        fs::write(&path, text).unwrap();
        Reference::File(path)
    }
}

/// A program of MariaDB.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("MariaDB is not installed: no {name}; install the package `mariadb-server`")
        })
}

/// A program of MariaDB, which refuses to run as root.
fn as_mysql(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if is_root() {
        command.args(["--reuid=mysql", "--regid=mysql", "--clear-groups"]);
    }
    command.arg(binary(program));
    command
}

fn give_away(folder: &Path) {
    if is_root() {
        let status = Command::new("chown").args(["-R", "mysql:mysql"]).arg(folder).status().unwrap();
        assert!(status.success(), "chown");
    }
}
