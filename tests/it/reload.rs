//! What changes on disk while the daemon serves comes into force when it is valid, and never otherwise.

mod documents;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sealift::govern::audit;
use sealift::run::ledger::Ledger;
use sealift::spec::config::Metadata;
use serde_json::Value;

use crate::daemon::{PATIENCE, free_port, house, serving, terminate, wait_for};
use crate::house::{House, Started, connection};
use crate::servers::postgres::{Database, Server};

/// Longer than a change takes to be heard of, and much shorter than the looks are apart that nothing asks for.
const PROMPTLY: Duration = Duration::from_secs(10);

/// A daemon that is asked over its API.
struct Served {
    daemon: Started,
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Served {
    async fn of(house: &House, port: u16) -> Self {
        let (daemon, url, token) = serving(house, port, "scheduler").await;
        Self { daemon, url, token, http: reqwest::Client::new() }
    }

    async fn get(&self, path: &str) -> Value {
        let asked = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await;
        asked.unwrap().json().await.unwrap()
    }

    /// Names and descriptions of the pipelines in force.
    async fn pipelines(&self) -> Vec<(String, String)> {
        let listed = self.get("/v1/pipelines").await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let shown = |one: &Value| (text(&one["name"]), text(&one["description"]));
        listed["pipelines"].as_array().unwrap().iter().map(shown).collect()
    }

    /// Waits until these are the pipelines in force, with these descriptions; promptly, because the change was heard of.
    async fn wait_for_pipelines(&self, wanted: &[(&str, &str)]) {
        let wanted: Vec<_> =
            wanted.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let begun = Instant::now();
        wait_for(&format!("{wanted:?}"), || async { (self.pipelines().await == wanted).then_some(()) }).await;
        assert!(begun.elapsed() < PROMPTLY, "{wanted:?} took {:?}", begun.elapsed());
    }

    /// Waits until the daemon's log says so.
    async fn wait_for_log(&self, said: &str) {
        wait_for(&format!("`{said}` in the log"), || async { self.log().contains(said).then_some(()) }).await;
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.daemon.stderr).unwrap()
    }

    async fn trigger(&self, pipeline: &str) -> String {
        let trigger = self.http.post(format!("{}/v1/pipelines/{pipeline}/runs", self.url));
        let answer = trigger.bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json::<Value>().await.unwrap()["run_id"].as_str().unwrap().to_owned()
    }

    /// The outcome of a run, once it is over.
    async fn outcome(&self, run_id: &str) -> String {
        let run = wait_for("the end of the run", || async {
            let run = self.get(&format!("/v1/runs/{run_id}?wait=5")).await;
            run["outcome"].is_string().then_some(run)
        });
        run.await["outcome"].as_str().unwrap().to_owned()
    }

