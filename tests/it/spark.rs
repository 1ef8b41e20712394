//! Spark reads what Sealift encrypted, through the key client of `clients/spark`: with released keys, not without,
//! and open columns without any.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::house::House;

const SSNS: [&str; 3] = ["555-01-0001", "555-01-0002", "555-01-0003"];

/// The environment with PySpark and all its jars, which `tests/run` prepares beside the other: the packages
/// `pyspark` and `pyspark-client` are one package to Python.
fn venv() -> PathBuf {
    let beside = std::env::var_os("SEALIFT_TEST_VENV")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venv"), PathBuf::from);
    let venv = beside.with_file_name("venv-spark");
    assert!(venv.exists(), "{} is missing: run the tests through tests/run", venv.display());
    venv
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compiles the client as its page says.
fn build(jar: &Path) {
    let find = "import pyspark; print(pyspark.__path__[0])";
    let found = Command::new(venv().join("bin/python")).args(["-c", find]).output().unwrap();
    let spark = String::from_utf8(found.stdout).unwrap();
    let built = Command::new(root().join("clients/spark/build")).arg(spark.trim()).arg(jar).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

fn data_files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files.map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// As the script digests values.
fn digest(values: &[&str]) -> Value {
    hex::encode(Sha256::digest(values.join("\n"))).into()
}

/// Releases the keys of one column into a file.
fn release(house: &House, column: &str) -> String {
    let keys = house.run(&["keys", "release", "crm.people", "--column", column, "--json"]);
    let path = format!("in/{column}.json");
    house.write(&path, &keys.expect(0).stdout);
    house.path(&path).to_str().unwrap().to_owned()
}

#[test]
fn spark_reads_encrypted_columns_with_released_keys_only() {
    let house = House::new();
    house.policy("- {tags: [\"pii.*\"], action: encrypt}\n- {tags: [public], action: allow}");
    house.pipeline(
        "crm",
        "connection: drops\ndataset: crm.people\nstreams:\n  people:\n    path: people.csv\n    \
         columns: {ssn: {tag: pii.ssn}, email: {tag: pii.email}, \"*\": {tag: public}}",
    );
    let lines: String = SSNS.iter().map(|ssn| format!("CH,{ssn},{ssn}@example.com\n")).collect();
    house.write("in/drops/people.csv", &format!("country,ssn,email\n{lines}"));
    house.run(&["sync", "crm"]).expect(0);

    let jar = house.path("in/keys.jar");
    build(&jar);
    let (keys, others) = (release(&house, "ssn"), release(&house, "email"));
    let ran = Command::new(venv().join("bin/python"))
        .arg(root().join("tests/python/spark.py"))
        .args([jar.to_str().unwrap(), &keys, &others, "country", "ssn"])
        .args(data_files(&house.path("out/lake/crm/people")))
        .current_dir(house.path("out/tmp"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SPARK_LOCAL_DIRS", house.path("out/tmp"))
        .env_remove("SPARK_HOME")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let found: Value = serde_json::from_str(last)
        .unwrap_or_else(|e| panic!("{e}: {printed}\n{}", String::from_utf8_lossy(&ran.stderr)));

    assert_eq!(found["sealed"], digest(&SSNS), "{found}");
    assert_eq!(found["rows"], 3);
    for open in ["open", "open_with_keys"] {
        assert_eq!(found[open], digest(&["CH"; 3]), "{found}");
    }
    let refused = |how: &str, why: &str| {
        let told = found[how].as_str().unwrap_or_else(|| panic!("{how}: {found}"));
        assert!(told.contains(why), "{how}: {told}");
        assert!(!SSNS.iter().any(|ssn| told.contains(ssn)), "{how}: {told}");
    };
    refused("without_keys", "[ssn]. Null File Decryptor");
    refused("other_keys", "no key was released for sealift:crm.people/ssn@1");
    refused("no_file", "no keys: set spark.hadoop.sealift.keys.file");
}
