//! A private SoftHSM: its own token folder, made by `softhsm2-util` and `pkcs11-tool` as the documentation says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The user PIN of every token.
pub const PIN: &str = "pin-73915-of-tests";
const SO_PIN: &str = "so-pin-of-tests";

/// A folder of tokens.
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    /// An empty one, with one token.
    pub fn with_token(label: &str) -> Self {
        let hsm = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(hsm.tokens()).unwrap();
        let settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            hsm.tokens().display()
        );
        fs::write(hsm.settings(), settings).unwrap();
        hsm.add_token(label);
        hsm
    }

    /// One more token.
    pub fn add_token(&self, label: &str) {
        let pins = ["--so-pin", SO_PIN, "--pin", PIN];
        self.call("softhsm2-util", &[&["--init-token", "--free", "--label", label], &pins[..]].concat());
    }

    /// Makes a key as the documentation says, with other or more arguments.
    pub fn add_key(&self, token: &str, label: &str, arguments: &[&str]) {
        let module = Self::module();
        let of = ["--module", module.to_str().unwrap(), "--token-label", token, "--login", "--pin", PIN];
        self.call("pkcs11-tool", &[&of[..], &["--keygen", "--label", label], arguments].concat());
    }

    fn call(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", self.settings())
            .output()
            .unwrap_or_else(|e| {
                panic!("{program}: {e}; install the packages `softhsm2` and `opensc`, or run tests/run")
            });
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What `SOFTHSM2_CONF` names.
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Takes the tokens away.
    pub fn remove(&self) {
        fs::rename(self.tokens(), self.folder.path().join("away")).unwrap();
        fs::create_dir(self.tokens()).unwrap();
    }

    /// Brings them back.
    pub fn bring_back(&self) {
        fs::remove_dir_all(self.tokens()).unwrap();
        fs::rename(self.folder.path().join("away"), self.tokens()).unwrap();
    }

    /// Where Debian and others put the module.
    pub fn module() -> PathBuf {
        let places =
            ["/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm"];
        let found =
            places.iter().map(|place| Path::new(place).join("libsofthsm2.so")).find(|path| path.exists());
        found.expect("libsofthsm2.so is missing: install the package `softhsm2`")
    }
}

/// Arguments of a key that is fit.
pub const FIT: [&str; 6] = ["--key-type", "AES:32", "--id", "01", "--sensitive", "--private"];
