//! `sealift validate`: an offline check of documents.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::spec::{self, Document, Problems};

/// One valid document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// `Config`, `Policy` or `Pipeline`.
    pub(crate) kind: &'static str,
    /// Its name; a configuration has none.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// What it holds (`3 streams`).
    pub(crate) holds: String,
}

/// Checks the given documents (folders stand for the documents in them), or without any the
/// configuration and everything it names.
///
/// # Errors
/// Every problem of every document.
pub(crate) fn validate(config: &Path, paths: &[PathBuf]) -> Result<Vec<Checked>, Problems> {
    if paths.is_empty() {
        let (config, policy, pipelines) = spec::check_all(config)?;
        let pipelines = pipelines.into_iter().map(|pipeline| Document::Pipeline(Box::new(pipeline)));
        let documents = [Document::Config(Box::new(config)), Document::Policy(policy)];
        return Ok(documents.into_iter().chain(pipelines).map(|document| checked(&document)).collect());
    }
    Ok(spec::check_files(paths, config)?.iter().map(checked).collect())
}

fn checked(document: &Document) -> Checked {
    match document {
        Document::Config(config) => Checked {
            kind: "Config",
            name: String::new(),
            path: config.path.clone(),
            holds: format!(
                "{}, {}",
                counted(config.connections.len(), "connection"),
                counted(config.stores.len(), "store")
            ),
        },
        Document::Policy(policy) => Checked {
            kind: "Policy",
            name: policy.name.clone(),
            path: policy.path.clone(),
            holds: counted(policy.rules.len(), "rule"),
        },
        Document::Pipeline(pipeline) => Checked {
            kind: "Pipeline",
            name: pipeline.name.to_string(),
            path: pipeline.path.clone(),
            holds: counted(pipeline.streams.len(), "stream"),
        },
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The summary for programs: `{"outcome":"done","documents":[{"kind","name","file","holds"}]}`.
pub(crate) fn to_json(documents: &[Checked]) -> Value {
    let documents: Vec<_> = documents
        .iter()
        .map(|document| {
            json!({
                "kind": document.kind,
                "name": document.name,
                "file": document.path.to_string_lossy(),
                "holds": document.holds,
            })
        })
        .collect();
    json!({"outcome": "done", "documents": documents})
}

/// The list for people.
///
/// # Errors
/// Those of writing.
pub(crate) fn print(documents: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["DOCUMENT", "NAME", "HOLDS", "FILE"]);
    for document in documents {
        let file = document.path.display().to_string();
        table.add_row([document.kind, document.name.as_str(), document.holds.as_str(), file.as_str()]);
    }
    writeln!(out, "{table}")?;
    writeln!(out, "{} valid", counted(documents.len(), "document"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new("tests/fixtures").join(name)
    }

    #[test]
    fn without_a_path_everything_the_configuration_names_is_checked() {
        let checked = validate(&fixture("good/sealift.yaml"), &[]).unwrap();
        let kinds: Vec<_> = checked.iter().map(|document| document.kind).collect();
        assert_eq!(kinds, ["Config", "Policy", "Pipeline", "Pipeline"]);
        let mut table = Vec::new();
        print(&checked, &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(table.contains("4 streams") && table.ends_with("4 documents valid\n"), "{table}");
        assert_eq!(to_json(&checked)["documents"][2]["name"], "crm");
    }

    #[test]
    fn with_paths_only_those_are_checked_each_by_its_kind() {
        let config = fixture("good/sealift.yaml");
        let checked = validate(&config, &[fixture("good/policy.yaml"), fixture("good/pipelines")]).unwrap();
        let kinds: Vec<_> = checked.iter().map(|document| document.kind).collect();
        assert_eq!(kinds, ["Policy", "Pipeline", "Pipeline"]);
        let problems = validate(&config, &[fixture("good/policy.yaml"), fixture("absent.yaml")]).unwrap_err();
        assert_eq!(problems.count(), 1);
    }

    #[test]
    fn a_pipeline_that_weakens_the_policy_is_told_offline() {
        let path = fixture("bad/weaker_than_the_policy.yaml");
        let problems = validate(&fixture("good/sealift.yaml"), &[path]).unwrap_err();
        assert!(problems.iter().all(|problem| problem.message.contains("is weaker than")));
        assert_eq!(problems.count(), 2);
    }
}
