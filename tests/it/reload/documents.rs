//! The documents as the daemon keeps them, without the daemon around them.

use std::fs;
use std::path::PathBuf;

use sealift::error::{Error, Kind};
use sealift::govern::Store as _;
use sealift::serve::Documents;
use sealift::serve::documents::{Cause, Deleted, Expected, Registered, Reloaded};
use sealift::spec::PipelineName;

use super::{body, document, recorded};
use crate::house::House;

fn house(names: &[&str]) -> House {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}\n- {tags: [\"pii.*\"], action: encrypt}");
    house.write("in/drops/rows.csv", "id,city\n1,Bern\n");
    for name in names {
        document(&house, name, "one");
    }
    house
}

async fn open(house: &House) -> Documents {
    Documents::open(&house.path("in/sealift.yaml"), &|_| {}).await.unwrap()
}

fn name(text: &str) -> PipelineName {
    PipelineName::parse(text).unwrap()
}

fn text(name: &str, description: &str) -> String {
    format!(
        "apiVersion: sealift/v1\nkind: Pipeline\nname: {name}\nowner: tests\n{}\n",
        body(name, description)
    )
}

fn names(documents: &Documents) -> Vec<String> {
    documents.registry().all().keys().map(ToString::to_string).collect()
}

fn description(documents: &Documents, of: &str) -> String {
    documents.registry().get(&name(of)).unwrap().description.clone()
}

fn file(house: &House, name: &str) -> PathBuf {
    house.path(&format!("in/pipelines/{name}.yaml"))
}

#[tokio::test]
async fn of_two_thousand_documents_only_the_one_that_changed_is_read_again() {
    let house = house(&[]);
    for number in 0..2000 {
        let folder = format!("in/pipelines/team{}", number % 20);
        fs::create_dir_all(house.path(&folder)).unwrap();
        let name = format!("p{number}");
        house.write(&format!("{folder}/{name}.yaml"), &text(&name, "one"));
    }
    let documents = open(&house).await;
    assert_eq!(names(&documents).len(), 2000);
    // Files that were just written are read until their times can be relied on; their text is the same.
    let settled = crate::daemon::wait_for("times that can be relied on", || async {
        let reloaded = documents.reload(Cause::Watched).await.unwrap();
        assert_eq!((reloaded.resolved, reloaded.changed, reloaded.invalid), (0, 0, 0), "{reloaded:?}");
        (reloaded.read == 0).then_some(reloaded)
    });
    settled.await;
    house.write("in/pipelines/team7/p1007.yaml", &text("p1007", "two"));
    let reloaded = documents.reload(Cause::Watched).await.unwrap();
    assert_eq!(reloaded, Reloaded { read: 1, resolved: 1, changed: 1, invalid: 0 });
    assert_eq!(description(&documents, "p1007"), "two");
    assert_eq!(description(&documents, "p1008"), "one");
}

#[tokio::test]
async fn what_one_has_is_not_taken_from_it_and_names_can_be_exchanged() {
    let house = house(&["a", "b"]);
    let documents = open(&house).await;
    let look = async || documents.reload(Cause::Watched).await.unwrap();

    // It wants a dataset that another one has, and so stays as it was.
    let taking = text("b", "two").replace("b.{stream}", "a.{stream}");
    house.write("in/pipelines/b.yaml", &taking);
    let taken = look().await;
    assert_eq!((taken.resolved, taken.changed, taken.invalid), (1, 0, 1));
    assert_eq!(description(&documents, "b"), "one");
    let told = documents.problems();
    assert_eq!((told.len(), told[0].in_force.clone()), (1, Some(name("b"))));
    let said = told[0].problems.render(false);
    assert!(said.contains("two streams would write the dataset `a.rows`"), "{said}");
    // Once the other one is gone, it may have it.
    fs::remove_file(file(&house, "a")).unwrap();
    assert_eq!(look().await.invalid, 0);
    assert_eq!((names(&documents), description(&documents, "b")), (vec!["b".to_owned()], "two".to_owned()));

    document(&house, "a", "one");
    document(&house, "b", "one");
    look().await;
    fs::write(file(&house, "a"), text("b", "from a")).unwrap();
    fs::write(file(&house, "b"), text("a", "from b")).unwrap();
    let exchanged = look().await;
    assert_eq!((exchanged.changed, exchanged.invalid), (2, 0));
    assert_eq!(
        (description(&documents, "a"), description(&documents, "b")),
        ("from b".into(), "from a".into())
    );

    // Two that come and want the same: the first has it, and the next look does not turn them round.
    fs::write(file(&house, "x"), text("c", "from x")).unwrap();
    fs::write(file(&house, "y"), text("c", "from y")).unwrap();
    for _ in 0..2 {
        assert_eq!(look().await.invalid, 1);
        assert_eq!(description(&documents, "c"), "from x");
    }
}

