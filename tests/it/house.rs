//! A Sealift of its own for one test: documents and sources under `in/`, and everything the
//! program writes (lake, keys, ledger, temporary files, stdout and stderr) under `out/`.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use futures::SinkExt as _;
use sealift::secret::Reference;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::servers::postgres::Database;

/// The built program.
pub(crate) const SEALIFT: &str = env!("CARGO_BIN_EXE_sealift");

/// A folder with everything one Sealift needs.
pub(crate) struct House {
    folder: TempDir,
    env: Vec<(String, String)>,
    calls: Cell<u32>,
}

/// A finished call.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl House {
    /// A house that reads files from `in/drops` and publishes to `out/lake`.
    pub(crate) fn new() -> Self {
        let house = Self {
            folder: tempfile::Builder::new().prefix("sealift-").tempdir().unwrap(),
            env: Vec::new(),
            calls: Cell::new(0),
        };
        for folder in ["in/drops", "in/pipelines", "out/console", "out/home", "out/tmp"] {
            fs::create_dir_all(house.path(folder)).unwrap();
        }
        house.config("", "");
        house
    }

    /// Writes the configuration. `store` replaces the local folder, `connections` come beside
    /// `drops`; both are lines of YAML, unindented.
    pub(crate) fn config(&self, store: &str, connections: &str) {
        self.config_listening(store, connections, "");
    }

    /// As [`House::config`]; the lake is below `test` of bucket `lake`, on a server that takes any credentials.
    pub(crate) fn config_on_s3(&mut self, endpoint: &str, connections: &str) {
        let store = format!(
            "lake: {{url: \"s3://lake/test\", endpoint: \"{endpoint}\", access_key_id: \"env:TEST_KEY_ID\", \
             secret_access_key: \"env:TEST_SECRET\"}}"
        );
        self.config(&store, connections);
        self.env("TEST_KEY_ID", "test");
        self.env("TEST_SECRET", "test");
    }

    /// As [`House::config`], with more top-level lines.
    pub(crate) fn config_listening(&self, store: &str, connections: &str, more: &str) {
        let store = if store.is_empty() { "lake: {url: \"file:../out/lake\"}" } else { store };
        self.write(
            "in/sealift.yaml",
            &format!(
                "apiVersion: sealift/v1\n\
                 kind: Config\n\
                 pipelines: pipelines\n\
                 policy: policy.yaml\n\
                 metadata: {{sqlite: ../out/var/sealift.db}}\n\
                 keys: {{file: {{path: ../out/keys}}}}\n\
                 stores:\n{}\
                 connections:\n  drops: {{files: {{root: drops}}}}\n{}{more}\n",
                indented(store),
                indented(connections)
            ),
        );
    }

    /// Puts another metadata store into the configuration that is written.
    pub(crate) fn metadata(&self, store: &str) {
        let config = fs::read_to_string(self.path("in/sealift.yaml")).unwrap();
        let lines = config.lines().map(|line| match line.starts_with("metadata:") {
            true => format!("metadata: {store}\n"),
            false => format!("{line}\n"),
        });
        self.write("in/sealift.yaml", &lines.collect::<String>());
    }

    /// Writes the policy: `rules` are lines of YAML, unindented.
    pub(crate) fn policy(&self, rules: &str) {
        self.policy_with(rules, "");
    }

    /// Writes a policy; `more` are whole lines of YAML behind the rules.
    pub(crate) fn policy_with(&self, rules: &str, more: &str) {
        self.write(
            "in/policy.yaml",
            &format!(
                "apiVersion: sealift/v1\nkind: Policy\nname: test-policy\nunmatched: refuse\nrules:\n{}\n{more}",
                indented(rules)
            ),
        );
    }

    /// Writes a pipeline; `rest` is everything after `owner`, as whole lines of YAML.
    pub(crate) fn pipeline(&self, name: &str, rest: &str) {
        self.write(
            &format!("in/pipelines/{name}.yaml"),
            &format!("apiVersion: sealift/v1\nkind: Pipeline\nname: {name}\nowner: tests\n{rest}\n"),
        );
    }

    /// Sets a variable in the environment of every later call.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// A path inside the house.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file inside the house.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).unwrap();
    }

    /// A call of the program in an environment that holds nothing else.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(SEALIFT);
        self.furnish(&mut command);
        command.arg("--config").arg(self.path("in/sealift.yaml")).args(args);
        command
    }

    /// A call of the program through a shell script, where `"$@"` is the call.
    pub(crate) fn through(&self, wrapper: &[&str], script: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(wrapper[0]);
        self.furnish(&mut command);
        command.args(&wrapper[1..]).args(["bash", "-c", script, "bash", SEALIFT, "--config"]);
        command.arg(self.path("in/sealift.yaml")).args(args);
        self.finish(self.start(command))
    }

    fn furnish(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("out/home"))
            .env("TMPDIR", self.path("out/tmp"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path("out"))
            .stdin(Stdio::null());
    }

    /// Starts a call; what it prints is kept under `out/console`.
    pub(crate) fn start(&self, mut command: Command) -> Started {
        let call = self.calls.get();
        self.calls.set(call + 1);
        let stdout = self.path(&format!("out/console/{call:03}.stdout"));
        let stderr = self.path(&format!("out/console/{call:03}.stderr"));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Started { child, stdout, stderr }
    }

    /// Waits for a call to end.
    pub(crate) fn finish(&self, mut started: Started) -> Ran {
        let code = started.child.wait().unwrap().code();
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ran { code, stdout: read(&started.stdout), stderr: read(&started.stderr) }
    }

    /// Calls the program and waits.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.finish(self.start(self.command(args)))
    }

    /// Calls the program with `--json`, expects `code`, and gives the summary line.
    pub(crate) fn json(&self, args: &[&str], code: i32) -> Value {
        let ran = self.run(&[args, &["--json"]].concat());
        ran.expect(code).summary()
    }

    /// What a query finds, as an array of row objects.
    pub(crate) fn query(&self, sql: &str) -> Value {
        let ran = self.run(&["query", sql, "--format", "json"]);
        serde_json::from_str(ran.expect(0).stdout.trim()).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
    }

    /// The versions of a dataset that the local lake shows: its Delta log entries.
    pub(crate) fn versions(&self, dataset: &str) -> usize {
        let log = self.path("out/lake").join(dataset.replace('.', "/")).join("_delta_log");
        let Ok(entries) = fs::read_dir(log) else { return 0 };
        let is_commit =
            |name: &str| name.len() == "00000000000000000000.json".len() && name.ends_with(".json");
        entries.filter(|entry| is_commit(&entry.as_ref().unwrap().file_name().to_string_lossy())).count()
    }
}

