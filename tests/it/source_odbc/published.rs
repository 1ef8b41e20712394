//! A table behind an ODBC driver reaches the lake.

use sealift::secret::Reference;
use serde_json::json;

use super::of_postgres;
use crate::house::House;
use crate::servers::postgres::Database;

#[test]
fn a_table_behind_a_driver_is_sealed_and_published() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The server lives as long as its database is held.
    let database = runtime.block_on(async {
        let database = Database::create().await;
        database
            .run(
                "CREATE TABLE people (id int PRIMARY KEY, name varchar(20), balance numeric(12,2), born date);
                 INSERT INTO people SELECT g, CASE WHEN g % 3 = 0 THEN NULL WHEN g % 3 = 1 THEN '' ELSE 'n' || g END,
                   g * 1.25, '1970-01-01'::date + g FROM generate_series(1, 5000) g",
            )
            .await;
        database
    });
    let settings = of_postgres(&database);
    let Some(Reference::File(password)) = &settings.password else { panic!("the password is in a file") };
    let house = House::new();
    house.config(
        "",
        &format!(
            "db: {{odbc: {{connection_string: \"{}\", user: {}, password: \"file:{}\"}}}}",
            settings.connection_string,
            settings.user.as_deref().unwrap(),
            password.display()
        ),
    );
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "behind",
        "connection: db\ndataset: \"behind.{table}\"\nstreams:\n  public.people: {split_by: id, \
         columns: {name: {tag: pii.name}, \"*\": {tag: public}}}",
    );
    let plan = house.json(&["plan", "behind"], 0);
    let columns = plan["streams"][0]["columns"].as_array().unwrap();
    let fidelity: Vec<&str> = columns.iter().map(|column| column["fidelity"].as_str().unwrap()).collect();
    assert_eq!(fidelity, ["exact"; 4], "{plan}");
    house.run(&["sync", "behind", "--json"]).expect(0);
    // `split_by` reaches the source: a column that is not there is told.
    house.pipeline(
        "astray",
        "connection: db\ndataset: \"astray.{table}\"\nstreams:\n  public.people: {split_by: idd, \
         columns: {name: {tag: pii.name}, \"*\": {tag: public}}}",
    );
    assert!(house.run(&["sync", "astray"]).expect(78).stderr.contains("idd"));
    let answer = house.query(
        "SELECT count(*) AS n, count(name) AS named, sum(CASE WHEN name = '' THEN 1 ELSE 0 END) AS empty,
           CAST(sum(balance) AS VARCHAR) AS balance, CAST(max(born) AS VARCHAR) AS born FROM behind.people",
    );
    assert_eq!(
        answer,
        json!([{"n": 5000, "named": 3334, "empty": 1667, "balance": "15628125.00", "born": "1983-09-10"}])
    );
}
