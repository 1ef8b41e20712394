//! What people read when a document is wrong: every file of `tests/fixtures/bad`, as it is shown.

use std::fs;
use std::path::{Path, PathBuf};

use sealift::error::{Error, Kind};
use sealift::spec::{check_files, load_all};

/// Every planted secret of the fixtures begins with this.
const PLANTED: &str = "PLANTED";

fn fixtures(folder: &str) -> PathBuf {
    Path::new("tests/fixtures").join(folder)
}

fn bad_documents() -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(fixtures("bad")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_bad_document_says_what_to_do() {
    let paths = bad_documents();
    assert!(paths.len() >= 30);
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let config = fixtures("good/sealift.yaml");
        let problems = check_files(std::slice::from_ref(&path), &config).expect_err(&name);
        assert!(problems.iter().all(|problem| problem.file == path), "{name}");
        for problem in problems.iter() {
            assert!(problem.help.is_some(), "{name}: no help with `{}`", problem.message);
        }
        insta::assert_snapshot!(format!("bad_{name}"), problems.render(false));
    }
}

#[test]
fn no_message_holds_a_planted_secret() {
    let mut planted = 0;
    for path in bad_documents() {
        planted += usize::from(fs::read_to_string(&path).unwrap().contains(PLANTED));
        let problems = check_files(std::slice::from_ref(&path), &fixtures("good/sealift.yaml")).unwrap_err();
        for shown in [problems.render(true), problems.render(false), problems.to_json().to_string()] {
            assert!(!shown.contains(PLANTED), "{} shows its secret", path.display());
        }
        assert!(!Error::from(problems).to_string().contains(PLANTED));
    }
    assert!(planted >= 10);
}

#[test]
fn five_problems_are_five_problems_and_end_with_78() {
    let path = fixtures("bad/five_problems.yaml");
    let problems = check_files(&[path], &fixtures("good/sealift.yaml")).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert!(lines.is_sorted() && lines.len() >= 5, "{lines:?}");
    let error = Error::from(problems);
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.kind().meaning().exit_code, 78);
}

#[test]
fn the_good_documents_load() {
    let (config, policy, pipelines) = load_all(&fixtures("good/sealift.yaml")).unwrap();
    assert_eq!(config.connections.len(), 3);
    assert_eq!(policy.rules.len(), 4);
    let streams: Vec<_> = pipelines.iter().map(|pipeline| pipeline.streams.len()).collect();
    assert_eq!(streams, [4, 2]);
}

#[test]
fn the_problems_of_all_documents_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let good = |name: &str| fs::read_to_string(fixtures("good").join(name)).unwrap();
    write("sealift.yaml", &good("sealift.yaml").replace("port: 5432", "prot: 5432"));
    write("policy.yaml", &good("policy.yaml").replace("action: encrypt", "action: encypt"));
    write("pipelines/crm.yaml", &good("pipelines/crm.yaml").replace("owner:", "ownr:"));
    write("pipelines/deep/again.yaml", &good("pipelines/crm.yaml"));
    write("pipelines/deep/policy.yml", &good("policy.yaml"));
    write("pipelines/deep/data.csv", "not: a: document");
    let problems = load_all(&folder.path().join("sealift.yaml")).unwrap_err();
    let files: Vec<_> = problems
        .iter()
        .map(|problem| problem.file.strip_prefix(folder.path()).unwrap().to_string_lossy().into_owned())
        .collect();
    for file in ["sealift.yaml", "policy.yaml", "pipelines/crm.yaml", "pipelines/deep/policy.yml"] {
        assert!(files.iter().any(|found| found == file), "{file} is not in {files:?}");
    }
    let messages = problems.render(false);
    assert!(messages.contains("another pipeline is named `crm`"), "{messages}");
    assert!(messages.contains("two streams would write the dataset `crm.customers`"), "{messages}");
    assert!(messages.contains("this is a Policy, and a Pipeline belongs here"), "{messages}");
}

#[test]
fn a_missing_policy_and_folder_are_told_where_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealift.yaml");
    fs::copy(fixtures("good/sealift.yaml"), &path).unwrap();
    let problems = load_all(&path).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [3, 4]);
    let absent = load_all(&folder.path().join("absent.yaml")).unwrap_err();
    assert!(absent.render(false).contains("cannot read the file (entity not found)"));
}
