//! TPC-H lineitem from PostgreSQL to S3 and back: the sums equal the source's, other engines read
//! the open columns without keys, and the encrypted one opens with its key only.

use std::fs::File;

use serde_json::Value;

use crate::house::{House, connection, copy_csv, script};
use crate::servers::postgres::Database;
use crate::servers::s3;

const LINEITEM: &str = "CREATE TABLE lineitem (
    l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber bigint, l_quantity numeric(15,2),
    l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag char(1),
    l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct varchar(25),
    l_shipmode varchar(10), l_comment varchar(44))";

/// What the readers say and the source says, column by column.
#[track_caller]
fn same_sums(reader: &str, read: &Value, source: &Value) {
    for (column, sum) in read.as_object().unwrap() {
        assert_eq!(sum, &source[column], "{column} as {reader} reads it");
    }
    assert!(read.as_object().unwrap().len() > 7, "{reader} read too little: {read}");
}

#[tokio::test]
async fn lineitem_reaches_s3_unchanged_and_opens_to_those_with_keys() {
    // The first milestone asks for scale 1 (1 GB): set the variable to see it.
    let scale = std::env::var("SEALIFT_TEST_TPCH_SF").unwrap_or_else(|_| "0.01".to_owned());
    let mut house = House::new();
    let csv = house.path("in/lineitem.csv");
    let csv = csv.to_str().unwrap();
    script("interop.py", &["make", &scale, csv], &[]);
    let database = Database::create().await;
    database.run(LINEITEM).await;
    copy_csv(&database.client, "lineitem", File::open(csv).unwrap()).await;
    let source = script("interop.py", &["source", csv], &[]);

    let server = s3::Server::start().await;
    server.create_bucket("lake").await;
    house.config_on_s3(&server.endpoint(), &connection(&database));
    house.policy(
        "- {tags: [free.text], action: encrypt}\n- {tags: [price], action: tokenize}\n- {tags: [public], action: allow}",
    );
    house.pipeline(
        "tpch",
        "connection: db\ndataset: \"tpch.{table}\"\nstreams:\n  public.lineitem:\n    columns:\n      \
         l_comment: {tag: free.text}\n      l_extendedprice: {tag: price}\n      \"*\": {tag: public}",
    );
    let summary = house.json(&["sync", "tpch"], 0);
    assert_eq!(summary["streams"][0]["rows"], source["sums"]["rows"]);

    let keys = house.run(&["keys", "release", "tpch.lineitem", "--json"]);
    house.write("in/keys.json", &keys.expect(0).stdout);
    let keys = house.path("in/keys.json");
    let url = "s3://lake/test/tpch/lineitem";
    let endpoint = server.endpoint();
    let env = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];

    for reader in ["duckdb", "polars", "deltalake"] {
        same_sums(reader, &script("interop.py", &[reader, url], &env), &source["sums"]);
    }
    let read = script("interop.py", &["pyarrow", url, keys.to_str().unwrap()], &env);
    assert_eq!(read["comments"], source["comments"], "the encrypted column, with its key");
    let refused = script("interop.py", &["refused", url], &env);
    assert!(refused["files"].as_u64() > Some(0) && refused["refused"] == refused["files"], "{refused}");
    assert_eq!(refused["open"], source["sums"]["rows"], "an open column of the same files, without a key");

    // Our own query sees the same, the encrypted column included.
    let own = house.query(
        "SELECT count(*) AS rows, sum(l_orderkey) AS keys, count(DISTINCT l_extendedprice) AS prices, \
         count(l_comment) AS comments FROM tpch.lineitem",
    );
    assert_eq!(own[0]["rows"], source["sums"]["rows"]);
    assert_eq!(own[0]["keys"].to_string(), source["sums"]["l_orderkey"].as_str().unwrap());
    assert_eq!(own[0]["prices"], source["sums"]["prices_distinct"]);
    assert_eq!(own[0]["comments"], source["sums"]["rows"]);
}
