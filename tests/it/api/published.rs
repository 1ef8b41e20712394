//! Datasets over the API: columns, versions, receipts, lineage.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::world::Served;

#[tokio::test]
async fn a_dataset_tells_its_columns_versions_receipts_and_where_it_comes_from() {
    let served = Served::new().await;
    assert_eq!(served.get("/v1/datasets").await.1["datasets"], json!([]));
    for _ in 0..3 {
        served.over(&served.trigger("daily").await).await;
    }
    let (_, list) = served.get("/v1/datasets").await;
    assert_eq!(
        (&list["datasets"][0]["dataset"], &list["next"]),
        (&json!("daily.rows"), &json!(null)),
        "{list}"
    );
    assert_eq!(served.get("/v1/datasets?after=daily.rows").await.1["datasets"], json!([]));

    let (_, shown) = served.get("/v1/datasets/daily.rows").await;
    assert_eq!((&shown["version"], &shown["rows"]), (&json!(2), &json!(2)), "{shown}");
    let column = |name: &str| {
        let columns = shown["columns"].as_array().unwrap().iter();
        columns.clone().find(|column| column["column"] == name).unwrap().clone()
    };
    let ssn = column("ssn");
    assert_eq!((&ssn["tag"], &ssn["action"]), (&json!("pii.us_ssn"), &json!("encrypt")), "{ssn}");
    assert!(ssn["key"].as_str().unwrap().starts_with("sealift:daily.rows/ssn@"), "{ssn}");
    assert_eq!((&column("city")["action"], &column("city")["key"]), (&json!("allow"), &json!(null)));
    assert_eq!(served.get("/v1/datasets/daily.rows?version=0").await.1["version"], 0);
    assert_eq!(served.get("/v1/datasets/daily.rows?version=9").await.0, 404);

    let (_, first) = served.get("/v1/datasets/daily.rows/versions?limit=2").await;
    let numbers = |page: &Value| -> Vec<u64> {
        page["versions"].as_array().unwrap().iter().map(|one| one["version"].as_u64().unwrap()).collect()
    };
    assert_eq!((numbers(&first), &first["next"]), (vec![2, 1], &json!(1)), "{first}");
    assert_eq!(first["versions"][0]["stream"], "daily/rows");
    let (_, second) = served.get("/v1/datasets/daily.rows/versions?limit=2&after=1").await;
    assert_eq!((numbers(&second), &second["next"]), (vec![0], &json!(null)));

    let answer = served.ask("GET", "/v1/datasets/daily.rows/receipts/2").send().await.unwrap();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(first["versions"][0]["receipt"], hex::encode(Sha256::digest(&bytes)), "byte by byte");
    let receipt: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&receipt["version"], &receipt["stream"]), (&json!(2), &json!("daily/rows")));
    assert_eq!(served.get("/v1/datasets/daily.rows/receipts/9").await.0, 404);

    let (_, lineage) = served.get("/v1/datasets/daily.rows/lineage").await;
    assert_eq!(
        (&lineage["pipeline"], &lineage["stream"], &lineage["connection"], &lineage["is_in_force"]),
        (&json!("daily"), &json!("rows"), &json!("drops"), &json!(true)),
        "{lineage}"
    );
    let ssn = lineage["columns"].as_array().unwrap().iter().find(|one| one["column"] == "ssn").unwrap();
    assert_eq!(ssn["sources"], json!(["ssn"]));
    assert_eq!(lineage["run_id"], receipt["run_id"]);

    served.ask("DELETE", "/v1/pipelines/daily").send().await.unwrap();
    let (status, lineage) = served.get("/v1/datasets/daily.rows/lineage").await;
    assert_eq!((status, &lineage["columns"]), (200, &json!(null)), "{lineage}");
    assert!(lineage["why"].is_string() && lineage["is_in_force"] == json!(false), "{lineage}");
    served.stop();
}
