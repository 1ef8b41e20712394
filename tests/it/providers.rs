//! Root key providers: with each of them a dataset is published, read by other processes and checked; what is not
//! right is refused with its remedy, and no secret is written anywhere.

mod aws_kms;
mod gcp_kms;
mod outage;
mod pkcs11;
mod vault;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sealift::secret::Reference;
use sealift::spec::Config;
use sealift::spec::config::Keys;
use serde_json::{Value, json};

use crate::house::{House, Ran};

const POLICY: &str = "- {tags: [pii.email], action: tokenize}\n- {tags: [\"pii.*\"], action: encrypt}\n\
                      - {tags: [public], action: allow}";
const COLUMNS: &str = "columns: {ssn: {tag: pii.ssn}, email: {tag: pii.email}, \"*\": {tag: public}}";

/// A house of people whose root key is with the provider of `keys` (the value, in YAML).
fn house(keys: &str) -> House {
    let mut house = House::new();
    house.policy(POLICY);
    house.write(
        "in/drops/people.csv",
        "id,ssn,email\n1,555-01-0001,a@example.com\n2,555-01-0002,b@example.com\n",
    );
    house.pipeline(
        "crm",
        &format!(
            "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    {COLUMNS}"
        ),
    );
    // At their most talkative, logs hold no secret either.
    house.env("SEALIFT_LOG", "trace");
    house.env("RUST_LOG", "trace");
    keyed(&house, keys);
    house
}

#[test]
fn what_is_written_arrives_with_defaults_filled() {
    let house = House::new();
    let load = |keys: &str| {
        keyed(&house, keys);
        Config::load(&house.path("in/sealift.yaml")).unwrap_or_else(|e| panic!("{}", e.render(false))).keys
    };
    let folder = house.path("out/keys");
    let Keys::Vault(vault) = load(&vault::keys("https://vault.example:8200/", "root", "")) else { panic!() };
    assert_eq!((vault.path, vault.address.as_str()), (folder.clone(), "https://vault.example:8200"));
    assert_eq!((vault.mount.as_str(), vault.ca_file, vault.namespace), ("transit", None, None));
    let arn = "arn:aws:kms:eu-central-2:123456789012:key/1a2b";
    let Keys::AwsKms(kms) = load(&format!("{{aws_kms: {{path: ../out/keys, key_id: \"{arn}\"}}}}")) else {
        panic!()
    };
    assert_eq!((kms.path, kms.key_id.as_str(), kms.region.as_str()), (folder.clone(), arn, "eu-central-2"));
    assert!(kms.endpoint.is_none() && kms.access_key_id.is_none());
    let text = format!(
        "{{gcp_kms: {{path: ../out/keys, key: {}, credentials: \"file:sa.json\"}}}}",
        gcp_kms::key("root")
    );
    let Keys::GcpKms(kms) = load(&text) else { panic!() };
    assert_eq!((kms.path, kms.key, kms.endpoint), (folder.clone(), gcp_kms::key("root"), None));
    assert_eq!(kms.credentials, Some(Reference::File(house.path("in/sa.json"))));
    let text = "{pkcs11: {path: ../out/keys, module: lib/hsm.so, token: prod, key: root, pin: \"file:pin\"}}";
    let keys = load(text);
    assert_eq!(keys.path(), folder);
    let Keys::Pkcs11(pkcs11) = keys else { panic!() };
    assert_eq!((pkcs11.module, pkcs11.token.as_str()), (house.path("in/lib/hsm.so"), "prod"));
    assert_eq!(pkcs11.pin, Reference::File(house.path("in/pin")));
}

