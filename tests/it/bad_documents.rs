//! What people read when a document is wrong: every file of `tests/fixtures/bad`, as it is shown.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealift::error::{Error, Kind};
use sealift::secret::Reference;
use sealift::spec::action::Canonical;
use sealift::spec::config::{Connection, Keys, Limits};
use sealift::spec::contract::{Change, SchemaContract};
use sealift::spec::pipeline::{
    ColumnType, Compression, Conversion, Csv, Format, OnOverflow, Parquet, Selector,
};
use sealift::spec::quality::Demand;
use sealift::spec::sync::WriteMode;
use sealift::spec::{Action, ConnectionName, Role, check_files, load_all};
use sha2::{Digest, Sha256};

use crate::house::House;

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

/// Every problem of a folder of pipelines that follow others as told, by `name: after`.
fn followed(schedules: &[(&str, &str)]) -> Vec<String> {
    let house = House::new();
    house.policy("- {tags: [public], action: allow}");
    for (name, schedule) in schedules {
        house.pipeline(
            name,
            &format!(
                "connection: drops\ndataset: \"{name}.{{stream}}\"\nstreams:\n  rows: {{path: rows.csv, \
                 columns: {{\"*\": {{tag: public}}}}}}\nschedule: {schedule}"
            ),
        );
    }
    let Err(problems) = load_all(&house.path("in/sealift.yaml")) else { return Vec::new() };
    let told = problems.iter().map(|problem| {
        let file = problem.file.file_name().unwrap().to_string_lossy();
        format!("{file}:{}:{}: {}", problem.line, problem.column, problem.message)
    });
    told.collect()
}

#[test]
fn pipelines_that_follow_nobody_or_each_other_are_told() {
    let after = |names: &str| format!("{{after: {{pipelines: [{names}]}}}}");
    let cron = "{cron: \"0 2 * * *\"}";
    assert_eq!(followed(&[("a", cron), ("b", &after("a")), ("c", &after("a, b"))]), Vec::<String>::new());
    let unknown = followed(&[("crm", cron), ("mart", "{after: {pipeline: crn}}")]);
    assert_eq!(unknown, ["mart.yaml:9:30: there is no pipeline `crn`"]);
    let circle = followed(&[("a", &after("c")), ("b", &after("a")), ("c", &after("b")), ("d", &after("a"))]);
    assert_eq!(
        circle,
        ["a.yaml:9:20: pipelines follow each other in a circle: `a` after `c` after `b` after `a`"]
    );
    let itself = followed(&[("a", "{after: {dataset: a.rows}}"), ("b", "{after: {dataset: c.rows}}")]);
    assert_eq!(itself, ["a.yaml:9:29: pipelines follow each other in a circle: `a` after `a`"]);
    let by_dataset = followed(&[("a", "{after: {dataset: b.rows}}"), ("b", &after("a"))]);
    assert_eq!(by_dataset.len(), 1, "{by_dataset:?}");
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
    assert_eq!(config.connections.len(), 7);
    assert_eq!(policy.rules.len(), 4);
    let streams: Vec<_> = pipelines.iter().map(|pipeline| pipeline.streams.len()).collect();
    assert_eq!(streams, [5, 2]);
}

