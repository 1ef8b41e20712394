//! Schemathesis draws requests from the OpenAPI document, valid ones and others, and looks for answers that the
//! document does not have, and for faults of the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::api::world::Served;

/// The environment with Schemathesis, which `tests/run` prepares beside the other.
fn venv() -> PathBuf {
    let beside = std::env::var_os("SEALIFT_TEST_VENV")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("venv"), PathBuf::from);
    let venv = beside.with_file_name("venv-schemathesis");
    assert!(venv.exists(), "{} is missing: run the tests through tests/run", venv.display());
    venv
}

#[test]
fn the_document_is_valid_openapi_3_1() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let mut check = Command::new(venv().join("bin/openapi-spec-validator"));
    let ran = check.args(["--schema", "3.1"]).arg(document).output().unwrap();
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
}

#[tokio::test]
async fn no_request_that_the_document_allows_or_forbids_breaks_the_daemon() {
    let served = Served::new().await;
    let run_id = served.trigger("daily").await;
    served.over(&run_id).await;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/schemathesis.toml");
    let mut command = Command::new(venv().join("bin/st"));
    command
        .arg("--config-file")
        .arg(config)
        .args(["run", "--no-color", "--url", &served.url])
        .arg(format!("{}/v1/openapi.json", served.url))
        .env("SEALIFT_TOKEN", &served.token)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(served.house.path("out/tmp"));
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = text(&ran.stdout);
    let end: String = said.chars().rev().take(12_000).collect::<Vec<_>>().into_iter().rev().collect();
    assert!(ran.status.success(), "{end}\n{}", text(&ran.stderr));
    // It drew something, and the daemon is as well as it was.
    let drawn = said.lines().find_map(|line| line.trim().split_once(" generated, ")?.0.parse::<u32>().ok());
    assert!(drawn.is_some_and(|drawn| drawn > 500), "{end}");
    assert_eq!(served.get("/v1/runs").await.0, 200);
    served.stop();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
