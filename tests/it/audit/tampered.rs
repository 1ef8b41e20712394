//! What can be done to the trail, one thing at a time, and what `sealift audit verify` calls it.

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use super::*;

const FILES: [&str; 2] = ["sealift.db", "audit-checkpoints.jsonl"];

/// Every entry from `from` on has this subject's word replaced, and hashes as if it had been written so.
async fn rewrite(house: &House, from: i64) {
    let mut store = store(house).await;
    let rows = sqlx::query("SELECT * FROM audit ORDER BY seq").fetch_all(&mut store).await.unwrap();
    let mut prev = rows[0].get::<String, _>("prev");
    let mut statements = Vec::new();
    for row in rows {
        let seq: i64 = row.get("seq");
        let mut subject: String = row.get("subject");
        if seq == from {
            subject = "nothing to see".to_owned();
        }
        let mut bytes = b"sealift audit entry v1\0".to_vec();
        bytes.extend(seq.to_be_bytes());
        bytes.extend(row.get::<i64, _>("at_ms").to_be_bytes());
        for text in [row.get("actor"), row.get("action"), subject.clone(), row.get::<String, _>("outcome")] {
            bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.bytes());
        }
        bytes.extend(hex::decode(&prev).unwrap());
        let hash = hex::encode(Sha256::digest(&bytes));
        statements.push(format!(
            "UPDATE audit SET subject = '{subject}', prev = '{prev}', hash = '{hash}' WHERE seq = {seq}"
        ));
        statements.push(format!("UPDATE audit_head SET hash = '{hash}'"));
        prev = hash;
    }
    store.close().await.unwrap();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    tamper(house, &statements).await;
}

/// The state to come back to.
async fn saved(house: &House) {
    let mut store = store(house).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut store).await.unwrap();
    store.close().await.unwrap();
    for file in FILES {
        fs::copy(house.path("out/var").join(file), house.path("in").join(file)).unwrap();
    }
}

fn restored(house: &House) {
    for file in ["sealift.db-wal", "sealift.db-shm"] {
        let _ = fs::remove_file(house.path("out/var").join(file));
    }
    for file in FILES {
        fs::copy(house.path("in").join(file), house.path("out/var").join(file)).unwrap();
    }
}

fn verified(house: &House) -> Vec<(String, Option<i64>)> {
    named(&house.json(&["audit", "verify"], 65))
}

fn fault(what: &str, seq: i64) -> (String, Option<i64>) {
    (what.to_owned(), Some(seq))
}