    fn hang_up(&self) {
        let pid = i32::try_from(self.daemon.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    fn end(self, house: &House) {
        terminate(&self.daemon);
        house.finish(self.daemon).expect(0);
    }
}

fn document(house: &House, name: &str, description: &str) {
    house.pipeline(name, &body(name, description));
}

fn body(name: &str, description: &str) -> String {
    format!(
        "description: {description}\nconnection: drops\ndataset: \"{name}.{{stream}}\"\nstreams:\n  rows:\n    \
         path: rows.csv\n    columns: {{\"*\": {{tag: public}}}}"
    )
}

/// Subjects of what the trail says was done, oldest first.
async fn recorded(house: &House, action: &str) -> Vec<String> {
    let ledger = Ledger::open(&Metadata::Sqlite(house.path("out/var/sealift.db"))).await.unwrap();
    let rows = audit::entries(&ledger, 100).await.unwrap();
    rows.into_iter().rev().filter(|row| row.action == action).map(|row| row.subject).collect()
}

#[tokio::test]
async fn a_document_that_comes_changes_breaks_is_mended_moves_and_goes_needs_no_restart() {
    let port = free_port();
    let house = house(port);
    let served = Served::of(&house, port).await;
    let file = |name: &str| house.path(&format!("in/pipelines/{name}.yaml"));

    document(&house, "added", "one");
    served.wait_for_pipelines(&[("added", "one"), ("daily", "")]).await;
    let run_id = served.trigger("added").await;
    assert_eq!(served.outcome(&run_id).await, "done");
    document(&house, "added", "two");
    served.wait_for_pipelines(&[("added", "two"), ("daily", "")]).await;

    house.pipeline("added", "conection: drops");
    served.wait_for_log("added.yaml:5:1").await;
    served.wait_for_log("in_force=\"added\"").await;
    assert_eq!(served.pipelines().await, [("added".into(), "two".into()), ("daily".into(), String::new())]);
    let run_id = served.trigger("added").await;
    assert_eq!(served.outcome(&run_id).await, "done");
    document(&house, "added", "three");
    served.wait_for_pipelines(&[("added", "three"), ("daily", "")]).await;

    // An editor writes beside the file and puts that in its place.
    fs::write(house.path("in/pipelines/.added.yaml.swp"), "half").unwrap();
    let text = fs::read_to_string(file("added")).unwrap().replace("three", "four");
    fs::write(house.path("in/added.tmp"), text).unwrap();
    fs::rename(house.path("in/added.tmp"), file("added")).unwrap();
    served.wait_for_pipelines(&[("added", "four"), ("daily", "")]).await;

    fs::copy(file("added"), file("again")).unwrap();
    served.wait_for_log("another pipeline is named `added`").await;
    // In another file, it is the same pipeline; the copy has what was not its own as soon as the first is gone.
    fs::remove_file(file("added")).unwrap();
    let text = fs::read_to_string(file("again")).unwrap().replace("four", "five");
    fs::write(file("again"), text).unwrap();
    served.wait_for_pipelines(&[("added", "five"), ("daily", "")]).await;
    fs::remove_file(file("again")).unwrap();
    served.wait_for_pipelines(&[("daily", "")]).await;

    let changes = recorded(&house, "pipeline.change").await;
    assert!(changes[0].starts_with("added from none to "), "{changes:?}");
    assert!(changes.last().unwrap().ends_with(" to none"), "{changes:?}");
    for (before, after) in changes.iter().zip(&changes[1..]) {
        let (old, new) = (after.split(' ').nth(2), before.split(' ').nth(4));
        assert_eq!(old, new, "each goes on where the last one ended: {changes:?}");
    }
    served.end(&house);
}

#[tokio::test]
async fn an_invalid_document_does_not_keep_the_others_from_being_served() {
    let port = free_port();
    let house = house(port);
    house.pipeline("broken", "conection: drops");
    let served = Served::of(&house, port).await;
    served.wait_for_log("broken.yaml:5:1").await;
    served.wait_for_pipelines(&[("daily", "")]).await;
    document(&house, "broken", "mended");
    served.wait_for_pipelines(&[("broken", "mended"), ("daily", "")]).await;
    served.end(&house);

    // Without a policy nothing is served.
    house.policy("- {tags: [public], action: alow}");
    let ran = house.run(&["serve"]);
    assert!(ran.expect(78).stderr.contains("policy.yaml"), "{ran:?}");
}

#[tokio::test]
async fn links_that_are_swapped_change_all_documents_at_once() {
    let port = free_port();
    let house = house(port);
    let folder = house.path("in/pipelines");
    let volume = |version: &str, description: &str| {
        let text = format!(
            "apiVersion: sealift/v1\nkind: Pipeline\nname: linked\nowner: tests\n{}\n",
            body("linked", description)
        );
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("linked.yaml"), text).unwrap();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    volume("..first", "one");
    symlink("..data/linked.yaml", folder.join("linked.yaml")).unwrap();
    let served = Served::of(&house, port).await;
    served.wait_for_pipelines(&[("daily", ""), ("linked", "one")]).await;
    volume("..second", "two");
    served.wait_for_pipelines(&[("daily", ""), ("linked", "two")]).await;
    served.end(&house);
}

#[tokio::test]
async fn sighup_reloads_and_the_service_manager_hears_when_it_is_done() {
    let port = free_port();
    let mut house = house(port);
    let socket = house.path("out/notify");
    let heard = UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    house.env("NOTIFY_SOCKET", socket.to_str().unwrap());
    let served = Served::of(&house, port).await;
    let next = || {
        let mut bytes = [0; 512];
        let length = heard.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    assert!(next().contains("READY=1\n"));

    document(&house, "added", "one");
    served.hang_up();
    let reloading = next();
    let since: Vec<&str> =
        reloading.lines().filter_map(|line| line.strip_prefix("MONOTONIC_USEC=")).collect();
    assert!(reloading.contains("RELOADING=1\n") && since[0].parse::<u64>().unwrap() > 0, "{reloading}");
    let ready = next();
    assert!(ready.contains("READY=1\n") && ready.contains("STATUS=serves 2 pipelines\n"), "{ready}");
    served.wait_for_pipelines(&[("added", "one"), ("daily", "")]).await;

    house.policy("- {tags: [public], action: alow}");
    house.pipeline("added", "conection: drops");
    served.hang_up();
    assert!(next().contains("RELOADING=1\n"));
    let ready = next();
    assert!(ready.contains("STATUS=serves 2 pipelines; 2 documents are invalid\n"), "{ready}");
    assert!(served.log().contains("policy.yaml:6"), "{}", served.log());
    let run_id = served.trigger("added").await;
    assert_eq!(served.outcome(&run_id).await, "done", "by the policy before");
    served.end(&house);
}

#[tokio::test]
async fn another_policy_decides_the_next_run_and_not_the_one_under_way() {
    let port = free_port();
    let house = house(port);
    let database = Database::create().await;
    database.run("CREATE TABLE people (id int, city text); INSERT INTO people VALUES (1, 'Bern')").await;
    house.config_listening("", &connection(&database), &format!("listen: {{http: \"127.0.0.1:{port}\"}}"));
    house.pipeline(
        "people",
        "connection: db\ndataset: \"people.{table}\"\nstreams:\n  public.people: {columns: {\"*\": {tag: public}}}",
    );
    let served = Served::of(&house, port).await;

    let (locking, watching) = (client(&database).await, client(&database).await);
    locking.batch_execute("BEGIN; LOCK TABLE people IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let first = served.trigger("people").await;
    wait_for("the run at the table", || async {
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'people'::regclass";
        let waiting: i64 = watching.query_one(sql, &[]).await.unwrap().get(0);
        (waiting > 0).then_some(())
    })
    .await;
    house.policy("- {tags: [internal], action: allow}");
    wait_for("the other policy", || async {
        let changes = recorded(&house, "policy.change").await;
        (changes.len() == 2).then_some(())
    })
    .await;
    locking.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(served.outcome(&first).await, "done");
    let second = served.trigger("people").await;
    assert_eq!(served.outcome(&second).await, "held");
    served.end(&house);
}

async fn client(database: &Database) -> tokio_postgres::Client {
    Server::shared().client(&database.settings().database).await
}
