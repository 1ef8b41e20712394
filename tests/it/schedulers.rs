//! Schedulers ask a daemon for runs as docs/schedulers.md says: its job, lines, unit files, DAG and definitions are run as
//! they stand there. The client of clients/python is tried too.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sealift::secret::Reference;
use serde_json::{Value, json};

use crate::daemon::{free_port, serving, terminate, wait_for};
use crate::house::{House, SEALIFT, Started, connection, python};
use crate::servers::postgres::Database;

const DATE: &str = "20261129";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands below a heading of the page, in the first block of the language.
fn block(heading: &str, language: &str) -> String {
    let page = fs::read_to_string(root().join("docs/schedulers.md")).unwrap();
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, from) = below.split_once(&format!("```{language}\n")).unwrap();
    from.split_once("```").unwrap().0.to_owned()
}

/// A daemon that serves pipelines with every kind of end; `gated` waits for whoever locks the table `gate`.
struct World {
    house: House,
    database: Database,
    daemon: Started,
    url: String,
    token: String,
    http: reqwest::Client,
}

impl World {
    async fn new() -> Self {
        let database = Database::create().await;
        database.client.batch_execute("CREATE TABLE gate AS SELECT 1 AS id").await.unwrap();
        let (house, port) = (House::new(), free_port());
        let listen = format!("listen: {{http: \"127.0.0.1:{port}\"}}");
        house.config_listening("", &connection(&database), &listen);
        house.policy("- {tags: [public], action: allow}");
        for stream in ["rows", "customers", "orders"] {
            house.write(&format!("in/drops/{stream}.csv"), "id,city\n1,Bern\n2,Chur\n");
        }
        let pipeline = |name: &str, from: &str, streams: &str| {
            house.pipeline(
                name,
                &format!("connection: {from}\ndataset: \"{name}.{{stream}}\"\nstreams:\n{streams}"),
            );
        };
        let public = "columns: {\"*\": {tag: public}}";
        pipeline("daily", "drops", &format!("  rows: {{path: rows.csv, {public}}}"));
        pipeline("held", "drops", "  rows: {path: rows.csv, columns: {\"*\": {tag: secret}}}");
        let demand = "quality: [{row_count: {max: 1}}]";
        pipeline("dirty", "drops", &format!("  rows: {{path: rows.csv, {public}, {demand}}}"));
        pipeline("gated", "db", &format!("  rows: {{query: \"SELECT id FROM gate\", {public}}}"));
        let streams = ["customers", "orders"].map(|s| format!("  {s}: {{path: {s}.csv, {public}}}\n"));
        pipeline("crm", "drops", &streams.concat());
        let (daemon, url, token) = serving(&house, port, "scheduler").await;
        Self { house, database, daemon, url, token, http: reqwest::Client::new() }
    }

    /// Runs of `gated` wait from now on.
    async fn close_gate(&self) {
        self.database.client.batch_execute("BEGIN; LOCK TABLE gate").await.unwrap();
    }

    async fn open_gate(&self) {
        self.database.client.batch_execute("COMMIT").await.unwrap();
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await.unwrap()
    }

    /// The runs of a pipeline, newest first.
    async fn runs(&self, pipeline: &str) -> Vec<Value> {
        let listed: Value = self.get(&format!("/v1/runs?pipeline={pipeline}")).await.json().await.unwrap();
        listed["runs"].as_array().unwrap().clone()
    }

    /// Triggers that the daemon has taken.
    async fn taken(&self) -> f64 {
        self.answered("202").await
    }