#[tokio::test]
async fn all_documents_at_once_go_only_when_it_is_asked_for() {
    let house = house(&["a", "b", "c"]);
    let documents = open(&house).await;
    for name in ["a", "b", "c"] {
        fs::remove_file(file(&house, name)).unwrap();
    }
    assert_eq!(documents.reload(Cause::Watched).await.unwrap().changed, 0);
    assert_eq!(names(&documents), ["a", "b", "c"]);
    assert_eq!(documents.problems().len(), 1);
    assert_eq!(documents.reload(Cause::Asked).await.unwrap().changed, 3);
    assert!(names(&documents).is_empty() && documents.problems().is_empty());
}

#[tokio::test]
async fn another_configuration_is_in_force_as_a_whole_or_not_at_all() {
    let house = house(&["a"]);
    let documents = open(&house).await;
    let look = async || documents.reload(Cause::Watched).await.unwrap();
    let before = documents.engine();
    house.write("in/pipelines/b.yaml", &text("b", "one").replace("connection: drops", "connection: more"));
    assert_eq!(look().await.invalid, 1);

    // A policy that cannot be read keeps the configuration from coming into force as well.
    house.config("", "more: {files: {root: drops}}");
    let policy = fs::read_to_string(house.path("in/policy.yaml")).unwrap();
    house.policy("- {tags: [public], action: alow}");
    assert_eq!(look().await.invalid, 2);
    assert_eq!(documents.engine().config.digest, before.config.digest);
    house.write("in/policy.yaml", &policy);
    assert_eq!(look().await, Reloaded { read: 2, resolved: 2, changed: 1, invalid: 0 });
    assert_eq!(names(&documents), ["a", "b"]);
    assert!(documents.engine().config.connections.len() == 2 && before.config.connections.len() == 1);

    // What is read at start alone stays as it is.
    house.config_listening("", "more: {files: {root: drops}}", "listen: {http: \"127.0.0.1:1\"}");
    look().await;
    let engine = documents.engine();
    assert_eq!(engine.config.listen, before.config.listen);
    assert_ne!(engine.config.digest, before.config.digest);
    assert_eq!(recorded(&house, "config.change").await.len(), 3, "with the one that it began with");
    assert_eq!(recorded(&house, "policy.change").await.len(), 1, "the one that it began with");
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_come_into_force() {
    let house = house(&["a"]);
    let documents = open(&house).await;
    let before = documents.engine();
    before.ledger.pool().close().await;
    document(&house, "a", "two");
    document(&house, "b", "one");
    assert!(documents.reload(Cause::Watched).await.is_err());
    assert_eq!((names(&documents), description(&documents, "a")), (vec!["a".to_owned()], "one".to_owned()));
    fs::remove_file(file(&house, "a")).unwrap();
    house.policy("- {tags: [public], action: encrypt}");
    assert!(documents.reload(Cause::Asked).await.is_err());
    assert_eq!(names(&documents), ["a"]);
    assert_eq!(documents.engine().policy.digest, before.policy.digest);
}

#[tokio::test]
async fn a_document_is_registered_replaced_and_deleted_as_it_is_expected_to_be() {
    let house = house(&["a"]);
    let documents = open(&house).await;
    let register =
        async |of: &str, text: &str, expected| documents.register("token:a", &name(of), text, expected).await;
    let new = text("new", "one");

    let digest = Expected::Digest("0".repeat(64));
    assert_eq!(register("new", &new, digest.clone()).await.unwrap(), Registered::Conflict);
    assert_eq!(register("new", &new, Expected::Some).await.unwrap(), Registered::Conflict);
    assert_eq!(register("new", &new, Expected::Absent).await.unwrap(), Registered::Created);
    assert_eq!(register("new", &new, Expected::Absent).await.unwrap(), Registered::Conflict);
    assert_eq!(register("new", &new, Expected::Any).await.unwrap(), Registered::Unchanged);
    let stored = documents.text(&name("new")).await.unwrap().unwrap();
    assert_eq!((&stored.text, stored.path), (&new, file(&house, "new")));
    assert_eq!(stored.etag, documents.registry().get(&name("new")).unwrap().digest);
    assert_eq!(register("new", &text("new", "two"), digest.clone()).await.unwrap(), Registered::Conflict);
    let replaced = register("new", &text("new", "two"), Expected::Digest(stored.etag)).await.unwrap();
    assert_eq!((replaced, description(&documents, "new")), (Registered::Replaced, "two".to_owned()));
    // The look that its own writing leads to finds nothing else.
    let looked = documents.reload(Cause::Watched).await.unwrap();
    assert_eq!((looked.resolved, looked.changed), (0, 0));
    let left = fs::read_dir(house.path("in/pipelines")).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside the documents");

    assert_eq!(documents.delete("token:a", &name("new"), digest).await.unwrap(), Deleted::Conflict);
    assert_eq!(documents.delete("token:a", &name("new"), Expected::Any).await.unwrap(), Deleted::Deleted);
    assert_eq!(documents.delete("token:a", &name("new"), Expected::Any).await.unwrap(), Deleted::Absent);
    assert!(!file(&house, "new").exists() && documents.text(&name("new")).await.unwrap().is_none());
    assert_eq!(names(&documents), ["a"]);
}

#[tokio::test]
async fn what_is_not_valid_here_is_not_registered() {
    let house = house(&["a", "b"]);
    let documents = open(&house).await;
    let refused = async |of: &str, text: &str| {
        let error =
            Error::from(documents.register("token:a", &name(of), text, Expected::Any).await.unwrap_err());
        (error.kind(), error.to_string())
    };
    let weak = text("a", "x").replace("{tag: public}", "{tag: pii.email, action: allow}");
    for (text, said) in [
        (text("a", "x").replace("owner:", "ownr:"), "ownr"),
        (text("a", "x").replace("connection: drops", "connection: nowhere"), "no connection `nowhere`"),
        (text("a", "x").replace("a.{stream}", "b.{stream}"), "two streams would write the dataset `b.rows`"),
        (weak, "weaker than"),
        (text("c", "x"), "not of `a`"),
        (" ".repeat((1 << 20) + 1), "larger than 1 MiB"),
    ] {
        let (kind, told) = refused("a", &text).await;
        assert!(kind == Kind::Invalid && told.contains(said), "{said}: {told}");
    }
    assert!(documents.validate(&text("a", "x")).is_ok(), "another text for a pipeline that is there");
    assert!(documents.validate(&text("c", "x").replace("c.{stream}", "a.{stream}")).is_err());
    assert_eq!(description(&documents, "a"), "one");

    fs::rename(file(&house, "b"), house.path("in/kept.yaml")).unwrap();
    std::os::unix::fs::symlink(house.path("in/kept.yaml"), file(&house, "b")).unwrap();
    assert!(refused("b", &text("b", "two")).await.1.contains("kept elsewhere"));
    assert!(documents.delete("token:a", &name("b"), Expected::Any).await.is_err());
    assert_eq!(names(&documents), ["a", "b"]);
}

#[tokio::test]
async fn what_is_not_done_is_not_recorded_and_a_document_that_never_was_in_force_stays() {
    let house = house(&["a"]);
    let documents = open(&house).await;
    let register = async |of: &str, text: &str, expected| {
        documents.register("token:a", &name(of), text, expected).await.map_err(Error::from)
    };
    fs::write(file(&house, "b"), "of: somebody").unwrap();
    for expected in [Expected::Any, Expected::Some] {
        let error = register("b", &text("b", "one"), expected).await.unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.message().contains("never was in force"), "{error}");
    }
    let absent = register("b", &text("b", "one"), Expected::Absent).await.unwrap();
    assert_eq!(
        (absent, fs::read_to_string(file(&house, "b")).unwrap().as_str()),
        (Registered::Conflict, "of: somebody")
    );

    fs::rename(file(&house, "a"), house.path("in/kept.yaml")).unwrap();
    std::os::unix::fs::symlink(house.path("in/kept.yaml"), file(&house, "a")).unwrap();
    assert!(register("a", &text("a", "two"), Expected::Any).await.is_err());
    assert!(documents.delete("token:a", &name("a"), Expected::Any).await.is_err());
    for action in ["pipeline.register", "pipeline.delete"] {
        assert_eq!(recorded(&house, action).await, Vec::<String>::new());
    }

    fs::write(file(&house, "b"), text("b", "one")).unwrap();
    let created = register("b", &text("b", "one"), Expected::Any).await.unwrap();
    assert_eq!(created, Registered::Created, "it is there already, and comes into force");
    assert_eq!(recorded(&house, "pipeline.register").await.len(), 1);
    let left = fs::read_dir(house.path("in/pipelines")).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside the documents");
}

