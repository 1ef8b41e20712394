use super::*;
use crate::error::Kind;
use crate::run::ledger::Ledger;
use crate::spec::config::Metadata;

async fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&Metadata::Sqlite(folder.path().join("sealift.db"))).await.unwrap();
    (folder, ledger)
}

#[tokio::test]
async fn a_token_is_known_by_itself_and_by_nothing_near_it() {
    let (_folder, ledger) = ledger().await;
    let token = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
    let text = token.expose_str().unwrap();
    assert_eq!(text.len(), 3 + 43);
    let principal = Principal::new(Source::Token, "airflow", [Role::Scheduler]);
    assert_eq!(verify(&ledger, text).await.unwrap(), principal);

    let mut other = text.to_owned();
    other.push('A');
    for wrong in [other.as_str(), text.get(..45).unwrap(), text.get(3..).unwrap(), "", "sl_"] {
        assert_eq!(verify(&ledger, wrong).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_stored_hash_that_shares_the_selector_only_is_no_match() {
    let (_folder, ledger) = ledger().await;
    let token = create(&ledger, "os:0", "a", Role::Admin, None).await.unwrap();
    sqlx::query("UPDATE tokens SET hash = zeroblob(32)").execute(ledger.pool()).await.unwrap();
    assert_eq!(verify(&ledger, token.expose_str().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn an_expired_token_is_unknown() {
    let (_folder, ledger) = ledger().await;
    let past = Some(DateTime::UNIX_EPOCH);
    let token = create(&ledger, "os:0", "old", Role::Admin, past).await.unwrap();
    assert_eq!(verify(&ledger, token.expose_str().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_name_is_used_once_and_the_first_token_stays_good() {
    let (_folder, ledger) = ledger().await;
    let first = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
    let error = create(&ledger, "os:0", "airflow", Role::Admin, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let principal = verify(&ledger, first.expose_str().unwrap()).await.unwrap().unwrap();
    assert!(principal.roles().iter().eq([&Role::Scheduler]));
    let told: Vec<_> =
        audit::entries(&ledger, 10).await.unwrap().into_iter().map(|row| row.subject).collect();
    assert_eq!(told, ["airflow (scheduler) until it is revoked"], "what was not made is not told of");
}

#[tokio::test]
async fn the_store_holds_no_token() {
    let (folder, ledger) = ledger().await;
    let token = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
    let random = &token.expose()[3..];
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let Ok(bytes) = std::fs::read(file.unwrap().path()) else { continue };
        assert!(!bytes.windows(random.len()).any(|window| window == random));
    }
}

#[tokio::test]
async fn a_revoked_token_is_good_no_longer_and_its_name_stays_taken() {
    let (_folder, ledger) = ledger().await;
    let token = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
    let text = token.expose_str().unwrap();
    assert!(matches!(judge(&ledger, text).await.unwrap(), Verdict::Good { .. }));
    revoke(&ledger, "os:0", "airflow").await.unwrap();
    assert_eq!(judge(&ledger, text).await.unwrap(), Verdict::Revoked("airflow".into()));
    assert_eq!(verify(&ledger, text).await.unwrap(), None);
    // Twice is as good as once; nobody's token is a mistake.
    revoke(&ledger, "os:0", "airflow").await.unwrap();
    assert_eq!(revoke(&ledger, "os:0", "nobody").await.unwrap_err().kind(), Kind::Usage);
    assert!(create(&ledger, "os:0", "airflow", Role::Admin, None).await.is_err());
    let actions: Vec<_> =
        audit::entries(&ledger, 10).await.unwrap().into_iter().map(|row| row.action).collect();
    assert!(actions.iter().any(|action| action == "token.revoke"), "{actions:?}");
}

#[tokio::test]
async fn the_listing_tells_scope_use_and_end_of_every_token() {
    let (_folder, ledger) = ledger().await;
    let scope = Scope::of(&["crm_*", "daily"]).unwrap();
    let terms = Terms { role: Role::Scheduler, scope: scope.clone(), expires_at: None };
    let token = create_with(&ledger, "os:0", "airflow", &terms).await.unwrap();
    create(&ledger, "os:0", "old", Role::Admin, Some(DateTime::UNIX_EPOCH)).await.unwrap();
    let told: Vec<_> =
        audit::entries(&ledger, 10).await.unwrap().into_iter().map(|row| row.subject).collect();
    assert_eq!(
        told,
        ["old (admin) until 1970-01-01T00:00:00Z", "airflow (scheduler) crm_* daily until it is revoked"]
    );
    let listed = list(&ledger).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["airflow", "old"]);
    assert_eq!((&listed[0].scope, listed[0].last_used_at), (&scope, None));
    assert_eq!(listed[1].expires_at, Some(DateTime::UNIX_EPOCH));
    let made = audit::entries(&ledger, 2).await.unwrap().into_iter().map(|row| row.subject);
    assert_eq!(
        made.collect::<Vec<_>>(),
        ["old (admin) until 1970-01-01T00:00:00Z", "airflow (scheduler) crm_* daily until it is revoked"]
    );

    let principal = verify(&ledger, token.expose_str().unwrap()).await.unwrap().unwrap();
    assert_eq!(principal.scope(), &scope);
    let first = list(&ledger).await.unwrap()[0].last_used_at.unwrap();
    verify(&ledger, token.expose_str().unwrap()).await.unwrap();
    assert_eq!(list(&ledger).await.unwrap()[0].last_used_at, Some(first), "once an hour is enough");
}

#[tokio::test]
async fn a_token_of_an_older_release_has_no_limits() {
    let (_folder, ledger) = ledger().await;
    let token = create(&ledger, "os:0", "airflow", Role::Scheduler, None).await.unwrap();
    sqlx::query("DELETE FROM token_terms").execute(ledger.pool()).await.unwrap();
    let principal = verify(&ledger, token.expose_str().unwrap()).await.unwrap().unwrap();
    assert_eq!(principal.scope(), &Scope::All);
    assert!(list(&ledger).await.unwrap()[0].last_used_at.is_some(), "its use is noted none the less");
    revoke(&ledger, "os:0", "airflow").await.unwrap();
    assert_eq!(verify(&ledger, token.expose_str().unwrap()).await.unwrap(), None);
}
