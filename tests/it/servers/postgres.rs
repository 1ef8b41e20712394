//! A private PostgreSQL: its own folder, a free loopback port, gone when the last test lets go of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use sealift::secret::Reference;
use sealift::spec::config::{self, Tls};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The role that the tests administer with.
pub const ADMIN: &str = "boss";
const PASSWORD: &str = "correct horse";
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    folder: TempDir,
    process: Child,
    port: u16,
    /// Lets the thread end that the server is bound to.
    _keeper: Sender<()>,
}

/// An authority and the server certificate it signed for one host name.
pub struct Certificates {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A database of its own for one test, on the shared server.
pub struct Database {
    pub server: Arc<Server>,
    pub name: String,
    pub client: Client,
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
        let data = folder.path().join("data");
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let tls = certificates(folder.path());
        give_away(folder.path());
        let initdb = as_postgres("initdb")
            .args(["--no-sync", "-E", "UTF8", "--locale=C", "--auth=scram-sha-256", "-U", ADMIN])
            .arg(format!("--pwfile={}", folder.path().join("password").display()))
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (process, keeper) = spawn_bound(command(folder.path(), port, tls.as_ref()));
        let mut server = Self { folder, process, port, _keeper: keeper };
        server.wait_until_ready();
        server
    }

    /// Ends it as a crash of the machine would: no goodbye to anybody.
    pub fn crash(&mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
        self.process.wait().unwrap();
    }

    /// Starts it again where it was, without TLS.
    pub fn start_again(&mut self) {
        (self.process, self._keeper) = spawn_bound(command(self.folder.path(), self.port, None));
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            let ready = Command::new(binary("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < START_LIMIT,
                "PostgreSQL does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
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
    pub fn settings(&self, database: &str) -> config::Postgres {
        config::Postgres {
            host: "127.0.0.1".into(),
            port: self.port,
            database: database.into(),
            user: ADMIN.into(),
            password: Some(Reference::File(self.folder.path().join("password"))),
            tls: Tls::Disable,
            ca_file: None,
            passfile: None,
            statement_timeout: None,
            limits: config::Limits::default(),
            throttle: None,
        }
    }

    /// The address of a database here.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ADMIN}:{}@127.0.0.1:{}/{database}", PASSWORD.replace(' ', "%20"), self.port)
    }

    /// A plain client, for preparing and checking.
    pub async fn client(&self, database: &str) -> Client {
        let (client, connection) = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .dbname(database)
            .user(ADMIN)
            .password(PASSWORD)
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }
}

impl Drop for Server {
    /// Stops the server, at once if it does not stop by itself; the folder goes with it.
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // SIGINT: end the sessions and stop.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The call that starts the server of a folder.
fn command(folder: &Path, port: u16, tls: Option<&Certificates>) -> Command {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = as_postgres("postgres");
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    command.arg("-k").arg(folder);
    // The limit on temporary files keeps a careless query of a test from filling the disk.
    for setting in ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=120", "temp_file_limit=100MB"]
    {
        command.args(["-c", setting]);
    }
    if let Some(tls) = tls {
        command.args(["-c", "ssl=on"]);
        command.args(["-c", &format!("ssl_cert_file={}", tls.certificate.display())]);
        command.args(["-c", &format!("ssl_key_file={}", tls.key.display())]);
    }
    command.stdout(Stdio::null()).stderr(log);
    command
}

impl Database {
    /// A new database on the shared server.
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = Server::shared();
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let admin = server.client("postgres").await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let client = server.client(&name).await;
        Self { server, name, client }
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// How Sealift connects here.
    pub fn settings(&self) -> config::Postgres {
        self.server.settings(&self.name)
    }

    /// The same as an address.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }
}

/// Makes an authority and a certificate for `host` with it.
pub fn certificates(folder: &Path, host: &str) -> Certificates {
    let path = |name: &str| folder.join(name);
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(folder, &[&authority[..], &NEW_KEY[..]].concat());
    issue(folder, "server", "/CN=test server", &format!("subjectAltName={host}"), 2);
    fs::set_permissions(path("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    Certificates { authority: path("ca.pem"), certificate: path("server.pem"), key: path("server.key") }
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// Makes a key `NAME.key` and, with the authority of [`certificates`] in the folder, a certificate `NAME.pem` that is
/// good for so many days.
pub fn issue(folder: &Path, name: &str, subject: &str, extensions: &str, days: i32) {
    let file = |ending: &str| format!("{name}.{ending}");
    let extensions = format!("{extensions}\nbasicConstraints=CA:FALSE\n");
    fs::write(folder.join(file("ext")), extensions.trim_start()).unwrap();
    let request = ["req", "-subj", subject, "-keyout", &file("key"), "-out", &file("csr")];
    openssl(folder, &[&request[..], &NEW_KEY[..]].concat());
    let (request, certificate, extensions) = (file("csr"), file("pem"), file("ext"));
    let days = days.to_string();
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-days",
            &days,
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ],
    );
}

/// Calls openssl in a folder.
pub fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}

/// A program of the newest PostgreSQL installed.
fn binary(name: &str) -> PathBuf {
    let named = Command::new("pg_config").arg("--bindir").output().ok().filter(|o| o.status.success());
    let mut folders: Vec<PathBuf> =
        named.map(|o| PathBuf::from(String::from_utf8_lossy(&o.stdout).trim())).into_iter().collect();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|e| e.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("PostgreSQL is not installed: no {name}; install the package `postgresql`"))
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Starts a process that is stopped even when the tests are killed. The kernel watches the thread
/// that starts it, so one is kept for that.
pub(super) fn spawn_bound(mut command: Command) -> (Child, Sender<()>) {
    let (keeper, ended) = channel::<()>();
    let (started, process) = channel();
    std::thread::spawn(move || {
        started.send(command.spawn().unwrap()).unwrap();
        let _ = ended.recv();
    });
    (process.recv().unwrap(), keeper)
}

/// A program of PostgreSQL, which refuses to run as root. SIGINT is its fast shutdown.
fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg(binary(program));
    command
}

fn give_away(folder: &Path) {
    if is_root() {
        let status = Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder).status().unwrap();
        assert!(status.success(), "chown");
    }
}
