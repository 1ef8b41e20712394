//! The table of every type, published and read by somebody else.

use sealift::secret::Reference;
use sealift::spec::config;

use super::values::{TORTURE, torture};
use crate::house::{House, script};

fn connection(settings: &config::Mysql) -> String {
    let Some(Reference::File(password)) = &settings.password else { panic!("the password is in a file") };
    format!(
        "db: {{mysql: {{host: {}, port: {}, database: {}, user: {}, tls: disable, password: \"file:{}\"}}}}",
        settings.host,
        settings.port,
        settings.database,
        settings.user,
        password.display()
    )
}

/// What the server says of a column, in the reader's way of writing.
fn said(data_type: &str, oracle: &str, column: &str) -> String {
    match data_type.split(['(', ' ']).next().unwrap() {
        "date" => format!("DATEDIFF({column}, '1970-01-01')"),
        "datetime" | "timestamp" => format!("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column})"),
        _ => oracle.replace("{}", column),
    }
}

#[tokio::test]
async fn every_type_is_published_as_pyarrow_reads_it() {
    let (database, _) = torture().await;
    let house = House::new();
    house.config("", &connection(&database.settings()));
    // Addresses of the network are among the types.
    let lowered = "classification:\n  lowered: [{dataset: lake.t, column: \"*\", found: \"*\", reason: made up, author: tests, date: 2026-11-01}]";
    house.policy_with("- {tags: [public], action: allow}", lowered);
    house.pipeline(
        "torture",
        &format!(
            "connection: db\ndataset: \"lake.{{table}}\"\nstreams:\n  {}.t: {{columns: {{\"*\": {{tag: public}}}}}}",
            database.name
        ),
    );
    house.json(&["sync", "torture"], 0);
    let read = script("torture.py", &[house.path("out/lake/lake/t").to_str().unwrap()], &[]);
    for (index, (data_type, oracle, _)) in TORTURE.iter().enumerate() {
        let column = format!("c{index}");
        let rows =
            database.rows(&format!("SELECT {} FROM t ORDER BY n", said(data_type, oracle, &column))).await;
        let expected: Vec<Option<String>> = rows
            .into_iter()
            .map(|row| {
                let text = row[0].clone()?;
                Some(match data_type.split(['(', ' ']).next().unwrap() {
                    "double" => format!("{:016x}", text.parse::<f64>().unwrap().to_bits()),
                    "float" => format!("{:08x}", (text.parse::<f64>().unwrap() as f32).to_bits()),
                    _ => text,
                })
            })
            .collect();
        let found = &read["values"][&column];
        assert_eq!(found, &serde_json::json!(expected), "{data_type} as {}", read["types"][&column]);
    }
}
