//! Google Cloud KMS, with a stand-in for the server.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{house, joins_with_new_keys, keyed, notices_altered_records, refused, refused_at_start, works};
use crate::house::House;
use crate::servers::gcp_kms::GcpKms;

const RING: &str = "projects/p/locations/europe-west6/keyRings/r/cryptoKeys";

/// The name of a key.
pub(super) fn key(name: &str) -> String {
    format!("{RING}/{name}")
}

/// The value of `keys` for a key of the server at `endpoint`, asked by who is in the document at `credentials`.
pub(super) fn keys(endpoint: &str, name: &str, credentials: &Path) -> String {
    format!(
        "{{gcp_kms: {{path: ../out/keys, key: {}, endpoint: \"{endpoint}\", credentials: \"file:{}\"}}}}",
        key(name),
        credentials.display()
    )
}

fn plain(kms: &GcpKms) -> String {
    format!("http://{}", kms.address())
}

/// The secret of an account, as lines of its document hold it.
fn secret(document: &Path) -> String {
    let document: Value = serde_json::from_slice(&fs::read(document).unwrap()).unwrap();
    document["private_key"].as_str().unwrap().lines().nth(1).unwrap().to_owned()
}

fn furnished(kms: &GcpKms) -> House {
    house(&keys(&plain(kms), "root", &kms.account("caller")))
}

#[tokio::test]
async fn a_key_wraps_dataset_keys_and_may_be_rotated() {
    let kms = GcpKms::start();
    kms.key(&key("root"), json!({})).await;
    let house = furnished(&kms);
    works(&house, &format!("gcp_kms:{}", key("root")), &[&secret(&kms.account("caller"))]);
    notices_altered_records(&house);

    kms.rotate(&key("root")).await;
    joins_with_new_keys(&house);
}

#[tokio::test]
async fn credentials_of_the_environment_will_do() {
    let kms = GcpKms::start();
    kms.key(&key("root"), json!({})).await;
    let text =
        format!("{{gcp_kms: {{path: ../out/keys, key: {}, endpoint: \"{}\"}}}}", key("root"), plain(&kms));
    let mut house = house(&text);
    house.env("GOOGLE_APPLICATION_CREDENTIALS", kms.account("caller").to_str().unwrap());
    house.run(&["sync", "crm"]).expect(0);
    house.env("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json");
    refused_at_start(&house, 78, &["credentials for Google Cloud", "GOOGLE_APPLICATION_CREDENTIALS"]);
}

#[tokio::test]
async fn what_is_not_right_is_told_before_anything_is_published() {
    let kms = GcpKms::start();
    let house = furnished(&kms);
    refused_at_start(&house, 78, &["there is no such key", &key("root")]);
    kms.key(&key("signs"), json!({"purpose": "ASYMMETRIC_SIGN"})).await;
    keyed(&house, &keys(&plain(&kms), "signs", &kms.account("caller")));
    refused_at_start(&house, 1, &["is not one that encrypts", "--purpose encryption"]);
    kms.key(&key("root"), json!({"state": "DISABLED"})).await;
    keyed(&house, &keys(&plain(&kms), "root", &kms.account("caller")));
    refused_at_start(&house, 1, &["turned off", "versions enable"]);
    kms.key(&key("root"), json!({"state": "ENABLED"})).await;
    keyed(&house, &keys(&plain(&kms), "root", &kms.account("powerless")));
    refused_at_start(&house, 77, &["does not allow", "cryptoKeyEncrypterDecrypter"]);
    keyed(&house, &keys(&plain(&kms), "root", &kms.account("stranger")));
    refused_at_start(&house, 77, &["does not accept the credentials"]);
    keyed(&house, &keys(&plain(&kms), "root", &house.path("in/policy.yaml")));
    refused_at_start(&house, 78, &["`credentials` is no document"]);
    keyed(&house, &keys(&plain(&kms), "root", &kms.account("caller")));
    house.run(&["sync", "crm"]).expect(0);
    let endpoint = plain(&kms);
    let caller = house.path("in/caller.json");
    fs::copy(kms.account("caller"), &caller).unwrap();
    drop(kms);
    keyed(&house, &keys(&endpoint, "root", &caller));
    refused_at_start(&house, 75, &["Google Cloud KMS cannot be reached"]);
}

#[tokio::test]
async fn passing_faults_are_waited_out_and_lasting_ones_told() {
    let kms = GcpKms::start();
    kms.key(&key("root"), json!({})).await;
    let house = furnished(&kms);
    for error in ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "503"] {
        kms.answer_next(error, 2).await;
        house.run(&["sync", "crm"]).expect(0);
    }
    kms.answer_next("UNAVAILABLE", 1_000).await;
    refused_at_start(&house, 75, &["a fault of its own (UNAVAILABLE)"]);
    kms.answer_next("403", 1_000).await;
    refused(&house.run(&["sync", "crm"]), 77, &["in place of Google Cloud KMS"]);
    kms.answer_next("404", 1_000).await;
    refused(&house.run(&["sync", "crm"]), 1, &["no Cloud KMS"]);
    kms.answer_next("503", 0).await;
    house.run(&["sync", "crm"]).expect(0);
}

#[tokio::test]
async fn a_key_that_is_changed_on_its_way_is_noticed() {
    let kms = GcpKms::start();
    kms.key(&key("root"), json!({})).await;
    let house = furnished(&kms);
    for (what, code) in [("plaintext", 78), ("wrapped", 75), ("opened", 75)] {
        kms.garble(what).await;
        refused_at_start(&house, code, &["Google Cloud KMS"]);
    }
    // On its way back to be opened: asked once more.
    kms.garble("ciphertext").await;
    house.run(&["sync", "crm"]).expect(0);
}

#[tokio::test]
async fn no_proxy_carries_keys_in_plain_text() {
    let kms = GcpKms::start();
    kms.key(&key("root"), json!({})).await;
    let mut house = furnished(&kms);
    house.env("HTTP_PROXY", "http://127.0.0.1:9");
    refused_at_start(&house, 78, &["HTTP_PROXY", "NO_PROXY"]);
    house.env("NO_PROXY", "127.0.0.1");
    house.run(&["sync", "crm"]).expect(0);
}