    /// Triggers that it has answered with a status.
    async fn answered(&self, status: &str) -> f64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let status = format!("status=\"{status}\"");
        let of = |line: &&str| line.contains("method=\"POST\"") && line.contains(&status);
        let counted = text.lines().find(of).and_then(|line| line.rsplit(' ').next());
        counted.map_or(0.0, |count| count.parse().unwrap())
    }

    /// A call in an environment of its own, that knows the daemon and the database.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let database = self.database.settings();
        let Some(Reference::File(password)) = &database.password else { panic!("the password is in a file") };
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.house.path("out/home"))
            .env("TMPDIR", self.house.path("out/tmp"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SEALIFT_URL", &self.url)
            .env("SEALIFT_TOKEN", &self.token)
            .env("SEALIFT_CLIENT_TESTS", root().join("clients/python/tests"))
            .env("PGHOST", &database.host)
            .env("PGPORT", database.port.to_string())
            .env("PGDATABASE", &database.database)
            .env("PGUSER", &database.user)
            .env("PGPASSWORD", fs::read_to_string(password).unwrap().trim())
            .current_dir(self.house.path("out"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The JSON line that a script of `tests/python` prints, run with Airflow, Dagster and the built client.
    fn script(&self, name: &str, environment: &[(&str, &str)]) -> Value {
        let python = beside_airflow("python");
        let site = self.house.path("out/site");
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"];
        let mut built = self.command(&python);
        built.args(install).arg("--target").arg(&site).arg(root().join("clients/python"));
        succeeded(built.output().unwrap());
        let mut command = self.command(&python);
        command.arg(root().join("tests/python").join(name));
        command.env("PYTHONPATH", &site).envs(environment.iter().copied());
        let output = command.output().unwrap();
        for told in [&output.stdout, &output.stderr] {
            assert!(!holds(told, &self.token), "{name} tells the token");
        }
        serde_json::from_str(succeeded(output).lines().last().unwrap()).unwrap()
    }

    fn end(self) {
        terminate(&self.daemon);
        self.house.finish(self.daemon).expect(0);
    }
}

fn succeeded(output: Output) -> String {
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// A program of the environment with Airflow and Dagster, which `tests/run` prepares beside the other.
fn beside_airflow(program: &str) -> PathBuf {
    let usual = PathBuf::from(python().get_program());
    let venv = usual.parent().and_then(Path::parent).unwrap().with_file_name("venv-airflow");
    let program = venv.join("bin").join(program);
    assert!(program.exists(), "{} is missing: run the tests through tests/run", program.display());
    program
}

fn ids(runs: &[Value]) -> BTreeSet<&str> {
    runs.iter().map(|run| run["run_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_client_for_python_asks_waits_and_tells_outcomes_apart() {
    let world = World::new().await;
    let reader = world.house.json(&["token", "create", "reader", "--role", "modeler"], 0)["token"].clone();
    let mut tests = world.command(python().get_program());
    tests
        .args(["-m", "unittest", "discover", "-s"])
        .arg(root().join("clients/python/tests"))
        .env("PYTHONPATH", root().join("clients/python/src"))
        .env("SEALIFT_TEST_READER", reader.as_str().unwrap());
    succeeded(tests.output().unwrap());
    world.end();
}

/// The job of the page, as a scheduler would call it.
struct Job<'a> {
    world: &'a World,
    path: PathBuf,
    token: String,
}

impl<'a> Job<'a> {
    fn new(world: &'a World) -> Self {
        world.house.write("in/sealift-job", &block("A shell job", "sh"));
        world.house.write("in/token", &world.token);
        let path = world.house.path("in/sealift-job");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { world, path, token: format!("file:{}", world.house.path("in/token").display()) }
    }

    fn furnished(&self, mut command: Command) -> Command {
        command.env_remove("SEALIFT_TOKEN").env("SEALIFT", SEALIFT).env("SEALIFT_TOKEN_REF", &self.token);
        command
    }

    fn start(&self, args: &[&str]) -> Child {
        self.start_patient(args, "")
    }

    /// Tries again what can pass after so many seconds each.
    fn start_patient(&self, args: &[&str], pauses: &str) -> Child {
        let mut command = self.furnished(self.world.command(&self.path));
        command.args(args).env("SEALIFT_PAUSES", pauses).spawn().unwrap()
    }

    /// Its exit code.
    fn run(&self, args: &[&str]) -> Option<i32> {
        self.start(args).wait().unwrap().code()
    }

    /// A line of the page that calls the job, through a shell; the exit code.
    fn line(&self, line: &str) -> Option<i32> {
        let line = line.replace("/opt/sealift/sealift-job", self.path.to_str().unwrap());
        self.furnished(self.world.command("sh")).args(["-c", &line]).status().unwrap().code()
    }
}

#[tokio::test]
async fn a_shell_job_ends_with_the_code_of_its_run_and_forcing_it_is_harmless() {
    let world = World::new().await;
    let job = Job::new(&world);
    assert_eq!(job.run(&["crm", DATE]), Some(0));
    assert_eq!(job.run(&["crm", DATE]), Some(0), "forced");
    assert_eq!(world.runs("crm").await.len(), 1);
    assert_eq!(world.house.versions("crm.customers"), 1);

    assert_eq!(job.run(&["dirty", DATE]), Some(65));
    assert_eq!(job.run(&["held", DATE]), Some(76));
    assert_eq!(job.run(&["held", DATE]), Some(76), "the run of its date");
    assert_eq!(world.runs("held").await.len(), 1);
    assert_eq!(job.run(&["held", DATE, "2"]), Some(76), "another attempt is another run");
    assert_eq!(world.runs("held").await.len(), 2);
    assert_eq!(job.run(&["nobody", DATE]), Some(2));
    assert_eq!(job.run(&["crm"]), Some(2), "without a date it is no job");
    world.end();
}

#[tokio::test]
async fn a_shell_job_that_is_forced_or_killed_while_it_runs_has_one_run() {
    let world = World::new().await;
    let job = Job::new(&world);
    world.close_gate().await;
    let mut first = job.start(&["gated", DATE]);
    wait_for("the first start", || async { (world.taken().await >= 1.0).then_some(()) }).await;
    let mut forced = job.start(&["gated", DATE]);
    wait_for("the second start", || async { (world.taken().await >= 2.0).then_some(()) }).await;
    assert_eq!(job.run(&["gated", "20261130"]), Some(75), "another order waits until this one is over");
    let mut patient = job.start_patient(&["gated", "20261201"], &"1 ".repeat(60));
    wait_for("its first try", || async { (world.answered("409").await >= 2.0).then_some(()) }).await;
    // Killing the job ends neither the run nor who else waits for it.
    first.kill().unwrap();
    first.wait().unwrap();
    let mut again = job.start(&["gated", DATE]);
    wait_for("the third start", || async { (world.taken().await >= 3.0).then_some(()) }).await;
    world.open_gate().await;
    assert_eq!(forced.wait().unwrap().code(), Some(0));
    assert_eq!(again.wait().unwrap().code(), Some(0));
    assert_eq!(patient.wait().unwrap().code(), Some(0));
    assert_eq!(world.runs("gated").await.len(), 2, "one for each order");
    assert_eq!(world.house.versions("gated.rows"), 2);
    assert_eq!(job.run(&["gated", "20261130"]), Some(0));
    world.end();
}

#[tokio::test]
async fn lines_of_cron_and_of_unit_files_call_the_job() {
    let world = World::new().await;
    let job = Job::new(&world);
    let cron = block("cron", "text");
    // Five fields and the user come first; cron takes `\%` for `%`.
    let (_, line) = cron.split_once("sealift  ").unwrap();
    assert_eq!(job.line(&line.replace("\\%", "%")), Some(0));
    assert_eq!(world.runs("crm").await.len(), 1);

    let page = block("systemd timers", "ini");
    let line = page.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert_eq!(job.line(&line.replace("%%", "%")), Some(0));
    assert_eq!(world.runs("crm").await.len(), 1, "it is the run of the day already");

    let folder = world.house.path("out/units");
    fs::create_dir(&folder).unwrap();
    let mut units = Vec::new();
    for unit in page.split("# /etc/systemd/system/").skip(1) {
        let (head, text) = unit.split_once('\n').unwrap();
        let path = folder.join(head.split(':').next().unwrap());
        fs::write(&path, text).unwrap();
        units.push(path);
    }
    assert_eq!(units.len(), 3);
    are_sound(world.command("systemd-analyze"), &folder, &units);
    world.end();
}

/// Nothing is said against these units.
fn are_sound(mut systemd_analyze: Command, folder: &Path, units: &[PathBuf]) {
    systemd_analyze.arg("verify").args(units).env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()));
    let said = systemd_analyze.output().unwrap();
    let told = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && !told.contains(folder.to_str().unwrap()), "{told}");
}

#[test]
fn the_unit_of_the_daemon_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("config/sealift.service")).unwrap();
    assert!(text.contains("ExecStart=/usr/local/bin/sealift "));
    let unit = folder.path().join("sealift.service");
    fs::write(&unit, text.replace("/usr/local/bin/sealift", "/bin/true")).unwrap();
    are_sound(Command::new("systemd-analyze"), folder.path(), &[unit]);
}

