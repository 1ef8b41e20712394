//! OpenLDAP with a directory of its own.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::postgres::{Certificates, certificates, spawn_bound};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server; gone when dropped.
pub struct Slapd {
    process: Option<(Child, Sender<()>)>,
    port: u16,
    tls_port: u16,
    folder: TempDir,
    certificates: Certificates,
}

impl Slapd {
    /// One with these entries (LDIF) below `dc=example,dc=com`. It takes a bind without a password for anybody, as RFC
    /// 4513 has it, and lets users read everything but passwords.
    pub fn start(entries: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sealift-ldap-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let certificates = certificates(folder.path(), "DNS:localhost");
        fs::create_dir(path("db")).unwrap();
        let configuration = format!(
            "include /etc/ldap/schema/core.schema\n\
             include /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\n\
             pidfile {}\n\
             modulepath /usr/lib/ldap\n\
             moduleload back_mdb\n\
             allow bind_anon_cred bind_anon_dn\n\
             TLSCACertificateFile {}\n\
             TLSCertificateFile {}\n\
             TLSCertificateKeyFile {}\n\
             database mdb\n\
             maxsize 16777216\n\
             suffix \"dc=example,dc=com\"\n\
             directory {}\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by users read by * auth\n",
            path("slapd.pid"),
            certificates.authority.display(),
            certificates.certificate.display(),
            certificates.key.display(),
            path("db"),
        );
        fs::write(path("slapd.conf"), configuration).unwrap();
        let root = "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n";
        let mut add = Command::new(binary("slapadd"))
            .args(["-f", &path("slapd.conf")])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        add.stdin.take().unwrap().write_all(format!("{root}\n{entries}").as_bytes()).unwrap();
        let added = add.wait_with_output().unwrap();
        assert!(added.status.success(), "slapadd: {}", String::from_utf8_lossy(&added.stderr));
        let mut server =
            Self { process: None, port: free_port(), tls_port: free_port(), folder, certificates };
        server.resume();
        server
    }

    /// Starts it, again after [`Slapd::stop`].
    pub fn resume(&mut self) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary("slapd"));
        command.arg("-f").arg(self.folder.path().join("slapd.conf"));
        command.args(["-h", &format!("{} {}", self.url(), self.tls_url()), "-d", "0"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(spawn_bound(command));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.tls_port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "slapd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it; connections to it are refused.
    pub fn stop(&mut self) {
        if let Some((mut process, _keeper)) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// `ldap://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// `ldaps://localhost:port`.
    pub fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls_port)
    }

    /// The authority of its certificate.
    pub fn authority(&self) -> PathBuf {
        self.certificates.authority.clone()
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn binary(name: &str) -> PathBuf {
    let path = PathBuf::from("/usr/sbin").join(name);
    assert!(path.is_file(), "OpenLDAP is not installed: no {name}; install the package `slapd`");
    path
}
