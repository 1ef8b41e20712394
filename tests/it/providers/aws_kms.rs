//! AWS KMS, with moto over HTTP.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{house, keyed, notices_altered_records, read, records, refused, refused_at_start, works};
use crate::house::House;
use crate::servers::kms::Kms;

const SECRET: &str = "wJalr-secret-of-tests-27182";

/// The value of `keys` for a key at this endpoint.
pub(super) fn keys(endpoint: &str, key_id: &str) -> String {
    format!(
        "{{aws_kms: {{path: ../out/keys, key_id: \"{key_id}\", region: us-east-1, endpoint: \"{endpoint}\", \
         access_key_id: \"env:TEST_AWS_ID\", secret_access_key: \"env:TEST_AWS_SECRET\"}}}}"
    )
}

pub(super) fn furnished(endpoint: &str, key_id: &str) -> House {
    let mut house = house(&keys(endpoint, key_id));
    house.env("TEST_AWS_ID", "AKIATESTS");
    house.env("TEST_AWS_SECRET", SECRET);
    house
}

#[tokio::test]
async fn a_key_of_kms_wraps_dataset_keys() {
    let kms = Kms::start().await;
    let arn = kms.create_key("alias/sealift").await;
    let house = furnished(&kms.endpoint(), "alias/sealift");
    works(&house, &format!("aws_kms:{arn}"), &[SECRET]);
    notices_altered_records(&house);

    // What was wrapped opens with the documented context and nothing of ours.
    let record =
        read(&records(&house).into_iter().find(|path| path.to_string_lossy().contains("ssn")).unwrap());
    let wrapped = BASE64_STANDARD.decode(record["wrapped"].as_str().unwrap()).unwrap();
    assert_eq!(kms.decrypt(&wrapped, json!({"sealift": record["id"]})).await.len(), 32);

    // The same key by its ARN, which says the region; another key is another root key.
    keyed(&house, &keys(&kms.endpoint(), &arn).replace("region: us-east-1, ", ""));
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(0);
    kms.create_key("alias/next").await;
    keyed(&house, &keys(&kms.endpoint(), "alias/next"));
    refused(&house.run(&["query", "SELECT ssn FROM crm.people"]), 1, &["wrapped by the root key", &arn]);
}

#[tokio::test]
async fn credentials_may_come_from_the_environment() {
    let kms = Kms::start().await;
    let arn = kms.create_key("alias/sealift").await;
    let (endpoint, path) = (kms.endpoint(), "../out/keys");
    let mut house = house(&format!(
        "{{aws_kms: {{path: {path}, key_id: alias/sealift, region: us-east-1, endpoint: \"{endpoint}\"}}}}"
    ));
    house.env("AWS_ACCESS_KEY_ID", "AKIATESTS");
    house.env("AWS_SECRET_ACCESS_KEY", SECRET);
    works(&house, &format!("aws_kms:{arn}"), &[SECRET]);
}

#[tokio::test]
async fn what_is_not_right_is_told_before_anything_is_published() {
    let kms = Kms::start().await;
    let house = furnished(&kms.endpoint(), "alias/sealift");
    refused_at_start(&house, 78, &["there is no such key", "alias/sealift"]);

    let arn = kms.create_key("alias/sealift").await;
    let id = arn.rsplit('/').next().unwrap();
    kms.call("DisableKey", json!({"KeyId": id})).await;
    refused_at_start(&house, 1, &["turned off (Disabled)", "enable-key"]);
    kms.call("EnableKey", json!({"KeyId": id})).await;
    house.run(&["sync", "crm"]).expect(0);
    kms.call("ScheduleKeyDeletion", json!({"KeyId": id, "PendingWindowInDays": 7})).await;
    refused_at_start(&house, 1, &["turned off (PendingDeletion)", "cancel-key-deletion"]);
    kms.call("CancelKeyDeletion", json!({"KeyId": id})).await;
    kms.call("EnableKey", json!({"KeyId": id})).await;

    let signing = kms.call("CreateKey", json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"})).await;
    let id = signing["KeyMetadata"]["KeyId"].as_str().unwrap();
    keyed(&house, &keys(&kms.endpoint(), id));
    refused_at_start(&house, 78, &["not one that encrypts and decrypts", "create-key"]);

    keyed(&house, &keys(&kms.endpoint(), "alias/sealift"));
    kms.deny().await;
    refused_at_start(&house, 77, &["AWS"]);
    drop(kms);
    refused_at_start(&house, 75, &["AWS KMS cannot be reached"]);
}