#[tokio::test]
async fn a_dag_of_airflow_triggers_waits_and_takes_up_what_is_there() {
    let world = World::new().await;
    let airflow = world.house.path("out/airflow");
    fs::create_dir_all(airflow.join("dags")).unwrap();
    fs::write(airflow.join("dags/crm.py"), block("Airflow", "python")).unwrap();
    fs::copy(root().join("tests/python/airflow/trials.py"), airflow.join("dags/trials.py")).unwrap();
    let daemon = json!({"conn_type": "sealift", "host": world.url, "password": world.token}).to_string();
    let told = world.script(
        "airflow_runs.py",
        &[
            ("AIRFLOW_HOME", airflow.to_str().unwrap()),
            ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
            ("AIRFLOW_CONN_SEALIFT_DEFAULT", daemon.as_str()),
        ],
    );
    assert_eq!(told["provider"]["known"], true, "{told}");

    let (recipe, crm) = (&told["recipe"], world.runs("crm").await);
    let succeeded = json!([["fresh", "success", 1], ["sync", "success", 1]]);
    for start in ["by_command_line", "first", "again"] {
        let given = &recipe[start]["given"]["sync"];
        assert_eq!((&recipe[start]["states"], &given["outcome"]), (&succeeded, &json!("done")), "{recipe}");
        assert!(ids(&crm).contains(given["run_id"].as_str().unwrap()), "{recipe}");
    }
    assert_eq!(recipe["first"]["given"], recipe["again"]["given"]);
    assert_eq!(recipe["first"]["given"]["fresh"], recipe["first"]["given"]["sync"]);
    assert_eq!((crm.len(), world.house.versions("crm.customers")), (2, 2), "forced, it is the same run");

    for dag in ["held_deferred", "held_blocking", "dirty_deferred", "dirty_blocking"] {
        assert_eq!(told["bad_ends"][dag], json!([["sync", "failed", 1]]), "no retry can mend it: {told}");
    }
    assert_eq!(told["bad_ends"]["late"], json!([["fresh", "failed", 1]]));
    assert_eq!(world.runs("dirty").await.len(), 2);
    assert_eq!(world.runs("held").await.len(), 3, "one of them was started anew after it had failed");

    let busy = &told["busy"];
    let (state, tries) = (&busy["states"][0][1], busy["states"][0][2].as_u64());
    assert!(*state == "success" && tries > Some(1), "a run that another one has is waited for: {busy}");
    assert_ne!(busy["given"]["sync"]["run_id"], busy["other"]);
    let awaited = &told["awaited"];
    assert_eq!(awaited["given"]["fresh"]["run_id"], awaited["run_id"]);
    assert_eq!(told["since"], json!(["2026-11-29T02:00:00+00:00", "2026-11-29T02:00:00+00:00"]));
    let moved = &told["moved"];
    let over = json!([{"run_id": moved["run_id"], "until": null, "error": null}]);
    assert_eq!((&moved["events"], &moved["shows_token"]), (&over, &json!(false)));
    assert_eq!(told["killed"], json!(["cancelled", "cancelled"]));
    keeps_no_token(&airflow, &world.token);
    world.end();
}

