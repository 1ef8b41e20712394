//! Runs while they are under way: events and log lines.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use super::world::{Served, document};
use crate::house::Started;

const PATIENCE: Duration = Duration::from_secs(120);

/// One server-sent event.
#[derive(Debug, Default)]
struct Told {
    event: String,
    id: String,
    data: Value,
}

/// Reads on until the text has come.
async fn until(answer: &mut Response, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let chunk = tokio::time::timeout(PATIENCE, answer.chunk()).await.unwrap().unwrap().unwrap();
        read.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    read
}

/// Reads events to the end of the stream.
async fn all(answer: Response) -> Vec<Told> {
    rest(String::new(), answer).await
}

/// The same, of which some text was read.
async fn rest(mut text: String, mut answer: Response) -> Vec<Told> {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    while let Some(chunk) = tokio::time::timeout(PATIENCE, answer.chunk()).await.unwrap().unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let read = |block: &str| {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap_or_default();
        Told { event: field("event"), id: field("id"), data }
    };
    text.split("\n\n").filter(|block| block.contains("event: ")).map(read).collect()
}

/// The command that follows a run.
fn follow(served: &Served, run_id: &str) -> Started {
    served.house.write("in/token", &served.token);
    let token = format!("file:{}", served.house.path("in/token").display());
    let args = ["runs", run_id, "--follow", "--json", "--url", &served.url, "--token", &token];
    served.house.start(served.house.command(&args))
}

#[tokio::test]
async fn a_run_is_followed_to_its_end() {
    // Enough rows that it can be seen under way.
    let rows: String = (0..100_000).map(|id| format!("{id},Bern,555-01-{:04}\n", id % 10_000)).collect();
    let served = Served::with(|house| {
        for part in 0..4 {
            house.write(&format!("in/drops/rows{part}.csv"), &format!("id,city,ssn\n{rows}"));
        }
        std::fs::remove_file(house.path("in/drops/rows.csv")).unwrap();
        house.write("in/pipelines/slow.yaml", &document("slow", ""));
    })
    .await;
    let run_id = served.trigger("slow").await;
    let following = follow(&served, &run_id);
    let path = format!("/v1/runs/{run_id}/events");
    let mut answer = served.ask("GET", &path).send().await.unwrap();
    let begin = until(&mut answer, "event: progress").await;
    let heard = served.ask("GET", &path).header("last-event-id", "state-running").send();
    let (events, spared) = tokio::join!(rest(begin, answer), async { all(heard.await.unwrap()).await });
    assert!(spared.iter().all(|told| told.id != "state-running"), "it was heard already: {spared:?}");
    let last = events.last().unwrap();
    assert_eq!((last.event.as_str(), last.id.as_str()), ("end", "end"), "{events:?}");
    assert_eq!((&last.data["run_id"], &last.data["outcome"]), (&json!(run_id), &json!("done")), "{last:?}");
    let progress: Vec<&Told> = events.iter().filter(|told| told.event == "progress").collect();
    assert!(!progress.is_empty(), "{events:?}");
    let rows: Vec<u64> =
        progress.iter().map(|told| told.data["streams"][0]["rows"].as_u64().unwrap()).collect();
    assert!(rows.is_sorted() && rows.iter().all(|rows| *rows <= 400_000), "{rows:?}");
    assert_eq!(progress[0].data["streams"][0]["dataset"], "slow.rows");
    assert!(events.iter().any(|told| told.event == "state" && told.data["state"] == "running"), "{events:?}");

    let ran = served.house.finish(following);
    assert_eq!(ran.expect(0).summary(), last.data, "the command ends with the run");
    assert!(ran.stdout.contains("\"stage\":\"reading\""), "{ran:?}");

    let heard = served.ask("GET", &path).header("last-event-id", "end").send().await.unwrap();
    assert_eq!(heard.status(), 204, "there is nothing more to hear");
    let again = all(served.ask("GET", &path).send().await.unwrap()).await;
    assert_eq!(again.iter().map(|told| told.event.as_str()).collect::<Vec<_>>(), ["end"]);

    let log = served.ask("GET", &format!("/v1/runs/{run_id}/logs")).send().await.unwrap();
    assert_eq!(log.headers()["content-type"], "application/x-ndjson");
    let lines: Vec<Value> =
        log.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    for message in ["planned", "reading", "committing", "published", "succeeded"] {
        assert!(messages.contains(&message), "{message}: {messages:?}");
    }
    assert!(!lines.iter().any(|line| line.to_string().contains("555-01")), "no value of a row");
    let published = lines.iter().find(|line| line["message"] == "published").unwrap();
    assert_eq!((&published["rows"], &published["stream"]), (&json!(400_000), &json!("rows")));
    let after = format!("/v1/runs/{run_id}/logs?after={}&limit=1", lines[0]["seq"]);
    let next = served.ask("GET", &after).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&next).unwrap(), lines[1]);
    served.stop();
}

#[tokio::test]
async fn who_follows_a_run_hears_of_its_end_although_the_daemon_is_lost_meanwhile() {
    let rows: String = (0..300_000).map(|id| format!("{id},Bern,555-01-{:04}\n", id % 10_000)).collect();
    let mut served = Served::with(|house| {
        house.write("in/drops/rows.csv", &format!("id,city,ssn\n{rows}"));
        let slow = document("slow", "") + "retry: {attempts: 3, backoff: 1s}\n";
        house.write("in/pipelines/slow.yaml", &slow);
    })
    .await;
    let run_id = served.trigger("slow").await;
    let following = follow(&served, &run_id);
    let begun = std::time::Instant::now();
    loop {
        let told = std::fs::read_to_string(&following.stdout).unwrap();
        if told.contains("\"stage\":\"reading\"") {
            break;
        }
        assert!(
            !told.contains("\"outcome\"") && begun.elapsed() < PATIENCE,
            "it is not seen under way: {told}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    served.lose().await;
    let told = served.house.finish(following).expect(0).summary();
    assert_eq!(
        (&told["run_id"], &told["outcome"], &told["attempt"]),
        (&json!(run_id), &json!("done"), &json!(2))
    );
    served.stop();
}
