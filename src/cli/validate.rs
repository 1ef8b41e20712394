//! `sealift validate`: an offline check of documents.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::Validate;
use super::{Context, Done, show};
use crate::spec::{self, Document, Problems};

pub(super) fn run(context: &Context, args: &Validate) -> Done {
    let documents = validate(&context.config, &args.paths)?;
    if context.json {
        show::json(&to_json(&documents));
    } else {
        print(&documents);
    }
    Ok(())
}

/// One valid document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checked {
    /// `Config`, `Policy`, `PolicyTest` or `Pipeline`.
    kind: &'static str,
    /// Its name; a configuration has none, nor have tests of a policy.
    name: String,
    /// The file.
    path: PathBuf,
    /// What it holds (`3 streams`).
    holds: String,
}

/// Checks the given documents (folders stand for the documents in them), or without any the
/// configuration and everything it names.
///
/// # Errors
/// Every problem of every document.
fn validate(config: &Path, paths: &[PathBuf]) -> Result<Vec<Checked>, Problems> {
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
        Document::PolicyTest(test) => Checked {
            kind: "PolicyTest",
            name: String::new(),
            path: test.path.clone(),
            holds: counted(test.cases.len(), "case"),
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
fn to_json(documents: &[Checked]) -> Value {
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
fn print(documents: &[Checked]) {
    let mut table = show::table(&["document", "name", "holds", "file"], &[]);
    for document in documents {
        let file = document.path.display().to_string();
        table.add_row([document.kind, document.name.as_str(), document.holds.as_str(), file.as_str()]);
    }
    println!("{table}");
    println!("{} valid", counted(documents.len(), "document"));
}