#[test]
fn what_is_written_arrives_with_paths_resolved_and_defaults_filled() {
    let (config, policy, pipelines) = load_all(&fixtures("good/sealift.yaml")).unwrap();
    let Connection::Files { root } = &config.connections[&ConnectionName::parse("drops").unwrap()] else {
        panic!("not files")
    };
    assert_eq!(*root, fixtures("drops"));
    let Keys::File { path, passphrase } = &config.keys else { panic!("the keys are in a file") };
    assert_eq!((path, passphrase.is_some()), (&fixtures("var/keys"), true));
    assert_eq!(config.memory_limit_bytes, 2_048_000_000);

    let bytes = fs::read(&policy.path).unwrap();
    assert_eq!(policy.digest, hex::encode(Sha256::digest(&bytes)));

    let [customers, orders, ..] = pipelines[0].streams.as_slice() else { panic!("no streams") };
    assert_eq!(customers.write_mode, WriteMode::Append);
    assert_eq!(orders.write_mode, WriteMode::Overwrite);
    // The stream's own settings over the pipeline's over the built-in ones.
    assert_eq!(customers.parquet.compression, Compression::Zstd(3));
    assert_eq!((customers.parquet.row_group_rows, customers.parquet.file_size_bytes), (500_000, 256 << 20));
    assert_eq!(orders.parquet, Parquet { compression: Compression::Zstd(3), ..Parquet::default() });
    let expected = Action::Hash { join_domain: None, canonical: Canonical::Text };
    assert_eq!(customers.columns.named["email"].action, Some(expected));
    assert_eq!((customers.position.line, customers.position.column), (11, 3));

    let Selector::Files(files) = &pipelines[1].streams[0].selector else { panic!("not files") };
    let columns: Vec<_> = files.schema.iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(columns, ["id", "name", "balance", "since"]);
    let csv = Csv { header: true, delimiter: b';', quote: b'\'', null: "NULL".to_owned() };
    assert_eq!(files.format, Format::Csv(csv));
}

#[test]
fn doors_and_who_is_let_in_arrive() {
    let (config, _, _) = load_all(&fixtures("good/sealift.yaml")).unwrap();
    let tls = config.listen.tls.as_ref().unwrap();
    assert_eq!(
        (&tls.certificate, &tls.key),
        (&fixtures("tls/server.pem"), &Reference::File(fixtures("tls/server.key")))
    );
    let clients = tls.clients.as_ref().unwrap();
    assert!(clients.is_required && clients.roles["dns:etl.example.com"].contains(&Role::Engineer));
    let ldap = config.access.ldap.as_ref().unwrap();
    assert_eq!((ldap.group_filter.as_str(), ldap.nested), ("(member={dn})", true));
    assert_eq!(ldap.roles["cn=ops,ou=groups,dc=example,dc=com"].len(), 2);
    let oidc = config.access.oidc.as_ref().unwrap();
    assert_eq!((oidc.roles_claim.as_str(), oidc.jwks_url.as_deref()), ("groups", None));
}

#[test]
fn limits_and_decisions_arrive() {
    let (config, _, pipelines) = load_all(&fixtures("good/sealift.yaml")).unwrap();
    let connection = |name: &str| &config.connections[&ConnectionName::parse(name).unwrap()];
    let Connection::Postgres(gentle) = connection("gentle_db") else { panic!("not PostgreSQL") };
    assert_eq!(gentle.statement_timeout, Some(Duration::from_secs(1800)));
    let limits = Limits {
        connections: Some(4),
        rows_per_second: Some(200_000),
        bytes_per_second: Some(50_000_000),
        runs: None,
    };
    assert_eq!((gentle.limits, connection("gentle_db").limits()), (limits, limits));
    let throttle = gentle.throttle.as_ref().unwrap();
    assert_eq!((throttle.slow_above, throttle.pause_above), (20, 50));
    assert_eq!(throttle.every, Duration::from_secs(30));
    let Connection::Postgres(local) = connection("local_db") else { panic!("not PostgreSQL") };
    assert_eq!(local.passfile, Some(fixtures("good/pgpass")));
    assert_eq!((local.limits, local.statement_timeout), (Limits::default(), None));
    let Connection::Mysql(shop) = connection("shop_db") else { panic!("not MySQL") };
    assert_eq!((shop.port, shop.limits.connections), (3307, Some(2)));
    let Connection::Sqlite(till) = connection("till_db") else { panic!("not SQLite") };
    assert_eq!(till.path, fixtures("till.db"));
    assert!(matches!(connection("erp"), Connection::Odbc(erp) if erp.password.is_some()));

    let payments = &pipelines[0].streams[4];
    assert_eq!(payments.split_by.as_deref(), Some("id"));
    let decided = |name: &str| payments.columns.named[name].conversion;
    let decision = |to, on_overflow| Some(Conversion { to, on_overflow });
    // `null` is YAML's own word for nothing, and here one of two words.
    assert_eq!(decided("amount"), decision(ColumnType::Decimal(38, 9), OnOverflow::Null));
    assert_eq!(decided("fee"), decision(ColumnType::Decimal(12, 2), OnOverflow::Fail));
    assert_eq!(decided("note"), decision(ColumnType::Text, OnOverflow::Fail));
    assert_eq!(decided("tax"), decision(ColumnType::Decimal(12, 2), OnOverflow::Quarantine));
    // A bound for all streams says nothing of those that reject no rows.
    let bounds: Vec<_> = pipelines[0].streams.iter().map(|stream| stream.max_quarantine_rows).collect();
    assert_eq!(bounds, [20, 20, 20, 20, 500]);
    assert_eq!(pipelines[1].streams[0].max_quarantine_rows, 10_000);
    assert!(payments.columns.named["amount"].declares() && !payments.columns.named["fee"].declares());
}