fn holds(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|found| found == words.as_bytes())
}

/// Neither database nor logs of Airflow hold the token.
fn keeps_no_token(folder: &Path, token: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            keeps_no_token(&path, token);
        } else {
            assert!(!holds(&fs::read(&path).unwrap(), token), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn assets_of_dagster_are_materialised_by_a_run() {
    let world = World::new().await;
    world.house.write("in/definitions.py", &block("Dagster", "python"));
    let definitions = world.house.path("in/definitions.py");
    let home = world.house.path("out/home");
    let told = world.script(
        "dagster_assets.py",
        &[("SEALIFT_RECIPE", definitions.to_str().unwrap()), ("DAGSTER_HOME", home.to_str().unwrap())],
    );
    let recipe = &told["recipe"];
    assert_eq!(recipe["success"], true, "{told}");
    let crm = world.runs("crm").await;
    assert_eq!(crm.len(), 1);
    for (asset, dataset) in [("crm/customers", "crm.customers"), ("crm/orders", "crm.orders")] {
        let recorded = &recipe["assets"][asset];
        assert_eq!(recorded["dagster/row_count"], 2, "{told}");
        assert_eq!(recorded["sealift/dataset"], dataset);
        assert_eq!((&recorded["sealift/version"], &recorded["data_version"]), (&json!(0), &json!("0")));
        assert_eq!(recorded["sealift/run_id"], crm[0]["run_id"]);
        assert!(recorded["sealift/bytes"].as_u64() > Some(0));
    }
    for (case, said) in [("held", "held: "), ("missing", "did not publish daily.others")] {
        let ended = &told[case];
        assert_eq!((&ended["success"], &ended["restarts"]), (&json!(false), &json!(0)), "{ended}");
        assert!(ended["failed"].to_string().contains(said), "{ended}");
    }
    assert_eq!((&told["busy"]["success"], &told["busy"]["restarts"]), (&json!(true), &json!(1)));
    assert_eq!(world.runs("gated").await.len(), 2);
    assert_eq!(told["interrupted"], json!(["trigger", "wait", "cancel"]));
    assert_eq!(told["shows_token"], false);
    world.end();
}
