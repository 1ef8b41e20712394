//! Pseudonyms turned back into values with the real program: with permission alone, counted, and on the record.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt as _;
use sealift::error::{Error, Kind};
use sealift::govern::Store as _;
use sealift::govern::audit::{self, Entry};
use sealift::query::{Reveal, Session};
use sealift::run::{Engine, Ledger};
use sealift::spec::config::Metadata;
use serde_json::{Value, json};

use crate::house::{House, Ran};

/// What no message may hold a part of.
const SECRETS: [&str; 5] = ["anna", "bert", "4111", "5500", "555-01"];

const RULES: &str = "- {tags: [pii.email], action: {tokenize: {join_domain: customer, canonical: email}}}\n\
                     - {tags: [financial.card_number], action: {tokenize_fpe: {}}}\n\
                     - {tags: [pii.phone], action: {tokenize: {join_domain: customer}}}\n\
                     - {tags: [pii.us_ssn], action: hash}\n- {tags: [pii.note], action: encrypt}\n\
                     - {tags: [public], action: allow}";

const PEOPLE: &str = "id,email,card,phone,ssn,note,nick\n\
                      1,Anna@Example.org,4111-1111-1111-1111,555-01-0001,078-05-1120,x,anni\n\
                      2,bert@example.org,5500 0000 0000 0004,555-01-0002,078-05-1121,y,berti\n\
                      3,,,,,,\n";

/// `crm.people` and `crm.orders`, with emails and phones of one join domain.
fn house(actors: &str, max_values_per_hour: u32) -> House {
    let house = House::new();
    policy(&house, actors, max_values_per_hour);
    house.pipeline(
        "crm",
        "connection: drops\ndataset: \"crm.{stream}\"\nstreams:\n  people:\n    path: people.csv\n    \
         parquet: {compression: none}\n    columns: {email: {tag: pii.email}, card: {tag: financial.card_number}, \
         phone: {tag: pii.phone}, ssn: {tag: pii.us_ssn}, note: {tag: pii.note}, nick: {action: tokenize}, \
         id: {tag: public}}\n  \
         orders:\n    path: orders.csv\n    columns: {email: {tag: pii.email}, \"*\": {tag: public}}",
    );
    house.write("in/drops/people.csv", PEOPLE);
    house.write(
        "in/drops/orders.csv",
        "id,email,total\n10,ANNA@example.org,5\n11,anna@example.org,7\n12,bert@example.org,9\n",
    );
    house.run(&["sync", "crm"]).expect(0);
    house
}

fn policy(house: &House, actors: &str, max_values_per_hour: u32) {
    house.policy_with(
        RULES,
        &format!(
            "reveal:\n  - {{tags: [pii.email, \"financial.*\"], actors: [\"{actors}\"], purposes: [fraud, aml], \
             max_values_per_hour: {max_values_per_hour}}}\n"
        ),
    );
}

/// The actor of a call by hand.
fn me(house: &House) -> String {
    format!("os:{}", fs::metadata(house.path("in")).unwrap().uid())
}

fn reveal(house: &House, sql: &str) -> Ran {
    house.run(&["query", sql, "--reveal", "fraud", "--format", "json"])
}