#[tokio::test]
async fn each_way_of_tampering_is_named() {
    let house = house("");
    tokens(&house, 4);
    house.run(&["audit", "checkpoint"]).expect(0);
    tokens_named(&house, "fifth");
    tokens_named(&house, "sixth");
    house.run(&["audit", "checkpoint"]).expect(0);
    tokens_named(&house, "seventh");
    saved(&house).await;
    house.run(&["audit", "verify"]).expect(0);

    let neat = "UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit WHERE seq = 5)";
    type Faults = Vec<(String, Option<i64>)>;
    let before = "INSERT INTO audit SELECT -7, at_ms, actor, action, subject, outcome, prev, hash
                  FROM audit WHERE seq = 1";
    let signed =
        "INSERT INTO audit_checkpoints SELECT trail, 9223372036854775807, hash, at_ms, signer, signature
                  FROM audit_checkpoints WHERE seq = 6";
    let cases: [(&[&str], Faults); 8] = [
        (&[before], vec![fault("slipped_in", -7)]),
        (&[signed], vec![fault("forged_checkpoint", i64::MAX)]),
        (&["UPDATE audit SET actor = 'os:0000' WHERE seq = 2"], vec![fault("edited", 2)]),
        (&["UPDATE audit SET outcome = 'denied' WHERE seq = 7"], vec![fault("edited", 7)]),
        (&["DELETE FROM audit WHERE seq = 3"], vec![fault("deleted", 3)]),
        (&["DELETE FROM audit WHERE seq > 5", neat], vec![fault("truncated", 6)]),
        (
            &[
                "UPDATE audit SET seq = 100 WHERE seq = 2",
                "UPDATE audit SET seq = 2 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 100",
            ],
            vec![fault("reordered", 2), fault("reordered", 3)],
        ),
        (
            &["UPDATE audit_checkpoints SET signer = signer || '1' WHERE seq = 4"],
            vec![fault("forged_checkpoint", 4)],
        ),
    ];
    for (statements, expected) in cases {
        restored(&house);
        tamper(&house, statements).await;
        assert_eq!(verified(&house), expected, "{statements:?}");
    }

    // All hashes are right, and it is another trail than was signed.
    restored(&house);
    rewrite(&house, 5).await;
    assert_eq!(verified(&house), [fault("rewritten", 6)]);
    let told = house.run(&["audit", "verify"]);
    assert!(told.expect(65).stdout.contains("of entries 5 to 6"), "{told:?}");
    // Behind the last checkpoint nobody vouches: it is said up to where.
    restored(&house);
    rewrite(&house, 7).await;
    assert_eq!(house.json(&["audit", "verify"], 0)["signed_outside"]["seq"], 6);

    // Checkpoints outside the store.
    let file = house.path("out/var/audit-checkpoints.jsonl");
    restored(&house);
    let forged = fs::read_to_string(&file).unwrap().lines().last().unwrap().replace("\"seq\":6", "\"seq\":7");
    fs::write(&file, format!("{}{forged}\n", fs::read_to_string(&file).unwrap())).unwrap();
    assert_eq!(verified(&house), [fault("forged_checkpoint", 7)]);
    restored(&house);
    first_line_only(&file);
    assert_eq!(verified(&house), [fault("missing_checkpoint", 6)]);
    restored(&house);
    fs::remove_file(&file).unwrap();
    assert_eq!(verified(&house), [fault("missing_checkpoint", 4)]);
    // A line that was cut short by a full disk says nothing, and the next one is whole again.
    restored(&house);
    fs::write(&file, format!("{}{}", fs::read_to_string(&file).unwrap(), "{\"format\"")).unwrap();
    house.run(&["audit", "checkpoint"]).expect(0);
    let found = house.json(&["audit", "verify"], 0);
    assert_eq!(
        (found["notes"].as_array().unwrap().len(), &found["signed_outside"]["seq"]),
        (1, &json!(7)),
        "{found}"
    );

    // The whole store is replaced, and begins anew.
    restored(&house);
    fs::remove_file(house.path("out/var/sealift.db")).unwrap();
    tokens_named(&house, "new");
    let others = [("other_trail".to_owned(), None), fault("other_trail", 4), fault("other_trail", 6)];
    assert_eq!(verified(&house), others);
    // The file beside the store may be gone as well: the keys know to which trail they belong.
    fs::remove_file(&file).unwrap();
    assert_eq!(verified(&house), others[..1]);
    house.run(&["audit", "checkpoint"]).expect(65);
    // If it was meant, that can be said.
    fs::remove_file(house.path("out/keys/.audit-trail")).unwrap();
    house.run(&["audit", "checkpoint"]).expect(0);
    house.run(&["audit", "verify"]).expect(0);
}

#[tokio::test]
async fn no_row_in_the_store_keeps_the_trail_from_being_signed() {
    let house = house("");
    tokens(&house, 3);
    let row = "INSERT INTO audit_checkpoints SELECT trail, 9223372036854775807, hash, 0, 'x', 'eA==' FROM audit_head";
    let mut store = store(&house).await;
    sqlx::query(row).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(house.json(&["audit", "checkpoint"], 0)["checkpoint"]["seq"], 3);
    assert_eq!(verified(&house), [fault("forged_checkpoint", i64::MAX)]);
}

#[tokio::test]
async fn somebody_with_other_keys_does_not_vouch() {
    let (house, stranger) = (house(""), house(""));
    tokens(&house, 2);
    house.run(&["audit", "checkpoint"]).expect(0);
    stranger.run(&["audit", "checkpoint"]).expect(0);
    tokens_named(&stranger, "one");
    stranger.run(&["audit", "checkpoint"]).expect(0);
    house.write("in/public", &stranger.run(&["keys", "public"]).expect(0).stdout);
    let public = house.path("in/public");
    let found = house.json(&["audit", "verify", "--public-key", public.to_str().unwrap()], 65);
    assert_eq!(named(&found), [fault("forged_checkpoint", 2), fault("forged_checkpoint", 2)]);
}

#[tokio::test]
async fn the_store_itself_refuses_what_has_no_rights_to_its_guards() {
    let house = house("");
    tokens(&house, 1);
    house.run(&["audit", "checkpoint"]).expect(0);
    let mut store = store(&house).await;
    let before = "INSERT INTO audit_unchained (at_ms, actor, action, subject) VALUES (1, 'x', 'x', 'x')";
    sqlx::query(before).execute(&mut store).await.unwrap();
    for statement in [
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "INSERT INTO audit SELECT 0, at_ms, actor, action, subject, outcome, prev, hash FROM audit",
        "UPDATE audit_checkpoints SET seq = 9",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_unchained SET actor = 'y'",
        "DELETE FROM audit_unchained",
    ] {
        assert!(sqlx::query(statement).execute(&mut store).await.is_err(), "{statement}");
    }
    house.run(&["audit", "verify"]).expect(0);
}