#[tokio::test]
async fn who_follows_what_is_not_there_waits_for_it_and_nobody_goes_in_a_circle() {
    let house = house(&["a"]);
    let documents = open(&house).await;
    let look = async || documents.reload(Cause::Watched).await.unwrap();
    let following = |name: &str, followed: &str| {
        format!("{}schedule: {{after: {{pipeline: {followed}}}}}\n", text(name, "follows"))
    };
    let said = || documents.problems().iter().map(|one| one.problems.render(false)).collect::<String>();
    fs::write(file(&house, "c"), following("c", "b")).unwrap();
    assert_eq!(look().await.invalid, 1);
    assert!(said().contains("there is no pipeline `b`"), "{}", said());
    assert!(documents.validate(&following("d", "b")).is_err());

    fs::write(file(&house, "b"), following("b", "a")).unwrap();
    assert_eq!(look().await.invalid, 0);
    assert_eq!(names(&documents), ["a", "b", "c"]);
    assert!(documents.validate(&following("d", "b")).is_ok());

    fs::write(file(&house, "a"), following("a", "c")).unwrap();
    assert_eq!(look().await.invalid, 1);
    assert!(said().contains("in a circle"), "{}", said());
    assert_eq!(description(&documents, "a"), "one");
    let circle = following("a", "c");
    let error = documents
        .register("token:a", &name("a"), &circle, Expected::Any)
        .await
        .map_err(Error::from)
        .unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");

    // Who is followed may go; the other one is told, and stays.
    fs::write(file(&house, "a"), text("a", "two")).unwrap();
    fs::remove_file(file(&house, "b")).unwrap();
    assert_eq!(look().await.invalid, 1);
    assert_eq!(names(&documents), ["a", "c"]);
    assert!(said().contains("there is no pipeline `b`"), "{}", said());
}
