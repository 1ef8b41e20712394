//! Pipelines over the API: checked, planned, registered, removed, listed.

use sealift::run::Ledger;
use sealift::spec::PipelineName;
use sealift::spec::config::Metadata;
use serde_json::json;

use super::world::{Served, document, problem};

#[tokio::test]
async fn a_pipeline_comes_changes_and_goes() {
    let served = Served::new().await;
    let first = document("crm", "first");
    let answer = served.put("crm", &first, Some(("if-none-match", "*"))).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["location"], "/v1/pipelines/crm");
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(served.house.path("in/pipelines/crm.yaml")).unwrap(), first);
    assert_eq!(served.put("crm", &first, Some(("if-none-match", "*"))).await.status(), 412);
    assert_eq!(served.over(&served.trigger("crm").await).await["outcome"], "done");

    let again = served.put("crm", &first, None).await;
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<serde_json::Value>().await.unwrap()["outcome"], "unchanged");
    let second = document("crm", "second");
    assert_eq!(served.put("crm", &second, Some(("if-match", "\"other\""))).await.status(), 412);
    let replaced = served.put("crm", &second, Some(("if-match", &etag))).await;
    assert_eq!(replaced.status(), 200);
    let (_, shown) = served.get("/v1/pipelines/crm").await;
    assert_eq!((&shown["description"], &shown["document"]), (&json!("second"), &json!(second)));
    assert_eq!(shown["streams"][0]["sync_mode"], "full_refresh");
    let newer = format!("\"{}\"", shown["digest"].as_str().unwrap());
    let known = served.ask("GET", "/v1/pipelines/crm").header("if-none-match", &newer).send().await.unwrap();
    assert_eq!(known.status(), 304);

    let remove = |etag: String| served.ask("DELETE", "/v1/pipelines/crm").header("if-match", etag).send();
    assert_eq!(remove(etag).await.unwrap().status(), 412);
    assert_eq!(remove(newer).await.unwrap().status(), 204);
    assert_eq!(served.get("/v1/pipelines/crm").await.0, 404);
    assert!(!served.house.path("in/pipelines/crm.yaml").exists());
    assert_eq!(served.ask("DELETE", "/v1/pipelines/crm").send().await.unwrap().status(), 404);
    let (_, trail) = served.get("/v1/audit?action=pipeline").await;
    let actions = trail["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap());
    let actions: Vec<&str> = actions.filter(|action| *action != "pipeline.change").collect();
    assert_eq!(
        actions,
        ["pipeline.delete", "pipeline.register", "pipeline.register", "pipeline.register"],
        "refusals are none of these: {trail}"
    );
    served.stop();
}

#[tokio::test]
async fn a_pipeline_that_another_process_runs_is_not_removed() {
    let served = Served::new().await;
    let other = Ledger::open(&Metadata::Sqlite(served.house.path("out/var/sealift.db"))).await.unwrap();
    let held = other.lease(&PipelineName::parse("daily").unwrap()).await.unwrap().unwrap();
    let refused = served.ask("DELETE", "/v1/pipelines/daily").send().await.unwrap();
    assert_eq!(problem(refused).await["type"], "urn:sealift:problem:run-active");
    held.end().await;
    assert_eq!(served.ask("DELETE", "/v1/pipelines/daily").send().await.unwrap().status(), 204);
    served.stop();
}