#[track_caller]
fn rows(house: &House, sql: &str) -> Value {
    let ran = reveal(house, sql);
    serde_json::from_str(ran.expect(0).stdout.trim()).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

#[track_caller]
fn refused(ran: &Ran, code: i32, words: &str) {
    let told = ran.expect(code).printed();
    assert!(told.contains(words), "{told}");
    let lower = told.to_lowercase();
    assert!(SECRETS.iter().all(|secret| !lower.contains(secret)), "{told}");
}

/// The audit trail, oldest first.
async fn trail(house: &House) -> Vec<Entry> {
    let ledger = Ledger::open(&Metadata::Sqlite(house.path("out/var/sealift.db"))).await.unwrap();
    let mut rows = audit::entries(&ledger, 1000).await.unwrap();
    rows.reverse();
    rows
}

/// The trail's reveals: word, and subject without the digest of the statement.
async fn reveals(house: &House) -> Vec<(String, String)> {
    let shown = |entry: Entry| {
        let parts = entry.subject.split(' ').filter(|part| !part.starts_with("statement="));
        (entry.action, parts.collect::<Vec<_>>().join(" "))
    };
    let is_one = |row: &Entry| row.action.starts_with("value.") && row.outcome == "done";
    trail(house).await.into_iter().filter(is_one).map(shown).collect()
}

/// What was refused, as the trail tells it, oldest first.
async fn refusals(house: &House) -> Vec<String> {
    let denied = trail(house).await.into_iter().filter(|row| row.outcome == "denied");
    denied
        .inspect(|row| assert_eq!((&*row.action, &*row.actor), ("value.reveal", &*me(house))))
        .map(|row| row.subject)
        .collect()
}

#[tokio::test]
async fn permitted_values_come_back_and_are_on_the_record_before_and_after() {
    let house = house("os:*", 1000);
    let found = rows(
        &house,
        "SELECT id, detokenize(email) AS email, detokenize(card) AS card FROM crm.people ORDER BY id",
    );
    // Tokens of a canonical form open to the form; NULL stays NULL.
    let expected = json!([
        {"id": 1, "email": "anna@example.org", "card": "4111-1111-1111-1111"},
        {"id": 2, "email": "bert@example.org", "card": "5500 0000 0000 0004"},
        {"id": 3, "email": null, "card": null},
    ]);
    assert_eq!(found, expected);
    let entries = trail(&house).await;
    let entries: Vec<_> = entries.iter().filter(|row| row.action.starts_with("value.")).collect();
    assert!(entries.iter().all(|row| row.actor == me(&house)), "{entries:?}");
    let digest = "detokenize purpose=fraud statement=hmac-sha256:";
    assert!(entries.iter().all(|row| row.subject.starts_with(digest)), "{entries:?}");
    assert!(entries.iter().all(|row| !row.subject.contains("anna") && !row.subject.contains("SELECT")));
    assert_eq!(
        reveals(&house).await,
        [
            ("value.reveal", "detokenize purpose=fraud column=crm.people@0/email"),
            ("value.reveal", "detokenize purpose=fraud column=crm.people@0/card"),
            ("value.revealed", "detokenize purpose=fraud values=2 column=crm.people@0/email"),
            ("value.revealed", "detokenize purpose=fraud values=2 column=crm.people@0/card"),
        ]
        .map(|(word, subject)| (word.to_owned(), subject.to_owned()))
    );
}

#[test]
fn a_column_is_known_through_everything_that_hands_its_values_through() {
    let house = house("*", 1000);
    let anna = json!([{"e": "anna@example.org"}]);
    for sql in [
        "SELECT detokenize(p.email) AS e FROM crm.people p WHERE p.id = 1",
        "SELECT detokenize(x) AS e FROM (SELECT email AS x, id FROM crm.people) WHERE id = 1",
        "WITH a AS (SELECT email, id FROM crm.people), b AS (SELECT email AS y, id FROM a ORDER BY id LIMIT 1) \
         SELECT detokenize(y) AS e FROM b",
        "SELECT detokenize(email) AS e FROM crm.people WHERE detokenize(email) = 'anna@example.org'",
        "SELECT e FROM (SELECT detokenize(email) AS e FROM crm.people) WHERE e LIKE 'anna%'",
        "SELECT detokenize(email) AS e FROM crm.people ORDER BY detokenize(email) NULLS LAST LIMIT 1",
        "SELECT detokenize(email) AS e FROM crm.people GROUP BY detokenize(email) ORDER BY e NULLS LAST LIMIT 1",
        "SELECT detokenize(email) AS e FROM crm.orders GROUP BY email HAVING count(*) = 2",
        "SELECT min(detokenize(email)) AS e FROM crm.people",
        "SELECT DISTINCT detokenize(p.email) AS e FROM crm.people p JOIN crm.orders o ON p.email = o.email \
         WHERE o.total = 5",
        "SELECT DISTINCT detokenize(o.email) AS e FROM crm.people p JOIN crm.orders o USING (email) \
         WHERE p.id = 1",
        "SELECT detokenize(email) AS e FROM crm.people WHERE email IN (SELECT email FROM crm.orders WHERE total = 5)",
        "SELECT DISTINCT e FROM (SELECT detokenize(email) AS e FROM crm.orders WHERE total = 5 UNION ALL \
         SELECT detokenize(email) FROM crm.people WHERE id = 1)",
        "SELECT detokenize(email) AS e FROM (SELECT * FROM crm.people WHERE id = 1 UNION ALL SELECT * FROM \
         crm.people WHERE id > 100)",
        "SELECT CASE WHEN id = 1 THEN detokenize(email) ELSE nick END AS e FROM crm.people WHERE id = 1",
        "SELECT (SELECT min(detokenize(email)) FROM crm.people) AS e",
        "SELECT lower(detokenize(email)) AS e FROM crm.people WHERE EXISTS (SELECT 1 FROM crm.orders) AND id = 1",
        "SELECT detokenize(email) AS e FROM (SELECT email, row_number() OVER (ORDER BY id) AS n FROM crm.people) \
         WHERE n = 1",
        "SELECT detokenize(a.email) AS e FROM crm.people a JOIN crm.people b ON detokenize(a.email) = \
         detokenize(b.email) WHERE a.id = 1",
    ] {
        assert_eq!(rows(&house, sql), anna, "{sql}");
    }
    // Nothing of it is in the fields of a result.
    let found = rows(
        &house,
        "SELECT arrow_metadata(email) AS before, arrow_metadata(detokenize(email)) AS after \
                              FROM crm.people WHERE id = 1",
    );
    assert!(!found.to_string().contains("sealift"), "{found}");
}

#[test]
fn trap_only_what_is_shown_is_opened_and_a_plan_opens_nothing() {
    let house = house("os:*", 2);
    for sql in [
        "EXPLAIN SELECT detokenize(email) FROM crm.people WHERE detokenize(email) = 'x'",
        "SELECT detokenize(email) FROM crm.people WHERE false",
        "SELECT CASE WHEN id > 100 THEN detokenize(email) END AS e FROM crm.people",
        "SELECT detokenize(email) FROM crm.people LIMIT 0",
    ] {
        let ran = reveal(&house, sql);
        assert!(!ran.expect(0).stdout.contains('@') || sql.starts_with("EXPLAIN"), "{ran:?}");
        assert!(!ran.stdout.contains("anna") && !ran.stdout.contains("key"), "{ran:?}");
    }
    // All of the two values that are allowed are still there.
    rows(&house, "SELECT detokenize(email) FROM crm.people");
    refused(&reveal(&house, "SELECT detokenize(email) FROM crm.people WHERE id = 1"), 75, "try again at 20");
}

#[tokio::test]
async fn without_permission_nothing_is_opened() {
    let house = house("os:*", 1000);
    let email = "SELECT detokenize(email) FROM crm.people";
    refused(&house.run(&["query", email]), 77, "--reveal PURPOSE");
    refused(
        &house.run(&["query", email, "--reveal", "marketing"]),
        77,
        "no `reveal` rule of policy test-policy",
    );
    refused(&house.run(&["query", email, "--reveal", "Fraud!"]), 2, "not a purpose");
    // Neither its rule's tag, nor any tag.
    refused(&reveal(&house, "SELECT detokenize(phone) FROM crm.people"), 77, "see pii.phone");
    refused(&reveal(&house, "SELECT detokenize(nick) FROM crm.people"), 77, "has no tag");
    // One that is not allowed holds those that are.
    refused(&reveal(&house, "SELECT detokenize(email), detokenize(phone) FROM crm.people"), 77, "pii.phone");
    policy(&house, "os:4242424242", 1000);
    refused(&reveal(&house, email), 77, &format!("allows {} to see pii.email", me(&house)));
    house.policy(RULES);
    refused(&reveal(&house, email), 77, "no `reveal` rule");
    assert_eq!(reveals(&house).await, []);
    // Who tries is on the record, with what was tried.
    let fraud = |column: &str| format!("detokenize purpose=fraud column=crm.people@0/{column}");
    assert_eq!(
        refusals(&house).await,
        [
            "detokenize without a purpose column=crm.people@0/email".to_owned(),
            "detokenize purpose=marketing column=crm.people@0/email".to_owned(),
            fraud("phone"),
            fraud("nick"),
            fraud("phone"),
            fraud("email"),
            fraud("email"),
        ]
    );
    // Tokens themselves are anybody's.
    assert_eq!(rows(&house, "SELECT count(email) AS n FROM crm.people"), json!([{"n": 2}]));
}

#[test]
fn what_cannot_be_turned_back_says_so() {
    let house = house("os:*", 1000);
    refused(&reveal(&house, "SELECT detokenize(ssn) FROM crm.people"), 78, "published by `hash`");
    refused(&reveal(&house, "SELECT detokenize(note) FROM crm.people"), 78, "select the column itself");
    refused(&reveal(&house, "SELECT detokenize(id) FROM crm.people"), 78, "select the column itself");
}

/// Tokens of phones open with the key of emails, whose tag alone is allowed: no way around leads there.
#[test]
fn trap_nothing_but_the_column_itself_is_taken() {
    let house = house("os:*", 1000);
    for sql in [
        "SELECT detokenize('t1:AAAA')",
        "SELECT detokenize(upper(email)) FROM crm.people",
        "SELECT detokenize(email || '') FROM crm.people",
        "SELECT detokenize(detokenize(email)) FROM crm.people",
        "SELECT detokenize(coalesce(email, phone)) FROM crm.people",
        "SELECT detokenize(CASE WHEN id = 9 THEN email ELSE phone END) FROM crm.people",
        "SELECT detokenize(CAST(email AS VARCHAR)) FROM crm.people",
        "SELECT detokenize(with_metadata(phone, 'tag', 'pii.email')) FROM crm.people",
        "SELECT detokenize(x) FROM (SELECT with_metadata(phone, 'tag', 'pii.email') AS x FROM crm.people)",
        "SELECT detokenize(x) FROM (SELECT email AS x FROM crm.people WHERE id = 9 UNION ALL SELECT phone FROM crm.people)",
        "SELECT detokenize(x) FROM (SELECT email AS x FROM crm.people UNION SELECT 't1:AAAA')",
        "SELECT detokenize(x) FROM (SELECT email AS x FROM crm.people UNION ALL SELECT email FROM crm.orders)",
        "WITH RECURSIVE r AS (SELECT email AS x, 1 AS n FROM crm.people WHERE id = 9 UNION ALL \
         SELECT phone, 2 FROM crm.people) SELECT detokenize(x) FROM r",
        "SELECT detokenize(x) FROM (VALUES ('t1:AAAA')) AS v(x)",
        "SELECT detokenize(max(email)) FROM crm.people",
        "SELECT detokenize(x) FROM (SELECT first_value(email) AS x FROM crm.people)",
        "SELECT detokenize(x) FROM (SELECT lag(phone) OVER (ORDER BY id) AS x FROM crm.people)",
        "SELECT detokenize(x) FROM (SELECT unnest(make_array(email, phone)) AS x FROM crm.people)",
        "SELECT detokenize(s['email']) FROM (SELECT named_struct('email', phone) AS s FROM crm.people)",
        "SELECT id FROM crm.people p WHERE EXISTS (SELECT 1 FROM crm.orders o WHERE detokenize(p.email) = 'x')",
        "SELECT detokenize(email, phone) FROM crm.people",
        "SELECT detokenize() FROM crm.people",
    ] {
        let ran = reveal(&house, sql);
        assert_eq!(ran.code, Some(78), "{sql}: {ran:?}");
        refused(&ran, 78, "error");
    }
    // The column of that name is the phone here.
    let ran =
        reveal(&house, "SELECT detokenize(email) FROM (SELECT phone AS email FROM crm.people) AS people");
    refused(&ran, 77, "see pii.phone");
}

#[tokio::test]
async fn a_used_up_budget_ends_the_query_and_tells_when_to_come_back() {
    let house = house("os:*", 5);
    let both = "SELECT detokenize(email), detokenize(card) FROM crm.people";
    rows(&house, both);
    refused(&reveal(&house, both), 75, "try again at 20");
    // Another purpose of the same rule is no other budget; one value is left.
    let one = "SELECT detokenize(email) FROM crm.people WHERE id = 1";
    house.run(&["query", one, "--reveal", "aml"]).expect(0);
    refused(&reveal(&house, one), 75, "used up");
    let values: u64 = reveals(&house)
        .await
        .iter()
        .filter(|(word, _)| word == "value.revealed")
        .filter_map(|(_, subject)| subject.split("values=").nth(1)?.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(values, 5);
    // Each beginning has its end, those that failed as well.
    let words = reveals(&house).await;
    let count = |word: &str| words.iter().filter(|(one, _)| one == word).count();
    assert_eq!(count("value.reveal"), count("value.revealed"));
    // More at once than a whole hour allows is not a matter of time.
    policy(&house, "os:*", 1);
    refused(&reveal(&house, "SELECT detokenize(email) FROM crm.people"), 77, "within an hour");
    let refusals = refusals(&house).await;
    assert_eq!(refusals.len(), 3, "{refusals:?}");
    let last = "detokenize purpose=fraud column=crm.people@0/email values=2 beyond 1 an hour";
    assert_eq!(refusals[2], last);
}

#[test]
fn trap_processes_at_the_same_time_share_one_budget() {
    let house = house("os:*", 7);
    let sql = "SELECT detokenize(email) AS e FROM crm.people WHERE id = 1";
    let started: Vec<_> = (0..12)
        .map(|_| house.start(house.command(&["query", sql, "--reveal", "fraud", "--format", "json"])))
        .collect();
    let ended: Vec<_> = started.into_iter().map(|one| house.finish(one)).collect();
    let shown = ended.iter().filter(|ran| ran.stdout.contains("anna@example.org")).count();
    assert_eq!(shown, 7);
    for ran in &ended {
        assert!(ran.code == Some(0) || ran.code == Some(75), "{ran:?}");
    }
}

#[test]
fn an_older_version_is_opened_by_what_was_recorded_then() {
    let house = house("os:*", 1000);
    house.policy_with(
        &RULES.replace("{tokenize: {join_domain: customer, canonical: email}}", "redact"),
        "reveal:\n  - {tags: [\"*\"], actors: [\"*\"], purposes: [fraud], max_values_per_hour: 10}\n",
    );
    house.write("in/drops/people.csv", PEOPLE);
    house.run(&["sync", "crm", "--stream", "people"]).expect(0);
    let sql = "SELECT detokenize(email) AS e FROM crm.people WHERE id = 2";
    refused(&reveal(&house, sql), 78, "published by `redact`");
    let old = house.run(&["query", sql, "--reveal", "fraud", "--as-of", "0", "--format", "csv"]);
    assert_eq!(old.expect(0).stdout, "e\nbert@example.org\n");
}

#[test]
fn tokens_of_a_compacted_and_extended_table_are_opened() {
    let house = House::new();
    policy(&house, "*", 1000);
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    write_mode: append\n    \
         columns: {email: {tag: pii.email}, card: {tag: financial.card_number}, id: {tag: public}}",
    );
    for id in 1..=3 {
        house.write(
            "in/drops/people.csv",
            &format!("id,email,card\n{id},p{id}@x.org,4111-1111-1111-11{id:02}\n"),
        );
        house.run(&["sync", "crm"]).expect(0);
    }
    house.run(&["compact", "crm.people"]).expect(0);
    let found =
        rows(&house, "SELECT detokenize(email) AS e, detokenize(card) AS c FROM crm.people ORDER BY id");
    assert_eq!(found[2], json!({"e": "p3@x.org", "c": "4111-1111-1111-1103"}));
    // A later alphabet would give the same values other tokens.
    let rules = RULES.replace("tokenize_fpe: {}", "tokenize_fpe: {alphabet: alphanumeric}");
    house.policy_with(&rules, "");
    let held = house.run(&["sync", "crm"]);
    assert!(held.expect(76).stderr.contains("old `alphabet`"), "{held:?}");
}

/// The data files of a dataset, and its receipts.
fn files(house: &House, folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(house.path("out/lake/crm").join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

#[test]
fn trap_altered_tokens_are_told_without_a_value() {
    let house = house("os:*", 1000);
    let sql = "SELECT detokenize(email) FROM crm.people";
    let files = files(&house, "people", ".parquet");
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let bytes = fs::read(file).unwrap();
    let token = b"t1.email1:";
    let at = bytes.windows(token.len()).position(|window| window == token).unwrap();
    // The version, the first byte of what is sealed, and the length that base64 can have.
    for (place, byte) in [(at + 1, b'2'), (at + 10, bytes[at + 10] ^ 1), (at + 15, b'=')] {
        let mut altered = bytes.clone();
        altered[place] = byte;
        fs::write(file, &altered).unwrap();
        refused(&reveal(&house, sql), 65, "its key did not make, or that was altered");
        refused(
            &reveal(&house, "SELECT id FROM crm.people WHERE detokenize(email) = 'x'"),
            65,
            "or that was altered",
        );
    }
}

#[test]
fn trap_what_is_recorded_counts_only_where_it_is_signed() {
    let house = house("os:*", 1000);
    let sql = "SELECT detokenize(phone) FROM crm.people";
    refused(&reveal(&house, sql), 77, "see pii.phone");
    // Who can write to the store can write another tag into log and receipt, and cannot sign it.
    for (folder, ending) in [("people/_delta_log", "00.json"), ("people/_sealift/receipts", ".json")] {
        for file in files(&house, folder, ending) {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("pii.phone", "pii.email")).unwrap();
        }
        refused(&reveal(&house, sql), 1, "is not proven");
    }
    files(&house, "people/_sealift/receipts", ".json").iter().for_each(|file| fs::remove_file(file).unwrap());
    refused(&reveal(&house, sql), 1, "receipt is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_sessions_of_two_actors_in_one_process_share_nothing() {
    let house = house("os:1", 2);
    let engine = Engine::open(&house.path("in/sealift.yaml"), &|_| {}).await.unwrap();
    let ledger = Arc::new(engine.ledger.clone());
    let open = async |actor: Option<&str>| {
        let reveal = actor.map(|actor| {
            let purpose = Some("fraud".parse().unwrap());
            Reveal::new(actor.to_owned(), purpose, engine.policy.clone(), ledger.clone())
        });
        Session::open(engine.stores().unwrap(), engine.keyring.clone(), 64 << 20, None, reveal).await.unwrap()
    };
    let sql = "SELECT detokenize(email) AS e FROM crm.people WHERE id = 1";
    let run = async |session: &Session| -> Result<usize, Error> {
        let (schema, rows) = session.sql(sql).await?;
        assert!(schema.fields().iter().all(|field| field.metadata().is_empty()));
        Ok(rows.try_collect::<Vec<_>>().await?.iter().map(|batch| batch.num_rows()).sum())
    };
    let (first, second, third) = (open(Some("os:1")).await, open(Some("os:2")).await, open(None).await);
    for _ in 0..2 {
        assert_eq!(run(&first).await.unwrap(), 1);
        assert_eq!(run(&second).await.unwrap_err().kind(), Kind::Denied);
        assert_eq!(run(&third).await.unwrap_err().kind(), Kind::Denied);
    }
    // A session that is opened anew has no new budget.
    assert_eq!(run(&open(Some("os:1")).await).await.unwrap_err().kind(), Kind::Temporary);
    // Rows that nobody waits for are on the record all the same.
    let begun = reveals(&house).await.len();
    drop(first.sql(sql).await.unwrap());
    let after = reveals(&house).await;
    assert_eq!(after.len(), begun + 2);
    assert_eq!(after.last().unwrap().1, "detokenize purpose=fraud values=0 column=crm.people@0/email");
}

#[tokio::test(flavor = "multi_thread")]
async fn trap_what_cannot_be_recorded_is_not_revealed() {
    let house = house("os:*", 1000);
    let engine = Engine::open(&house.path("in/sealift.yaml"), &|_| {}).await.unwrap();
    let reveal = Reveal::new(
        "os:1".to_owned(),
        Some("fraud".parse().unwrap()),
        engine.policy.clone(),
        Arc::new(engine.ledger.clone()),
    );
    let stores = engine.stores().unwrap();
    let session = Session::open(stores, engine.keyring.clone(), 64 << 20, None, Some(reveal)).await.unwrap();
    let sql = "SELECT detokenize(email) AS e FROM crm.people";
    let pool = engine.ledger.pool();
    // Each has a name of its own: a connection of the pool may believe for a while that a dropped one is there.
    let refuse = async |name: &str| {
        let trigger =
            format!("CREATE TRIGGER {name} BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END");
        sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(pool).await.unwrap();
    };
    refuse("no_beginning").await;
    assert!(session.sql(sql).await.is_err());
    // The end cannot be recorded either: then the query fails, although its rows were read.
    sqlx::query("DROP TRIGGER no_beginning").execute(pool).await.unwrap();
    let (_, rows) = session.sql(sql).await.unwrap();
    refuse("no_end").await;
    assert!(rows.try_collect::<Vec<_>>().await.is_err());
}
