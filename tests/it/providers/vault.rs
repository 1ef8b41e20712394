//! The transit engine of Vault, with a stand-in for the server.

use serde_json::json;

use super::{house, joins_with_new_keys, keyed, notices_altered_records, refused, refused_at_start, works};
use crate::house::House;
use crate::servers::vault::{POWERLESS, TOKEN, Vault};

/// The value of `keys` for a key of the server at `address`; `more` are further keys.
pub(super) fn keys(address: &str, key: &str, more: &str) -> String {
    format!(
        "{{vault: {{path: ../out/keys, address: \"{address}\", key: {key}, token: \"env:TEST_TOKEN\"{more}}}}}"
    )
}

pub(super) fn furnished(address: &str, more: &str) -> House {
    let mut house = house(&keys(address, "root", more));
    house.env("TEST_TOKEN", TOKEN);
    // Nobody is there, and nothing that is for this machine may be sent through it.
    house.env("HTTP_PROXY", "http://127.0.0.1:9");
    house
}

fn plain(vault: &Vault) -> String {
    format!("http://{}", vault.address())
}

#[tokio::test]
async fn a_transit_key_wraps_dataset_keys_and_may_be_rotated() {
    let vault = Vault::start();
    vault.create_key("root", json!({})).await;
    let house = furnished(&plain(&vault), "");
    works(&house, "vault:transit/root", &[TOKEN]);
    notices_altered_records(&house);

    vault.rotate("root").await;
    joins_with_new_keys(&house);
}

#[tokio::test]
async fn over_tls_with_a_private_authority_in_a_namespace() {
    let vault = Vault::start_tls();
    vault.create_key("root", json!({"namespace": "team/a"})).await;
    let address = format!("https://localhost:{}", vault.address().port());
    let more = format!(", namespace: team/a, ca_file: {}", vault.authority().display());
    let house = furnished(&address, &more);
    works(&house, "vault:team/a/transit/root", &[TOKEN]);

    keyed(&house, &keys(&address, "root", ", namespace: team/a"));
    refused_at_start(&house, 78, &["certificate is not one to trust", "`ca_file`"]);
    let by_number = address.replace("localhost", "127.0.0.1");
    keyed(&house, &keys(&by_number, "root", &more));
    refused_at_start(&house, 78, &["certificate is not one to trust"]);
    keyed(&house, &keys(&address, "root", ", ca_file: policy.yaml"));
    refused_at_start(&house, 78, &["`ca_file`"]);
}

#[tokio::test]
async fn what_is_not_right_is_told_before_anything_is_published() {
    let vault = Vault::start();
    let mut house = furnished(&plain(&vault), "");
    refused_at_start(&house, 78, &["there is no such key", "key transit/root of Vault"]);
    for (name, options, says) in [
        ("short", json!({"type": "aes128-gcm96"}), "of type `aes128-gcm96`"),
        ("rsa", json!({"type": "rsa-4096"}), "of type `rsa-4096`"),
        ("derived", json!({"derived": true}), "of type `derived`"),
    ] {
        vault.create_key(name, options).await;
        keyed(&house, &keys(&plain(&vault), name, ""));
        refused_at_start(&house, 78, &[says, "type=aes256-gcm96"]);
    }
    vault.create_key("loose", json!({"exportable": true})).await;
    keyed(&house, &keys(&plain(&vault), "loose", ""));
    let ran = house.run(&["sync", "crm"]);
    assert!(ran.expect(0).stderr.contains("may be exported"), "{}", ran.stderr);
    keyed(&house, &keys(&plain(&vault), "loose", ", mount: kv"));
    refused_at_start(&house, 78, &["there is no such key"]);

    keyed(&house, &keys(&plain(&vault), "loose", ""));
    house.env("TEST_TOKEN", POWERLESS);
    refused_at_start(&house, 77, &["does not allow", "`update`"]);
    house.env("TEST_TOKEN", "hvs.unknown");
    refused_at_start(&house, 77, &["does not allow"]);
    drop(vault);
    refused_at_start(&house, 75, &["Vault cannot be reached"]);
}

#[tokio::test]
async fn passing_faults_are_waited_out_and_lasting_ones_told() {
    let vault = Vault::start();
    vault.create_key("root", json!({})).await;
    let house = furnished(&plain(&vault), "");
    for status in [429, 500, 503] {
        vault.answer_next(status, 3).await;
        house.run(&["sync", "crm"]).expect(0);
    }
    vault.answer_next(503, 1_000).await;
    refused_at_start(&house, 75, &["Vault is sealed"]);
    vault.answer_next(307, 1_000).await;
    refused(&house.run(&["sync", "crm"]), 78, &["another server"]);
    vault.answer_next(200, 0).await;
    house.run(&["sync", "crm"]).expect(0);
}
