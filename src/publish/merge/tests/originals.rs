//! What published files bring along when they are written again.

use super::*;
use crate::publish::ObjectPath;
use crate::publish::fixture::alter;

#[tokio::test]
async fn what_is_encrypted_stays_so_whatever_the_plan_says() {
    let mut world = World::new(&[], by_id()).await;
    world.merge(&[(1, "a", "x", false), (2, "b", "x", false)]).await.unwrap();
    world.encrypted = Vec::new();
    world.merge(&[(1, "c", "x", false)]).await.unwrap();
    let table = world.table().await;
    let columns = ["id".to_owned()];
    let reading =
        Reading::prepare(&world.store, &world.keyring, &dataset(), &table, &columns, &table.files).await;
    let reading = reading.unwrap();
    // The row that was there before lies in one file, the new one in another.
    let mut shut = Vec::new();
    for file in &table.files {
        shut.extend(reading.encrypted(file).await.unwrap());
    }
    assert_eq!((table.files.len(), shut), (2, vec!["name".to_owned()]));
    let stats: Vec<_> =
        table.files.iter().filter(|file| !file.stats.as_ref().unwrap().contains("name")).collect();
    assert_eq!(stats.len(), 1);
}

#[tokio::test]
async fn a_file_that_was_altered_is_not_written_again() {
    let world = World::new(&[], by_id()).await;
    world.merge(&[(1, "a", "x", false), (2, "b", "x", false)]).await.unwrap();
    let path = ObjectPath::existing(&dataset(), &world.table().await.files[0].path).unwrap();
    alter(&world.store, &path).await;
    let error = world.merge(&[(1, "c", "x", false)]).await.unwrap_err();
    assert!(error.kind() == Kind::Failed && error.message().contains("was altered"), "{error}");
    // A merge that leaves nothing of the file takes nothing from it.
    world.merge(&[(1, "c", "x", false), (2, "d", "x", false)]).await.unwrap();
    assert_eq!(world.rows().await, [row(1, "c", "x"), row(2, "d", "x")]);
}
