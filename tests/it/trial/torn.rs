//! Files that are uploaded in parts, over a network that loses parts and their completion.

use crate::house::{Dice, House};
use crate::servers::faults::{Class, Rates, Unreliable, tally};
use crate::servers::postgres::Database;
use crate::servers::s3;

const SYNCS: u64 = 12;
const ROWS: i64 = 700;
/// Of one row, in hexadecimal digits that do not compress well: all rows together take several parts.
const DIGESTS: i64 = 1_000;
const RATES: Rates = Rates { reads: 0, writes: 0, creates: 0, uploads: 350 };

async fn fill(database: &Database, sync: u64) {
    database
        .run(&format!(
            "TRUNCATE documents; INSERT INTO documents SELECT g, {sync}, \
               (SELECT string_agg(md5(({sync}, g, d)::text), '') FROM generate_series(1, {DIGESTS}) d) \
             FROM generate_series(1, {ROWS}) g"
        ))
        .await;
}

#[test]
fn a_torn_upload_is_whole_or_not_there() {
    let dice = Dice::new("trial of uploads");
    let seed = dice.seed();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, network, database) = runtime.block_on(async {
        let server = s3::Server::start().await;
        server.create_bucket("lake").await;
        let network = Unreliable::start(server.endpoint(), RATES, super::SPARED, dice).await;
        let database = Database::create().await;
        database.run("CREATE TABLE documents (id bigint, sync bigint, body text)").await;
        (server, network, database)
    });
    let house = house(&network, &database);
    let mut in_vain = 0;
    for sync in 0..SYNCS {
        runtime.block_on(fill(&database, sync));
        // A file that could not be written whole ends its run, and nothing of it is visible.
        loop {
            let ran = house.run(&["sync", "trial"]);
            if ran.code == Some(0) {
                break;
            }
            assert_eq!(ran.code, Some(75), "SEALIFT_TEST_SEED={seed}\n{}", ran.printed());
            in_vain += 1;
            assert!(in_vain < 5 * SYNCS, "SEALIFT_TEST_SEED={seed}");
        }
        let found = house.query(
            "SELECT count(*) AS rows, min(sync) AS sync, sum(length(body)) AS letters FROM trial.documents",
        );
        let expected = serde_json::json!([{"rows": ROWS, "sync": sync, "letters": ROWS * DIGESTS * 32}]);
        assert_eq!(found, expected, "SEALIFT_TEST_SEED={seed}");
    }
    drop(server);
    let faults = tally(&network.journal());
    println!("{in_vain} syncs in vain, {faults:#?}");
    for class in [Class::Part, Class::Complete] {
        assert!(faults.keys().any(|(of, _)| *of == class), "no fault of {class:?}, SEALIFT_TEST_SEED={seed}");
    }
}

fn house(network: &Unreliable, database: &Database) -> House {
    let house = super::lake_behind(network, database);
    house.pipeline(
        "trial",
        "connection: db\ndataset: \"trial.{table}\"\nstreams:\n  public.documents: {columns: {body: {tag: pii.note}, \"*\": {tag: public}}}",
    );
    house
}
