//! The program on a server.

use crate::house::House;
use crate::servers::postgres::Database;

/// Every command that records or reads something, on a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_does_with_a_server_what_it_does_with_a_file() {
    let database = Database::create().await;
    let mut house = House::new();
    house.metadata("{postgres: \"env:METADATA\"}");
    house.env("METADATA", &database.url());
    house.policy_with(
        "- {tags: [pii.email], action: {tokenize: {join_domain: customer}}}\n- {tags: [public], action: allow}",
        "reveal:\n  - {tags: [pii.email], actors: [\"os:*\"], purposes: [fraud], max_values_per_hour: 3}\n",
    );
    house.pipeline(
        "crm",
        "connection: drops\ndataset: \"crm.{stream}\"\nstreams:\n  people:\n    path: \"people*.csv\"\n    \
         write_mode: append\n    columns: {email: {tag: pii.email}, \"*\": {tag: public}}",
    );
    house.write("in/drops/people1.csv", "id,email\n1,anna@example.org\n");
    house.write("in/drops/people2.csv", "id,email\n2,bert@example.org\n");
    house.run(&["doctor"]).expect(0);
    house.run(&["sync", "crm"]).expect(0);
    house.run(&["sync", "crm"]).expect(0);
    house.run(&["verify", "crm.people"]).expect(0);
    house.run(&["compact", "crm.people"]).expect(0);
    house.run(&["vacuum", "crm.people"]).expect(0);
    house.run(&["erase", "crm.people", "--where", "id = 2"]).expect(0);
    house.run(&["verify", "crm.people"]).expect(0);
    let runs = house.json(&["runs"], 0)["runs"].clone();
    assert_eq!(runs.as_array().unwrap().len(), 2);
    assert_eq!((&runs[0]["outcome"], &runs[0]["streams"][0]["rows"]), (&"done".into(), &2.into()), "{runs}");
    let sql = "SELECT detokenize(email) AS email FROM crm.people";
    let reveal = || house.run(&["query", sql, "--reveal", "fraud", "--format", "json"]);
    assert!(reveal().expect(0).stdout.contains("anna@example.org"));
    assert!(reveal().expect(75).stderr.contains("try again at"));
    house.run(&["datasets", "--rebuild"]).expect(0);
    database.run("DELETE FROM run_keys; DELETE FROM run_streams; DELETE FROM runs").await;
    house.run(&["datasets", "--rebuild"]).expect(0);
    assert_eq!(house.json(&["runs"], 0)["runs"].as_array().unwrap().len(), 2);
    assert!(!house.path("out/var").exists(), "nothing of it lies in a file");
    // No lease is left behind by a command that has ended.
    let sql = "SELECT count(*) FROM leases WHERE expires_ms > 0";
    assert_eq!(database.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}