/// Names another provider.
fn keyed(house: &House, keys: &str) {
    let path = house.path("in/sealift.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text
        .lines()
        .map(|line| if line.starts_with("keys:") { format!("keys: {keys}") } else { line.into() });
    fs::write(path, lines.collect::<Vec<_>>().join("\n")).unwrap();
}

/// Publishes, and reads in processes of their own; everything was wrapped by the root key of this name, and
/// neither `secrets` nor a dataset key stand anywhere.
fn works(house: &House, root: &str, secrets: &[&str]) {
    house.run(&["doctor"]).expect(0);
    for _ in 0..2 {
        house.run(&["sync", "crm", "--json", "-vv"]).expect(0);
    }
    assert_eq!(
        house.query("SELECT ssn FROM crm.people ORDER BY id"),
        json!([{"ssn": "555-01-0001"}, {"ssn": "555-01-0002"}])
    );
    house.run(&["verify", "crm.people"]).expect(0);
    let records = records(house);
    assert!(records.len() >= 4, "{records:?}");
    for path in &records {
        assert_eq!(read(path)["root"], root, "{}", path.display());
    }

    let released = house.command(&["keys", "release", "crm.people", "--json"]).output().unwrap();
    assert!(released.status.success(), "{released:?}");
    let keys: Value = serde_json::from_slice(&released.stdout).unwrap();
    let keys = keys["keys"].as_array().unwrap();
    assert!(keys.len() >= 2, "{keys:?}");
    for key in keys {
        let text = key["key_base64"].as_str().unwrap();
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        for needle in [bytes.clone(), text.as_bytes().to_vec(), hex::encode(&bytes).into_bytes()] {
            stands_nowhere(&house.path("out"), &needle, &format!("the key {}", key["id"]));
        }
    }
    for secret in secrets {
        stands_nowhere(&house.path("out"), secret.as_bytes(), "a secret of the configuration");
    }
}

fn stands_nowhere(folder: &Path, needle: &[u8], what: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            stands_nowhere(&path, needle, what);
        } else {
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{what} stands in {}", path.display());
        }
    }
}

/// The files of the wrapped dataset keys, sorted.
fn records(house: &House) -> Vec<PathBuf> {
    let Ok(folders) = fs::read_dir(house.path("out/keys/datasets")) else { return Vec::new() };
    let inside = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut records: Vec<_> = inside.map(|entry| entry.unwrap().path()).collect();
    records.sort();
    records
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, record: &Value) {
    fs::write(path, serde_json::to_vec(record).unwrap()).unwrap();
}

/// A record with another's wrapped key, and one with a changed byte, are refused by the provider.
fn notices_altered_records(house: &House) {
    let record = |part: &str| {
        let found = records(house).into_iter().find(|path| path.to_string_lossy().contains(part));
        found.unwrap_or_else(|| panic!("no record of {part}"))
    };
    let (ssn, footer) = (record("people%2fssn"), record("_footer"));
    let (right, other) = (read(&ssn), read(&footer));
    let mut swapped = right.clone();
    swapped["wrapped"] = other["wrapped"].clone();
    let mut changed = right.clone();
    let mut bytes = BASE64_STANDARD.decode(right["wrapped"].as_str().unwrap()).unwrap();
    // Amid the ciphertext; of a text, a letter becomes another one.
    let at = bytes.len() - 20;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    changed["wrapped"] = BASE64_STANDARD.encode(bytes).into();
    for altered in [swapped, changed] {
        write(&ssn, &altered);
        refused(&house.run(&["query", "SELECT ssn FROM crm.people"]), 1, &["altered"]);
        house.run(&["query", "SELECT id FROM crm.people"]).expect(0);
    }
    write(&ssn, &right);
    house.run(&["query", "SELECT ssn FROM crm.people"]).expect(0);
}

/// It ended with `code`, and its message holds each of `says` and a remedy.
#[track_caller]
fn refused(ran: &Ran, code: i32, says: &[&str]) {
    ran.expect(code);
    for word in says {
        assert!(ran.stderr.contains(word), "`{word}` is not in the message: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("help:"), "no remedy: {}", ran.stderr);
}

/// A run is refused before anything is published or any key is made.
#[track_caller]
fn refused_at_start(house: &House, code: i32, says: &[&str]) {
    let before = (house.versions("crm.people"), records(house).len());
    refused(&house.run(&["sync", "crm"]), code, says);
    assert_eq!((house.versions("crm.people"), records(house).len()), before);
}
