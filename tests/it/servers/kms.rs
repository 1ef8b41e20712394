//! AWS KMS, as moto plays it: over HTTP, with keys that live in the memory of its process.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::s3;

/// A KMS; gone when dropped.
pub struct Kms {
    server: s3::Server,
}

impl Kms {
    /// Starts one.
    pub async fn start() -> Self {
        Self { server: s3::Server::start().await }
    }

    /// Where it answers, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// The same as an address.
    pub fn address(&self) -> SocketAddr {
        self.endpoint().trim_start_matches("http://").parse().unwrap()
    }

    /// Makes a symmetric key and an alias of it; gives its ARN.
    pub async fn create_key(&self, alias: &str) -> String {
        let key = self.call("CreateKey", json!({})).await;
        let id = key["KeyMetadata"]["KeyId"].as_str().unwrap();
        self.call("CreateAlias", json!({"AliasName": alias, "TargetKeyId": id})).await;
        key["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    /// Does what its API calls `action`, with the credentials of its owner.
    pub async fn call(&self, action: &str, body: Value) -> Value {
        let scope = "AWS4-HMAC-SHA256 Credential=owner/20261101/us-east-1/kms/aws4_request, \
                     SignedHeaders=host, Signature=0";
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client
            .post(self.endpoint())
            .header("authorization", scope)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{action}"))
            .body(body.to_string());
        let answer = sent.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{action}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What a wrapped key opens to, with this encryption context.
    pub async fn decrypt(&self, wrapped: &[u8], context: Value) -> Vec<u8> {
        let body = json!({"CiphertextBlob": BASE64_STANDARD.encode(wrapped), "EncryptionContext": context});
        let opened = self.call("Decrypt", body).await;
        BASE64_STANDARD.decode(opened["Plaintext"].as_str().unwrap()).unwrap()
    }

    /// From here on callers need rights, which nobody has.
    pub async fn deny(&self) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/moto-api/reset-auth", self.endpoint());
        let answer = client.post(url).body("0").send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}
