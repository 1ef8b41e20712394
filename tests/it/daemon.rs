//! The daemon as a program: started, asked over HTTP, stopped by SIGTERM.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::house::{House, Started, script};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn house(listen: u16) -> House {
    let house = House::new();
    house.config_listening("", "", &format!("listen: {{http: \"127.0.0.1:{listen}\"}}"));
    house.policy("- {tags: [public], action: allow}");
    house.write("in/drops/rows.csv", "id,city\n1,Bern\n2,Chur\n");
    house.pipeline(
        "daily",
        "connection: drops\ndataset: \"daily.{stream}\"\nstreams:\n  rows:\n    path: rows.csv\n    \
         format: {csv: {}}\n    columns: {\"*\": {tag: public}}",
    );
    house
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks until `done` says so.
pub(crate) async fn wait_for<F: Future<Output = Option<T>>, T>(what: &str, mut done: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn terminate(started: &Started) {
    let pid = i32::try_from(started.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// It began anew with the allocator's settings, as the same process and under its own name.
fn returns_freed_memory(daemon: &Started) {
    if let Some(environment) = of_root_only(daemon, "environ") {
        assert!(environment.split('\0').any(|variable| variable == "MALLOC_MMAP_THRESHOLD_=1048576"));
    }
    assert_eq!(of_process(daemon, "comm").unwrap().trim(), "sealift");
}

/// Nothing of its memory can be had: neither by its death nor by others of its user.
fn is_closed_to_others(daemon: &Started) {
    let limits = of_process(daemon, "limits").unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"], "{cores}");
    // The kernel gives these to root where the process is not dumpable.
    let owner = std::fs::metadata(format!("/proc/{}/environ", daemon.child.id())).unwrap().uid();
    assert_eq!(owner, 0);
    of_root_only(daemon, "environ");
}

fn of_process(daemon: &Started, file: &str) -> std::io::Result<String> {
    let bytes = std::fs::read(format!("/proc/{}/{file}", daemon.child.id()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What root may read of it, and nobody else.
fn of_root_only(daemon: &Started, file: &str) -> Option<String> {
    match of_process(daemon, file) {
        Ok(text) => {
            assert!(rustix::process::geteuid().is_root(), "{file} can be read");
            Some(text)
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{file}");
            None
        }
    }
}

#[tokio::test]
async fn a_run_triggered_over_http_is_published_and_sigterm_ends_the_daemon_with_0() {
    let port = free_port();
    let house = house(port);
    let (daemon, url, token) = serving(&house, port, "scheduler").await;
    let http = reqwest::Client::new();

    returns_freed_memory(&daemon);
    is_closed_to_others(&daemon);

    let trigger = format!("{url}/v1/pipelines/daily/runs");
    assert_eq!(http.post(&trigger).send().await.unwrap().status(), 401, "without a token");
    assert_eq!(http.post(&trigger).bearer_auth("wrong").send().await.unwrap().status(), 401);
    let answer = http.post(&trigger).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let run_id = answer.json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned();

    let run = wait_for("the end of the run", || async {
        let answer = http.get(format!("{url}/v1/runs/{run_id}")).bearer_auth(&token).send().await.unwrap();
        let run: Value = answer.json().await.unwrap();
        (run["outcome"].is_string()).then_some(run)
    })
    .await;
    assert_eq!(run["outcome"], "done", "{run}");
    assert_eq!(run["run_id"], run_id);

    let metrics = format!("{url}/metrics");
    assert_eq!(
        http.get(&metrics).send().await.unwrap().status(),
        401,
        "pipelines' names are for those with a token"
    );
    // A run is counted just after its end can be seen.
    let text = wait_for("the end of the run in the metrics", || async {
        let answer = http.get(&metrics).bearer_auth(&token).send().await.unwrap();
        let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(media_type.starts_with("application/openmetrics-text"), "{media_type}");
        let text = answer.text().await.unwrap();
        text.contains("sealift_active_runs 0").then_some(text)
    })
    .await;
    house.write("in/metrics.txt", &text);
    let samples = script("metrics.py", &[house.path("in/metrics.txt").to_str().unwrap()], &[]);
    for (sample, value) in [
        ("sealift_runs_total{outcome=\"done\",pipeline=\"daily\",trigger=\"api\"}", 1.0),
        ("sealift_run_duration_seconds_count{outcome=\"done\"}", 1.0),
        ("sealift_published_rows_total{dataset=\"daily.rows\"}", 2.0),
        ("sealift_active_runs{}", 0.0),
        (
            "sealift_http_requests_total{method=\"POST\",route=\"/v1/pipelines/{name}/runs\",status=\"202\"}",
            1.0,
        ),
        (
            "sealift_http_requests_total{method=\"POST\",route=\"/v1/pipelines/{name}/runs\",status=\"401\"}",
            2.0,
        ),
    ] {
        assert_eq!(samples[sample].as_f64(), Some(value), "{sample}: {samples}");
    }

    terminate(&daemon);
    house.finish(daemon).expect(0);
    assert_eq!(house.query("SELECT count(*) AS n FROM daily.rows")[0]["n"], 2);
    assert_eq!(house.versions("daily.rows"), 1);
}

/// A daemon that is ready, its address, and a token of the role.
pub(crate) async fn serving(house: &House, port: u16, role: &str) -> (Started, String, String) {
    let token = house.json(&["token", "create", role, "--role", role], 0)["token"].clone();
    let token = token.as_str().unwrap().to_owned();
    (ready(house, port).await, format!("http://127.0.0.1:{port}"), token)
}

/// A daemon that is ready.
pub(crate) async fn ready(house: &House, port: u16) -> Started {
    let daemon = house.start(house.command(&["serve"]));
    let url = format!("http://127.0.0.1:{port}/readyz");
    let http = reqwest::Client::new();
    wait_for("readiness", || async {
        http.get(&url).send().await.ok().filter(|answer| answer.status() == 200)
    })
    .await;
    daemon
}

#[tokio::test]
async fn one_key_makes_one_run_however_often_it_is_sent() {
    let port = free_port();
    let house = house(port);
    house.pipeline(
        "other",
        "connection: drops\ndataset: \"other.{stream}\"\nstreams:\n  rows:\n    path: rows.csv\n    \
         columns: {\"*\": {tag: public}}",
    );
    let (daemon, url, token) = serving(&house, port, "scheduler").await;
    let stranger = house.json(&["token", "create", "second", "--role", "engineer"], 0)["token"].clone();
    let http = reqwest::Client::new();
    let send = |pipeline: &str, token: &str, key: &str| {
        let trigger = http.post(format!("{url}/v1/pipelines/{pipeline}/runs"));
        let sent = trigger.bearer_auth(token).header("idempotency-key", key).send();
        async move {
            let answer = sent.await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    let all = futures::future::join_all((0..100).map(|_| send("daily", &token, "order-2026-11-29"))).await;
    let (_, first) = all[0].clone();
    for (status, said) in all {
        assert_eq!((status, &said["run_id"]), (202, &first["run_id"]), "{said}");
    }
    let run_id = first["run_id"].as_str().unwrap();
    let answer =
        http.get(format!("{url}/v1/runs/{run_id}?wait=25")).bearer_auth(&token).send().await.unwrap();
    let run: Value = answer.json().await.unwrap();
    assert_eq!(run["outcome"], "done", "{run}");
    // Over, it is that run still.
    assert_eq!(send("daily", &token, "order-2026-11-29").await.1["run_id"], run_id);
    assert_eq!(house.versions("daily.rows"), 1);

    let (status, said) = send("other", &token, "order-2026-11-29").await;
    assert_eq!((status, said["type"].as_str().unwrap()), (422, "urn:sealift:problem:key-reused"));
    assert_eq!(send("daily", &token, "two words").await.0, 400);
    let (status, said) = send("daily", stranger.as_str().unwrap(), "order-2026-11-29").await;
    assert_eq!(status, 202, "another caller's key is another one: {said}");
    assert_ne!(said["run_id"], run_id);
    for wait in ["26", "-1", "soon"] {
        let asked = http.get(format!("{url}/v1/runs/{run_id}?wait={wait}")).bearer_auth(&token);
        assert_eq!(asked.send().await.unwrap().status(), 400, "{wait}");
    }
    terminate(&daemon);
    house.finish(daemon);
}

#[tokio::test]
async fn a_job_of_a_scheduler_triggers_waits_and_ends_as_its_run_does() {
    let port = free_port();
    let mut house = house(port);
    house.pipeline(
        "held",
        "connection: drops\ndataset: \"held.{stream}\"\nstreams:\n  rows:\n    path: rows.csv\n    \
         columns: {\"*\": {tag: secret}}",
    );
    house.env("SEALIFT_URL", &format!("http://127.0.0.1:{port}"));
    house.env("SEALIFT_TOKEN", "sl_unknown");
    let gone = house.run(&["trigger", "daily"]);
    assert!(gone.expect(69).stderr.contains("SEALIFT_URL"), "{gone:?}");

    let (daemon, _, token) = serving(&house, port, "scheduler").await;
    house.run(&["trigger", "daily", "--wait"]).expect(77);
    house.env("SEALIFT_TOKEN", &token);
    let job = ["trigger", "daily", "--wait", "--idempotency-key", "order-1"];
    let first = house.json(&job, 0);
    assert_eq!((&first["outcome"], &first["streams"][0]["rows"]), (&"done".into(), &2.into()), "{first}");
    // Forced to start a second time, it is the same run and the same end.
    assert_eq!(house.json(&job, 0)["run_id"], first["run_id"]);
    assert_eq!(house.versions("daily.rows"), 1);
    let shown = house.run(&["trigger", "daily", "--wait"]);
    assert!(shown.expect(0).stdout.contains("daily.rows"), "{shown:?}");
    let run_id = house.run(&["trigger", "daily"]).expect(0).stdout.trim().to_owned();
    assert!(!run_id.is_empty());
    house.run(&["trigger", "daily", "--join", "--wait"]).expect(0);

    let held = house.run(&["trigger", "held", "--wait", "--json"]);
    assert!(held.expect(76).stderr.contains("help:"), "{held:?}");
    assert_eq!(held.summary()["outcome"], "held", "{held:?}");
    house.run(&["trigger", "nobody", "--wait"]).expect(2);
    house.run(&["pause", "nobody"]).expect(2);
    assert_eq!(house.json(&["pause", "daily"], 0)["paused"], true);
    house.run(&["trigger", "daily", "--wait"]).expect(0);
    assert!(house.run(&["resume", "daily"]).expect(0).stdout.contains("goes on"));
    house.run(&["trigger", "daily", "--url", "http://sealift.example.com"]).expect(78);
    terminate(&daemon);
    house.finish(daemon);
}

#[tokio::test]
async fn a_service_manager_hears_when_it_is_ready_alive_and_stopping() {
    let port = free_port();
    let mut house = house(port);
    let socket = house.path("out/notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    house.env("NOTIFY_SOCKET", socket.to_str().unwrap());
    house.env("WATCHDOG_USEC", "200000");
    let daemon = house.start(house.command(&["serve"]));
    let next = || {
        let mut bytes = [0; 512];
        let length = heard.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let ready = next();
    assert!(ready.contains("READY=1\n") && ready.contains("STATUS=serves 1 pipelines"), "{ready}");
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await.unwrap();
    assert_eq!(answer.status(), 200, "it is ready when it says so");
    for _ in 0..3 {
        assert_eq!(next().trim(), "WATCHDOG=1");
    }
    terminate(&daemon);
    let stopping = loop {
        let said = next();
        if !said.contains("WATCHDOG") {
            break said;
        }
    };
    assert!(
        stopping.contains("STOPPING=1") && stopping.contains("EXTEND_TIMEOUT_USEC=45000000"),
        "{stopping}"
    );
    house.finish(daemon).expect(0);
}

#[tokio::test]
async fn a_daemon_that_cannot_listen_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let house = house(taken.local_addr().unwrap().port());
    let ran = house.run(&["serve"]);
    assert!(matches!(ran.code, Some(1 | 75 | 78)), "{ran:?}");
    assert!(ran.stderr.contains("127.0.0.1"), "{}", ran.stderr);
}