#[tokio::test]
async fn of_many_who_replace_the_same_document_at_once_one_does() {
    let served = Served::new().await;
    let created = served.put("crm", &document("crm", "first"), None).await;
    let mut etag = created.headers()["etag"].to_str().unwrap().to_owned();
    for round in 0..5 {
        let texts: Vec<String> =
            (0..8).map(|writer| document("crm", &format!("round {round}, writer {writer}"))).collect();
        let puts = texts.iter().map(|text| served.put("crm", text, Some(("if-match", &etag))));
        let answers = futures::future::join_all(puts).await;
        let won: Vec<usize> = (0..8).filter(|writer| answers[*writer].status() == 200).collect();
        let [winner] = won[..] else { panic!("{won:?} replaced it") };
        assert_eq!(answers.iter().filter(|answer| answer.status() == 412).count(), 7);
        let (_, shown) = served.get("/v1/pipelines/crm").await;
        assert_eq!(shown["document"], texts[winner], "round {round}");
        etag = answers[winner].headers()["etag"].to_str().unwrap().to_owned();
    }
    served.stop();
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_told_with_its_place() {
    let served = Served::new().await;
    let wrong = document("crm", "").replace("owner: tests", "ownr: tests");
    let answer = served.put("crm", &wrong, None).await;
    assert_eq!(answer.status(), 422);
    let said = problem(answer).await;
    let misspelt = said["problems"].as_array().unwrap().iter().find(|one| one["line"] == 4).unwrap();
    assert!(misspelt["message"].as_str().unwrap().contains("ownr"), "{said}");
    let answer = served.put("erp", &document("crm", ""), None).await;
    assert_eq!(
        (answer.status().as_u16(), problem(answer).await["type"].clone()),
        (422, json!("urn:sealift:problem:invalid"))
    );
    assert!(!served.house.path("in/pipelines/crm.yaml").exists());

    let check = |text: String| {
        let asked = served.ask("POST", "/v1/pipelines/validate").header("content-type", "application/yaml");
        async move { asked.body(text).send().await.unwrap().json::<serde_json::Value>().await.unwrap() }
    };
    let found = check(wrong).await;
    // The one stands where it would be registered, the other nowhere.
    let told = |problems: &serde_json::Value| {
        let problems = problems.as_array().unwrap().iter();
        problems
            .map(|one| json!([one["line"], one["column"], one["message"], one["help"]]))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (&found["valid"], told(&found["problems"]), &found["name"]),
        (&json!(false), told(&said["problems"]), &json!(null))
    );
    assert_eq!(check(document("crm", "")).await, json!({"valid": true, "name": "crm", "problems": []}));
    let reader = served.house.json(&["token", "create", "reader", "--role", "scheduler"], 0)["token"].clone();
    let put = reqwest::Client::new().put(format!("{}/v1/pipelines/crm", served.url));
    let put = put.bearer_auth(reader.as_str().unwrap()).header("content-type", "application/yaml");
    assert_eq!(put.body(document("crm", "")).send().await.unwrap().status(), 403);
    served.stop();
}

#[tokio::test]
async fn who_may_not_register_a_document_may_not_have_it_checked_and_learns_nothing_of_others() {
    let served = Served::new().await;
    let token = |name: &str, role: &str, pipelines: &str| {
        let create = ["token", "create", name, "--role", role, "--pipeline", pipelines];
        served.house.json(&create, 0)["token"].as_str().unwrap().to_owned()
    };
    let (reader, engineer) = (token("reader", "modeler", "*"), token("crm", "engineer", "crm_*"));
    let ask = async |token: &str, method: reqwest::Method, path: &str, text: &str| {
        let asked =
            reqwest::Client::new().request(method, format!("{}{path}", served.url)).bearer_auth(token);
        let answer =
            asked.header("content-type", "application/yaml").body(text.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let (post, put) = (reqwest::Method::POST, reqwest::Method::PUT);
    let check = "/v1/pipelines/validate";
    let (own, others) = (document("crm_x", ""), document("daily", ""));
    assert_eq!(ask(&reader, post.clone(), check, &own).await.0, 403);
    assert_eq!(ask(&engineer, post.clone(), check, &own).await.1["valid"], true);
    assert_eq!(ask(&engineer, post.clone(), check, &others).await.0, 403);

    // It asks for the dataset of another pipeline, which it may not know.
    let taken = own.replace("crm_x.{stream}", "daily.{stream}");
    let (_, found) = ask(&engineer, post.clone(), check, &taken).await;
    let (status, refused) = ask(&engineer, put, "/v1/pipelines/crm_x", &taken).await;
    assert_eq!((found["valid"].as_bool(), status), (Some(false), 422), "{found} {refused}");
    for said in [&found, &refused] {
        assert!(said["problems"][0]["message"].as_str().unwrap().contains("daily.rows"), "{said}");
        assert!(!said.to_string().contains("daily.yaml"), "{said}");
    }
    let (_, found) = ask(&served.token, post, check, &taken).await;
    assert!(found["problems"][0]["help"].as_str().unwrap().contains("daily.yaml"), "{found}");
    served.stop();
}

#[tokio::test]
async fn a_run_is_told_to_be_new_or_found_and_the_command_shows_and_stops_it() {
    let served = Served::new().await;
    let ask = async || {
        let asked = served.ask("POST", "/v1/pipelines/daily/runs").header("idempotency-key", "order-1");
        asked.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    let first = ask().await;
    let run_id = first["run_id"].as_str().unwrap();
    assert_eq!(first["created"], true);
    served.over(run_id).await;
    assert_eq!(ask().await, json!({"run_id": run_id, "created": false}));

    served.house.write("in/token", &served.token);
    let token = format!("file:{}", served.house.path("in/token").display());
    let of_daemon = ["--url", &served.url, "--token", &token];
    let shown = served.house.json(&[&["runs", run_id] as &[&str], &of_daemon].concat(), 0);
    assert_eq!((&shown["run_id"], &shown["outcome"]), (&json!(run_id), &json!("done")));
    let listed = served.house.json(&[&["runs", "--pipeline", "daily"] as &[&str], &of_daemon].concat(), 0);
    assert_eq!(listed["runs"], json!([shown]));
    let told = served.house.run(&[&["runs"] as &[&str], &of_daemon].concat());
    assert!(told.expect(0).stdout.contains(run_id), "{told:?}");
    let over = served.house.run(&[&["runs", run_id, "--cancel"] as &[&str], &of_daemon].concat());
    assert!(over.expect(75).stderr.contains("the run is over"), "{over:?}");
    served.stop();
}

#[tokio::test]
async fn a_plan_tells_what_a_run_would_do_and_what_stands_in_its_way() {
    let served = Served::new().await;
    let plan = async |path: &str| {
        let answer = served.ask("POST", path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<serde_json::Value>().await.unwrap()
    };
    let planned = plan("/v1/pipelines/daily/plan").await;
    assert_eq!((&planned["outcome"], &planned["error"]), (&json!("done"), &json!(null)), "{planned}");
    let columns = planned["streams"][0]["columns"].as_array().unwrap();
    let ssn = columns.iter().find(|column| column["column"] == "ssn").unwrap();
    assert_eq!((&ssn["action"], &ssn["lineage"]), (&json!("encrypt"), &json!(["ssn"])));
    let told = served.house.json(&["plan", "daily"], 0);
    assert_eq!(told["streams"], planned["streams"], "as the command line tells it");

    served.put("held", &document("held", "").replace("pii.us_ssn", "secret"), None).await;
    let held = plan("/v1/pipelines/held/plan").await;
    assert_eq!(held["outcome"], "held", "{held}");
    assert!(held["error"]["message"].is_string() && held["streams"][0]["columns"].is_array(), "{held}");
    let nothing = plan("/v1/pipelines/daily/plan?stream=nothing").await;
    assert_eq!((&nothing["outcome"], &nothing["streams"]), (&json!("usage"), &json!([])), "{nothing}");
    assert_eq!(served.house.versions("daily.rows"), 0, "nothing was written");
    served.stop();
}

#[tokio::test]
async fn a_schedule_rests_and_goes_on() {
    let served = Served::new().await;
    for (verb, paused) in [("pause", true), ("resume", false)] {
        let answer = served.ask("POST", &format!("/v1/pipelines/daily/{verb}")).send().await.unwrap();
        assert_eq!(
            answer.json::<serde_json::Value>().await.unwrap(),
            json!({"pipeline": "daily", "paused": paused})
        );
        assert_eq!(served.get("/v1/pipelines/daily").await.1["paused"], paused, "{verb}");
        let answer = served.ask("POST", &format!("/v1/pipelines/nobody/{verb}")).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{verb}");
    }
    served.stop();
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let served = Served::with(|house| {
        for number in 0..5 {
            house.write(&format!("in/pipelines/p{number}.yaml"), &document(&format!("p{number}"), ""));
        }
    })
    .await;
    let mut names = Vec::new();
    let mut path = "/v1/pipelines?limit=4".to_owned();
    loop {
        let (_, page) = served.get(&path).await;
        names.extend(page["pipelines"].as_array().unwrap().iter().map(|one| one["name"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/pipelines?limit=4&after={next}");
    }
    assert_eq!(names, ["daily", "p0", "p1", "p2", "p3", "p4"]);
    for (path, count) in
        [("owner=tests", 6), ("owner=nobody", 0), ("connection=drops", 6), ("connection=x", 0)]
    {
        let (_, page) = served.get(&format!("/v1/pipelines?{path}")).await;
        assert_eq!(page["pipelines"].as_array().unwrap().len(), count, "{path}");
    }

    let mut runs = Vec::new();
    for pipeline in ["p0", "p1", "p2"] {
        let run_id = served.trigger(pipeline).await;
        served.over(&run_id).await;
        runs.insert(0, run_id);
    }
    let (_, first) = served.get("/v1/runs?limit=2&state=succeeded").await;
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let runs = page["runs"].as_array().unwrap().iter();
        runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((ids(&first), first["next"].as_str()), (runs[..2].to_vec(), Some(runs[1].as_str())));
    // What comes in between two pages shifts nothing.
    served.over(&served.trigger("p3").await).await;
    let (_, second) = served.get(&format!("/v1/runs?limit=2&after={}", runs[1])).await;
    assert_eq!((ids(&second), &second["next"]), (runs[2..].to_vec(), &json!(null)));
    assert_eq!(second["runs"][0]["streams"][0]["rows"], 2);
    let (_, bare) = served.get(&format!("/v1/runs?limit=2&streams=false&after={}", runs[1])).await;
    assert_eq!((ids(&bare), &bare["runs"][0]["streams"]), (runs[2..].to_vec(), &json!([])));
    assert_eq!(ids(&served.get("/v1/runs?state=failed").await.1).len(), 0);
    assert_eq!(ids(&served.get("/v1/runs?since=2100-01-01T00:00:00Z").await.1).len(), 0);
    served.stop();
}