#[test]
fn contracts_and_checks_arrive() {
    let (_, _, pipelines) = load_all(&fixtures("good/sealift.yaml")).unwrap();
    let streams = &pipelines[0].streams;
    let contract = |columns, types| SchemaContract { columns, types, renamed: BTreeMap::new() };
    let customers = &streams[0].schema_contract;
    assert_eq!((customers.columns, customers.types), (Change::Evolve, Change::Freeze));
    assert_eq!(customers.renamed["email"], "mail");
    assert_eq!(streams[1].schema_contract, contract(Change::Freeze, Change::Freeze));
    assert_eq!(pipelines[1].streams[0].schema_contract, SchemaContract::default());

    let checks = &streams[0].quality;
    let shown: Vec<String> =
        checks.iter().map(|check| format!("{}: {:?}", check.demand, check.on_fail)).collect();
    assert_eq!(
        shown,
        [
            "check `id > 0`: Quarantine",
            "not_null [id, email]: Fail",
            "unique [id]: Fail",
            "accepted values of country: Fail",
            "range of id: Warn",
            "range of since: Fail",
            "foreign_key [country] into ref.countries: Fail",
            "row_count: Fail",
            "freshness of since: Fail",
            "drift: Fail",
        ]
    );
    let values = ["CH", "NO", "7"].map(str::to_owned).to_vec();
    assert_eq!(checks[3].demand, Demand::Accepted { column: "country".to_owned(), values });
    let (min, max) = (Some("0".to_owned()), Some("1e9".to_owned()));
    assert_eq!(checks[4].demand, Demand::Range { column: "id".to_owned(), min, max });
    assert_eq!((checks[0].position.line, checks[1].position.line), (22, 23));
    // The list of the defaults is for streams that have none.
    assert_eq!(streams[1].quality[0].demand, Demand::RowCount { min: Some(1), max: None });
    assert_eq!(streams[1].quality.len(), 1);
}

#[test]
fn a_store_that_goes_without_saying_is_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(fixtures("good/sealift.yaml")).unwrap();
    let (before, rest) = good.split_once("  bucket:").unwrap();
    let (_, after) = rest.split_once("connections:").unwrap();
    fs::write(folder.path().join("sealift.yaml"), format!("{before}connections:{after}")).unwrap();
    fs::copy(fixtures("good/policy.yaml"), folder.path().join("policy.yaml")).unwrap();
    fs::create_dir(folder.path().join("pipelines")).unwrap();
    let crm = fs::read_to_string(fixtures("good/pipelines/crm.yaml")).unwrap();
    fs::write(folder.path().join("pipelines/a.yaml"), &crm).unwrap();
    let other = crm.replace("name: crm", "name: crm2").replace("store: lake\n", "");
    fs::write(folder.path().join("pipelines/b.yaml"), other).unwrap();
    let problems = load_all(&folder.path().join("sealift.yaml")).unwrap_err();
    assert!(problems.count() > 0);
    assert!(problems.iter().all(|problem| problem.message.starts_with("two streams would write")));
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
