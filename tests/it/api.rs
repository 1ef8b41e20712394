//! The API as clients see it: a real daemon, asked over HTTP.

mod following;
mod published;
mod registered;
pub mod world;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use world::{Served, problem};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

fn golden() -> String {
    std::fs::read_to_string(page()).unwrap()
}

#[tokio::test]
async fn the_document_is_served_to_anybody_and_is_the_one_of_the_docs() {
    let served = Served::new().await;
    let answer = reqwest::get(format!("{}/v1/openapi.json", served.url)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let text = answer.text().await.unwrap();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|how| how == "always") {
        std::fs::write(page(), &text).unwrap();
    }
    assert!(text == golden(), "renew it with `sealift schema api > docs/openapi.json`");
    assert_eq!(served.house.run(&["schema", "api"]).expect(0).stdout, text);
    served.stop();
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_is_recorded_as_soon_as_it_can() {
    let served = Served::new().await;
    let store = SqliteConnectOptions::new().filename(served.house.path("out/var/sealift.db"));
    let mut store = SqliteConnection::connect_with(&store).await.unwrap();
    let full =
        "CREATE TRIGGER full BEFORE UPDATE OF finished_ms ON runs BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(full).execute(&mut store).await.unwrap();
    let run_id = served.trigger("daily").await;
    served.until_said("what became of the run could not be recorded").await;
    assert_eq!(served.get(&format!("/v1/runs/{run_id}")).await.1["state"], "running");
    sqlx::query("DROP TRIGGER full").execute(&mut store).await.unwrap();
    let run = served.over(&run_id).await;
    assert_eq!((&run["outcome"], &run["attempt"]), (&json!("done"), &json!(1)), "{run}");
    assert_eq!(served.over(&served.trigger("daily").await).await["outcome"], "done");
    served.stop();
}

#[test]
fn the_document_says_of_every_operation_what_may_come() {
    let document: Value = serde_json::from_str(&golden()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{place}")));
            let responses = operation["responses"].as_object().unwrap();
            for (status, told) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                assert!(told["content"]["application/problem+json"].is_object(), "{place} {status}");
                assert!(
                    told["description"].as_str().unwrap().contains('`'),
                    "{place} {status}: which problem?"
                );
            }
            let is_open = operation["security"] == json!([{}]);
            assert_eq!(responses.contains_key("401"), !is_open, "{place}");
            assert_eq!(responses.contains_key("415"), operation["requestBody"].is_object(), "{place}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let is_bounded = |schema: &Value| {
                    schema["type"] == "boolean"
                        || ["pattern", "format", "maxLength", "maximum", "enum", "$ref", "oneOf"]
                            .iter()
                            .any(|word| !schema[word].is_null())
                };
                assert!(is_bounded(&parameter["schema"]), "{place}: {parameter}");
                assert!(parameter["description"].is_string(), "{place}: {parameter}");
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "operation ids are there once each");
    assert!(all >= 20, "{all}");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_that_says_so() {
    let served = Served::new().await;
    let long = format!("/v1/runs?pipeline={}", "x".repeat(9000));
    let document = world::document("big", &"x".repeat(1 << 20));
    let cases = [
        ("GET", "/v1/pipelines/%ff", "", "", 400, "bad-request"),
        ("GET", "/v1/pipelines?limit=1001", "", "", 400, "bad-request"),
        ("GET", "/v1/pipelines?limit=1&limit=2", "", "", 400, "bad-request"),
        ("GET", "/v1/runs?state=walking", "", "", 400, "bad-request"),
        ("GET", "/v1/runs?since=yesterday", "", "", 400, "bad-request"),
        ("GET", "/v1/runs?after=1", "", "", 400, "bad-request"),
        ("GET", long.as_str(), "", "", 414, "too-long"),
        ("GET", "/v1/datasets/nobody", "", "", 404, "no-such-dataset"),
        ("GET", "/v1/datasets/no.body", "", "", 404, "no-such-dataset"),
        ("GET", "/v1/datasets/no.body/receipts/x", "", "", 404, "no-such-version"),
        ("PATCH", "/v1/pipelines/daily", "", "", 405, "method-not-allowed"),
        ("POST", "/v1/pipelines/daily/runs", "text/plain", "{}", 415, "media-type"),
        ("POST", "/v1/pipelines/daily/runs", "application/json", "{\"a\"", 400, "bad-request"),
        ("PUT", "/v1/pipelines/daily", "application/json", "{}", 415, "media-type"),
        ("PUT", "/v1/pipelines/big", "application/yaml", document.as_str(), 413, "too-large"),
        ("PUT", "/v1/pipelines/daily", "application/yaml", "a: [", 422, "invalid"),
        ("POST", "/v1/pipelines/nobody/plan", "", "", 404, "no-such-pipeline"),
    ];
    for (method, path, media_type, body, status, kind) in cases {
        let mut request = served.ask(method, path);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let short: String = path.chars().take(60).collect();
        assert_eq!(answer.status(), status, "{method} {short}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{method} {short}");
        assert_eq!(problem(answer).await["type"], format!("urn:sealift:problem:{kind}"), "{method} {short}");
    }
    let answer = served.ask("GET", "/v1/runs").send().await.unwrap();
    assert_eq!(answer.headers()["ratelimit-policy"], "\"caller\";q=2000;w=2");
    assert!(answer.headers().contains_key("ratelimit"));
    served.stop();
}

#[tokio::test]
async fn the_trail_is_read_page_by_page_by_some_roles_only() {
    let served = Served::new().await;
    for _ in 0..3 {
        served.over(&served.trigger("daily").await).await;
    }
    let (_, first) = served.get("/v1/audit?action=run.trigger&limit=2").await;
    let entries = first["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["actor"]), (2, &json!("token:admin")), "{first}");
    let rest = format!("/v1/audit?action=run.trigger&limit=2&after={}", first["next"]);
    let (_, second) = served.get(&rest).await;
    assert_eq!(second["entries"].as_array().unwrap().len(), 1, "{second}");
    assert!(second["next"].is_null(), "{second}");
    assert_eq!(served.get("/v1/audit?actor=token:nobody").await.1["entries"], json!([]));

    let token = served.house.json(&["token", "create", "reader", "--role", "modeler"], 0)["token"].clone();
    let http = reqwest::Client::new();
    let asked = http.get(format!("{}/v1/audit", served.url)).bearer_auth(token.as_str().unwrap());
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(problem(answer).await["type"], "urn:sealift:problem:denied");
    served.stop();
}