/// A call under way.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

impl Ran {
    /// The same call, if it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON summary: the last line of stdout.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("no summary ({e}): {self:?}"))
    }

    /// Everything it printed.
    pub(crate) fn printed(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// The connection `db` to a test's database, as a line of the configuration.
pub(crate) fn connection(database: &Database) -> String {
    let settings = database.settings();
    let Some(Reference::File(password)) = &settings.password else { panic!("the password is in a file") };
    format!(
        "db: {{postgres: {{host: {}, port: {}, database: {}, user: {}, tls: disable, password: \"file:{}\"}}}}",
        settings.host,
        settings.port,
        settings.database,
        settings.user,
        password.display()
    )
}

/// Fills a table from CSV without a header.
pub(crate) async fn copy_csv(client: &Client, table: &str, csv: impl Read) {
    let sink = client.copy_in(&format!("COPY {table} FROM STDIN (FORMAT csv)")).await.unwrap();
    let mut sink = std::pin::pin!(sink);
    let mut csv = csv;
    loop {
        let mut chunk = vec![0; 1 << 16];
        let read = csv.read(&mut chunk).unwrap();
        if read == 0 {
            break;
        }
        chunk.truncate(read);
        sink.send(Bytes::from(chunk)).await.unwrap();
    }
    sink.finish().await.unwrap();
}

/// The Python environment that `tests/run` prepares.
pub(crate) fn python() -> Command {
    let venv = std::env::var_os("SEALIFT_TEST_VENV")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venv"), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "{} is missing: run the tests through tests/run", python.display());
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a script of `tests/python` and gives the JSON line it prints.
pub(crate) fn script(name: &str, args: &[&str], env: &[(&str, &str)]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name);
    let output = python().arg(path).args(args).envs(env.iter().copied()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{name} {args:?}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{e}: {stdout}"))
}

/// Numbers for tests: the same seed gives the same run again.
pub(crate) struct Dice(u64);

impl Dice {
    /// From `SEALIFT_TEST_SEED`, or else a new seed; either way it is printed.
    pub(crate) fn new(test: &str) -> Self {
        let fresh = || {
            let mut seed = [0; 8];
            getrandom::fill(&mut seed).unwrap();
            u64::from_le_bytes(seed)
        };
        let seed = std::env::var("SEALIFT_TEST_SEED").map_or_else(|_| fresh(), |text| text.parse().unwrap());
        println!("{test}: SEALIFT_TEST_SEED={seed}");
        Self(seed)
    }

    /// Dice with a fixed seed.
    pub(crate) const fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// What repeats all that is drawn from now on.
    pub(crate) const fn seed(&self) -> u64 {
        self.0
    }

    /// The next 64 bits (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Letters and digits.
    pub(crate) fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(LETTERS[self.next() as usize % LETTERS.len()])).collect()
    }
}
