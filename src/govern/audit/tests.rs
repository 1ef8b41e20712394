use super::*;
use crate::error::Kind;
use crate::run::ledger::Ledger;
use crate::spec::config::Metadata;

async fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
    (folder, ledger)
}

/// A trail of so many entries.
async fn trail(entries: usize) -> (tempfile::TempDir, Ledger) {
    let (folder, ledger) = ledger().await;
    let subjects: Vec<String> = (1..=entries).map(|number| format!("crm.people/{number}")).collect();
    record_each(&ledger, "os:0", Action::KeyRelease, &subjects).await.unwrap();
    (folder, ledger)
}

/// Somebody who may write to the store, and has no use for its guards.
async fn tamper(ledger: &Ledger, statements: &[&'static str]) {
    let guards =
        ["audit_entry_is_never_changed", "audit_entry_is_never_removed", "audit_entry_is_numbered_from_one"];
    for guard in guards {
        let drop = sqlx::AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {guard}"));
        sqlx::query(drop).execute(ledger.pool()).await.unwrap();
    }
    for statement in statements {
        sqlx::query(*statement).execute(ledger.pool()).await.unwrap();
    }
}

async fn faults(ledger: &Ledger, witnesses: &[Witness]) -> Vec<(&'static str, Option<i64>)> {
    let found = verify(ledger, witnesses).await.unwrap();
    found.faults.iter().map(|fault| (fault.what.word(), fault.seq)).collect()
}

async fn witness(ledger: &Ledger, seq: i64) -> Witness {
    let entry = after(ledger, seq - 1, 1).await.unwrap().remove(0);
    Witness { seq, hash: layout::Hash::parse(&entry.hash).unwrap() }
}

#[tokio::test]
async fn entries_are_added_and_never_changed_or_removed() {
    let (_folder, ledger) = ledger().await;
    record(&ledger, "os:0", Action::KeyRelease, "crm.people/ssn").await.unwrap();
    denied(&ledger, "token:airflow", Action::RunTrigger, "crm").await.unwrap();

    let slipped_in = "INSERT INTO audit VALUES (-7, 1, 'os:0', 'key.release', 'x', 'done', 'x', 'x')";
    for statement in ["DELETE FROM audit", "UPDATE audit SET actor = 'x'", slipped_in] {
        assert!(sqlx::query(statement).execute(ledger.pool()).await.is_err(), "{statement}");
    }
    let told: Vec<_> = entries(&ledger, 10).await.unwrap();
    let told: Vec<_> =
        told.iter().map(|e| (e.seq, e.actor.as_str(), e.action.as_str(), e.outcome.as_str())).collect();
    assert_eq!(told, [(2, "token:airflow", "run.trigger", "denied"), (1, "os:0", "key.release", "done")]);
    assert_eq!(faults(&ledger, &[]).await, []);
}

#[tokio::test]
async fn a_whole_trail_of_several_pages_holds() {
    let (_folder, ledger) = trail(2500).await;
    let witnesses = [witness(&ledger, 1).await, witness(&ledger, 1000).await, witness(&ledger, 2500).await];
    let found = verify(&ledger, &witnesses).await.unwrap();
    assert!(found.holds() && found.entries == 2500 && found.last == 2500, "{found:?}");
}

#[tokio::test]
async fn what_is_done_to_entries_is_named() {
    let edit = "UPDATE audit SET subject = 'crm.people/other' WHERE seq = 5";
    let delete = "DELETE FROM audit WHERE seq BETWEEN 5 AND 6";
    let renumber =
        ["UPDATE audit SET seq = -seq WHERE seq > 6", "UPDATE audit SET seq = -seq - 2 WHERE seq < 0"];
    let first = "DELETE FROM audit WHERE seq < 3";
    let last = "DELETE FROM audit WHERE seq > 17";
    let swap = [
        "UPDATE audit SET seq = -1 WHERE seq = 5",
        "UPDATE audit SET seq = 5 WHERE seq = 9",
        "UPDATE audit SET seq = 9 WHERE seq = -1",
    ];
    let nonsense = "UPDATE audit SET hash = 'x' WHERE seq = 20";
    let binary = "UPDATE audit SET subject = x'ff00' WHERE seq = 4";
    let beyond = "UPDATE audit_head SET seq = 19";
    let before = "INSERT INTO audit SELECT -7, at_ms, actor, action, subject, outcome, prev, hash
                  FROM audit WHERE seq = 1";
    let after =
        "INSERT INTO audit SELECT 9223372036854775807, at_ms, actor, action, subject, outcome, prev, hash
                 FROM audit WHERE seq = 1";
    let far = "UPDATE audit_head SET seq = 9223372036854775807";
    type Faults = &'static [(&'static str, Option<i64>)];
    let cases: [(&[&'static str], Faults); 14] = [
        (&[before], &[("slipped_in", Some(-7))]),
        (&[after], &[("altered_head", Some(21))]),
        // The search for where an entry belongs goes by what is there, not by what is said of it.
        (&[edit, far], &[("edited", Some(5)), ("truncated", Some(21))]),
        (&[edit, after, far], &[("edited", Some(5)), ("deleted", Some(21)), ("reordered", Some(i64::MAX))]),
        (&[edit], &[("edited", Some(5))]),
        (&[delete], &[("deleted", Some(5))]),
        (&[delete, renumber[0], renumber[1]], &[("reordered", Some(5)), ("truncated", Some(19))]),
        (&[first], &[("deleted", Some(1))]),
        (&[last], &[("truncated", Some(18))]),
        (&swap, &[("reordered", Some(5)), ("reordered", Some(9))]),
        (&[nonsense], &[("edited", Some(20))]),
        (&[binary], &[("edited", Some(4))]),
        (&[beyond], &[("altered_head", Some(20)), ("altered_head", Some(19))]),
        (&["DELETE FROM audit_head"], &[("altered_head", None)]),
    ];
    for (statements, expected) in cases {
        let (_folder, ledger) = trail(20).await;
        tamper(&ledger, statements).await;
        assert_eq!(faults(&ledger, &[]).await, expected, "{statements:?}");
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_neatly_and_a_trail_written_anew_need_a_witness() {
    let (_folder, ledger) = trail(20).await;
    let witnesses = [witness(&ledger, 8).await, witness(&ledger, 20).await];
    let head = "UPDATE audit_head SET seq = 17, hash = (SELECT hash FROM audit WHERE seq = 17)";
    tamper(&ledger, &["DELETE FROM audit WHERE seq > 17", head]).await;
    assert_eq!(faults(&ledger, &[]).await, []);
    assert_eq!(faults(&ledger, &witnesses).await, [("truncated", Some(18))]);
    // The trail goes on, as long as it was and longer.
    record_each(&ledger, "os:0", Action::KeyRelease, &["a"; 5]).await.unwrap();
    assert_eq!(faults(&ledger, &[]).await, []);
    assert_eq!(faults(&ledger, &witnesses).await, [("rewritten", Some(20))]);
    let message = verify(&ledger, &witnesses).await.unwrap().faults.remove(0).message;
    assert!(message.contains("of entries 9 to 20"), "{message}");
}

#[tokio::test]
async fn a_trail_without_its_end_takes_nothing_more() {
    let (folder, ledger) = trail(3).await;
    tamper(&ledger, &["DELETE FROM audit_head"]).await;
    let again = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
    for ledger in [ledger, again] {
        let error = record(&ledger, "os:0", Action::KeyRelease, "a").await.unwrap_err();
        assert!(error.kind() == Kind::Failed && error.message().contains("lost its end"), "{error}");
    }
}

#[tokio::test]
async fn faults_beyond_the_first_hundred_are_counted() {
    let (_folder, ledger) = trail(250).await;
    tamper(&ledger, &["UPDATE audit SET actor = 'os:1'"]).await;
    let found = verify(&ledger, &[]).await.unwrap();
    assert_eq!((found.faults.len(), found.untold), (100, 150));
}

#[tokio::test]
async fn an_entry_within_a_turn_is_there_with_its_deed_or_not_at_all() {
    let (_folder, ledger) = ledger().await;
    for is_kept in [false, true] {
        let mut turn = turn(&ledger).await.unwrap();
        let deed = "INSERT INTO stores (place, tested_ms) VALUES ('file /lake', 1)";
        sqlx::query(deed).execute(&mut *turn).await.unwrap();
        record_within(&mut turn, Action::ConfigChange, [("os:0", "a")]).await.unwrap();
        if is_kept {
            turn.commit().await.unwrap();
        } else {
            turn.rollback().await.unwrap();
        }
        let deeds: (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM stores").fetch_one(ledger.pool()).await.unwrap();
        let entries = entries(&ledger, 10).await.unwrap().len();
        assert_eq!((deeds.0, entries), (i64::from(is_kept), usize::from(is_kept)));
    }
    assert_eq!(faults(&ledger, &[]).await, []);
}

#[tokio::test]
async fn who_comes_at_once_makes_one_chain() {
    let (folder, ledger) = ledger().await;
    let other = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
    let adding = (0..40).map(|number| {
        let ledger = if number % 2 == 0 { &ledger } else { &other };
        async move { record(ledger, "os:0", Action::KeyUse, &number.to_string()).await }
    });
    futures::future::try_join_all(adding).await.unwrap();
    let found = verify(&other, &[]).await.unwrap();
    assert!(found.holds() && found.entries == 40, "{found:?}");
}

#[tokio::test]
async fn entries_are_found_by_who_what_and_when_page_by_page() {
    let (_folder, ledger) = ledger().await;
    let deeds = [("os:0", Action::KeyUse), ("os:1", Action::KeyRelease), ("os:0", Action::RunTrigger)];
    for (actor, action) in deeds {
        record(&ledger, actor, action, "a").await.unwrap();
    }
    let found = |filter: Filter| {
        let ledger = &ledger;
        async move { list(ledger, &filter).await.unwrap().iter().map(|entry| entry.seq).collect::<Vec<_>>() }
    };
    let all = Filter::newest(10);
    assert_eq!(found(all.clone()).await, [3, 2, 1]);
    assert_eq!(found(Filter { limit: 2, ..all.clone() }).await, [3, 2]);
    assert_eq!(found(Filter { before: Some(2), ..all.clone() }).await, [1]);
    assert_eq!(found(Filter { actor: Some("os:0".into()), ..all.clone() }).await, [3, 1]);
    assert_eq!(found(Filter { action: Some("key".into()), ..all.clone() }).await, [2, 1]);
    assert_eq!(found(Filter { action: Some("key.use".into()), ..all.clone() }).await, [1]);
    assert_eq!(found(Filter { action: Some("key.u".into()), ..all.clone() }).await, [0; 0]);
    assert_eq!(found(Filter { since_ms: Some(i64::MAX), ..all }).await, [0; 0]);
}

/// What is told of an actor, newest first.
async fn told_of(ledger: &Ledger, actor: &str) -> Vec<String> {
    let of = entries(ledger, 1000).await.unwrap().into_iter().filter(|entry| entry.actor == actor);
    of.map(|entry| format!("{} {} {}", entry.action, entry.outcome, entry.subject)).collect()
}

async fn note(denials: &Denials, ledger: &Ledger, actor: &str, action: Action, subject: &str) {
    if denials.count(actor, action, subject) {
        denials.tell(ledger, false).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_slipped_in_is_not_shown_as_an_entry() {
    let (_folder, ledger) = trail(3).await;
    let slip_in = "INSERT INTO audit SELECT seq * 10 - 20, at_ms, 'os:7', action, subject, outcome, prev, hash FROM audit
                   WHERE seq <> 2";
    tamper(&ledger, &[slip_in]).await;
    let seqs = |entries: Vec<Entry>| entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(entries(&ledger, 10).await.unwrap()), [3, 2, 1]);
    assert_eq!(newest_of(&ledger, Action::KeyRelease).await.unwrap().unwrap().seq, 3);
    let theirs = Filter { actor: Some("os:7".into()), ..Filter::newest(10) };
    assert_eq!(seqs(list(&ledger, &theirs).await.unwrap()), [0; 0]);
    assert_eq!(faults(&ledger, &[]).await, [("slipped_in", Some(-10)), ("altered_head", Some(4))]);
}

#[tokio::test]
async fn a_flood_of_denials_is_counted_and_not_written_one_by_one() {
    let (_folder, ledger) = ledger().await;
    let denials = Denials::default();
    for _ in 0..500 {
        note(&denials, &ledger, "token:a", Action::Request, "GET /v1").await;
    }
    assert_eq!(entries(&ledger, 10).await.unwrap().len(), 1);
    for number in 0..500 {
        note(&denials, &ledger, &format!("ldap:{number}"), Action::Login, "no role").await;
    }
    denials.tell(&ledger, true).await.unwrap();
    let told = entries(&ledger, 1000).await.unwrap();
    assert!(told.len() < 70, "{}", told.len());
    assert_eq!(
        told_of(&ledger, "token:a").await,
        ["request denied GET /v1 and 499 more within a minute", "request denied GET /v1"]
    );
    assert_eq!(
        told_of(&ledger, "many").await,
        ["login denied others and 436 more within a minute", "login denied others"]
    );
}

#[tokio::test]
async fn nobody_hides_the_denials_of_others_behind_their_own() {
    let (_folder, ledger) = ledger().await;
    let denials = Denials::default();
    for number in 0..100 {
        let path = format!("POST /v1/pipelines/a{number}/runs");
        note(&denials, &ledger, "token:noisy", Action::Request, &path).await;
        note(&denials, &ledger, &format!("address:127.0.0.{number}"), Action::Login, "nobody").await;
    }
    note(&denials, &ledger, "token:airflow", Action::Request, "PUT /v1/pipelines/crm").await;
    denials.tell(&ledger, true).await.unwrap();
    assert_eq!(told_of(&ledger, "token:airflow").await, ["request denied PUT /v1/pipelines/crm"]);
    let noisy = told_of(&ledger, "token:noisy").await;
    assert_eq!(noisy.len(), 8 + 2, "{noisy:?}");
    assert!(noisy.contains(&"request denied others and 91 more within a minute".to_owned()), "{noisy:?}");
    assert_eq!(
        told_of(&ledger, "address:many").await,
        ["login denied others and 35 more within a minute", "login denied others"]
    );
}

#[tokio::test]
async fn a_denial_that_cannot_be_recorded_is_recorded_later_and_holds_no_other_back() {
    let (_folder, ledger) = ledger().await;
    let denials = Denials::default();
    let refuse = "CREATE TRIGGER no_more BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(refuse).execute(ledger.pool()).await.unwrap();
    for subject in ["DELETE /v1/pipelines/a", "DELETE /v1/pipelines/b", "DELETE /v1/pipelines/b"] {
        let _ = denials.count("token:a", Action::Request, subject);
        assert!(denials.tell(&ledger, false).await.is_err());
    }
    sqlx::query("DROP TRIGGER no_more").execute(ledger.pool()).await.unwrap();
    denials.tell(&ledger, true).await.unwrap();
    denials.tell(&ledger, true).await.unwrap();
    assert_eq!(
        told_of(&ledger, "token:a").await,
        [
            "request denied DELETE /v1/pipelines/b and 1 more within a minute",
            "request denied DELETE /v1/pipelines/b",
            "request denied DELETE /v1/pipelines/a"
        ]
    );
}

#[tokio::test]
async fn who_signs_in_is_told_once_for_each_place_and_never_lost() {
    let (_folder, ledger) = ledger().await;
    let sign_ins = SignIns::default();
    assert!(sign_ins.see("ldap:ann", "auditor from 10.0.0.1"));
    assert!(!sign_ins.see("ldap:ann", "auditor from 10.0.0.1"));
    let refuse = "CREATE TRIGGER no_more BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(refuse).execute(ledger.pool()).await.unwrap();
    assert!(sign_ins.tell(&ledger).await.is_err());
    sqlx::query("DROP TRIGGER no_more").execute(ledger.pool()).await.unwrap();
    for _ in 0..3 {
        sign_ins.tell(&ledger).await.unwrap();
    }
    assert_eq!(told_of(&ledger, "ldap:ann").await, ["login done auditor from 10.0.0.1"]);
    assert!(sign_ins.see("ldap:ann", "auditor from 10.0.0.2"));
}

#[test]
fn checkpoints_are_read_as_they_are_written() {
    let head = Head { trail: "t".into(), seq: 3, hash: "ab".repeat(32) };
    let made = Checkpoint::of(&head, "sealift:audit#sign@1", |_| vec![7; 64]).unwrap();
    assert_eq!(Checkpoint::parse(&made.to_line()), Some(made.clone()));
    for bad in [
        "",
        "{}",
        &made.to_line().replace("checkpoint/1", "checkpoint/2"),
        &made.to_line().replace("abab", "ABAB"),
    ] {
        assert_eq!(Checkpoint::parse(bad), None, "{bad}");
    }
}
