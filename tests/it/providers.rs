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
use sealift::keys::Keyring;
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

/// Publishes another dataset, whose keys a newer version of the root key wraps, and reads both.
fn joins_with_new_keys(house: &House) {
    house.pipeline(
        "more",
        "connection: drops\ndataset: crm.more\nstreams:\n  people:\n    path: people.csv\n    \
         columns: {ssn: {tag: pii.ssn}, \"*\": {tag: public}, email: {tag: pii.email}}",
    );
    house.run(&["sync", "more"]).expect(0);
    let both = "SELECT count(*) AS n FROM crm.people p JOIN crm.more m ON p.ssn = m.ssn";
    assert_eq!(house.query(both), json!([{"n": 2}]));
}

fn stands_nowhere(folder: &Path, needle: &[u8], what: &str) {
    if let Some(path) = place_of(folder, needle) {
        panic!("{what} stands in {}", path.display());
    }
}

/// The file below a folder that holds these bytes.
fn place_of(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return place_of(&path, needle);
        }
        let bytes = fs::read(&path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle).then_some(path)
    })
}

/// The ways in which the bytes of a key may stand somewhere.
fn forms(key: &[u8]) -> [Vec<u8>; 3] {
    [key.to_vec(), BASE64_STANDARD.encode(key).into_bytes(), hex::encode(key).into_bytes()]
}

#[tokio::test]
async fn no_key_of_any_use_stands_anywhere_where_a_file_holds_the_root_key() {
    let house = house("{file: {path: ../out/keys}}");
    let logs = house.path("out/trace");
    fs::create_dir(&logs).unwrap();
    for (number, args) in [
        &["sync", "crm", "-vv"][..],
        &["sync", "crm", "--json", "-vv"],
        &["query", "SELECT * FROM crm.people", "-vv"],
        &["keys", "check", "-vv"],
        &["verify", "crm.people", "-vv"],
    ]
    .into_iter()
    .enumerate()
    {
        let ran = house.run(args);
        fs::write(logs.join(number.to_string()), format!("{}{}", ran.expect(0).stdout, ran.stderr)).unwrap();
    }
    let config =
        Config::load(&house.path("in/sealift.yaml")).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let keyring = Keyring::open(&config.keys, &|_| {}).await.unwrap();
    let ids = keyring.list(None).await.unwrap();
    assert!(ids.iter().any(|id| id.contains("#tokenize")) && ids.len() >= 4, "{ids:?}");
    for id in &ids {
        let key = keyring.by_id(id).await.unwrap();
        for needle in forms(key.secret().expose()) {
            stands_nowhere(&house.path("out"), &needle, &format!("the key {id}"));
        }
    }
    // What is looked for would be found.
    let key = keyring.by_id(&ids[0]).await.unwrap();
    fs::write(logs.join("planted"), hex::encode(key.secret().expose())).unwrap();
    assert!(forms(key.secret().expose()).iter().any(|form| place_of(&house.path("out"), form).is_some()));
}

/// The root key that is configured wraps every key of the one before, whose `keys` are given, and no data file changes.
fn takes_over(house: &House, keys: &str, root: &str) {
    let here = fs::read_to_string(house.path("in/sealift.yaml")).unwrap();
    keyed(house, keys);
    fs::rename(house.path("in/sealift.yaml"), house.path("in/old.yaml")).unwrap();
    fs::write(house.path("in/sealift.yaml"), here).unwrap();
    let files = || {
        let entries =
            fs::read_dir(house.path("out/lake/crm/people")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            entries.filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect();
        files.sort();
        files
    };
    let (before, old) = (files(), house.path("in/old.yaml"));
    let taken = house.json(&["keys", "rotate", "--root", "--from", old.to_str().unwrap()], 0);
    assert_eq!((&taken["root"], &taken["keys"]), (&json!(root), &json!(records(house).len())), "{taken}");
    for path in records(house) {
        assert_eq!(read(&path)["root"], root, "{}", path.display());
    }
    assert_eq!(files(), before);
    let found = house.query("SELECT count(DISTINCT ssn) AS n FROM crm.people");
    assert_eq!(found, json!([{"n": 2}]));
    house.run(&["keys", "check"]).expect(0);
    house.run(&["sync", "crm"]).expect(0);
    // Done twice, there is nothing left to do.
    let again = house.json(&["keys", "rotate", "--root", "--from", old.to_str().unwrap()], 0);
    assert_eq!(again["keys"], 0);
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
