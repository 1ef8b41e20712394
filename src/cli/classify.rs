//! `sealift classify`: what columns seem to hold, of a pipeline's streams or of a file.

use std::path::Path;

use serde_json::{Value, json};

use super::args::Classify;
use super::{Context, Done, show};
use crate::classify::{Classifier, Found};
use crate::error::{Error, Kind, Result};
use crate::run::{Engine, classification};
use crate::source::{self, Gate};
use crate::spec::classification::Classification;
use crate::spec::config::Connection;
use crate::spec::pipeline::{FileSet, Format, Selector};
use crate::spec::{Config, Policy, StreamName};

pub(super) async fn run(context: &Context, args: &Classify) -> Done {
    let path = Path::new(&args.target);
    let streams =
        if path.is_file() { file(context, path, args).await? } else { pipeline(context, args).await? };
    let mut described = Vec::new();
    for (stream, found) in &streams {
        if !context.json {
            print(stream, found);
        }
        described.extend(found.iter().map(|found| {
            let mut column = found.to_json();
            if let (Value::Object(column), true) = (&mut column, streams.len() > 1) {
                column.insert("stream".to_owned(), json!(stream));
            }
            column
        }));
    }
    if context.json {
        show::json(&json!({ "columns": described }));
    } else {
        println!(
            "Nothing was written. What is found and not declared counts as declared; tags go under `columns`."
        );
    }
    Ok(())
}

type Streams = Vec<(String, Vec<Found>)>;

async fn pipeline(context: &Context, args: &Classify) -> Result<Streams> {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let pipeline = engine.pipeline(&args.target)?;
    let only = args.stream.as_deref().map(StreamName::parse).transpose()?;
    let (_, connection) = engine.places(pipeline)?;
    let mut snapshot = source::open(connection, engine.gate(pipeline))?.snapshot().await?;
    let streams = classification::survey(&engine, pipeline, only.as_ref(), &mut *snapshot, args.rows).await;
    snapshot.close().await;
    streams
}

/// A file by itself, with the detectors of the configuration's policy where there is one.
async fn file(context: &Context, path: &Path, args: &Classify) -> Result<Streams> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let format = Format::of_name(name).ok_or_else(|| {
        Error::new(Kind::Usage, format!("the ending of {name} does not tell how it is read"))
            .help("name a .csv or a .parquet file, or a pipeline")
    })?;
    let policy = match context.config.is_file() {
        true => Policy::load(&Config::load(&context.config)?.policy)?.classification,
        false => Classification::default(),
    };
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let connection = Connection::Files { root: root.to_path_buf() };
    let mut snapshot = source::open(&connection, std::sync::Arc::new(Gate::default()))?.snapshot().await?;
    let path = globset::escape(name);
    let files = FileSet { name: StreamName::parse("file")?, path, format, schema: None };
    let classifier = Classifier::new(&policy)?;
    let selector = Selector::Files(files);
    let found = classification::survey_file(&classifier, &selector, &mut *snapshot, args.rows).await?;
    Ok(vec![(name.to_owned(), found)])
}

fn print(stream: &str, found: &[Found]) {
    println!("{stream}");
    let mut table = show::table(&["column", "tag", "confidence", "because"], &[2]);
    for Found { name, finding } in found {
        let because = classification::because(finding).join(", ");
        table.add_row([name.clone(), finding.tag.clone(), format!("{:.2}", finding.confidence), because]);
    }
    println!("{table}\n");
}
