//! `sealift query`: SQL over published datasets.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt};

use super::args::{Format, Query};
use super::{Context, Done};
use crate::Batches;
use crate::error::{Error, Kind, Result};
use crate::govern::audit;
use crate::query::{Reveal, Session};
use crate::run::Engine;

/// A table on a terminal is for looking, not for moving data.
const TABLE_ROWS: usize = 1000;

pub(super) async fn run(context: &Context, args: &Query) -> Done {
    let engine = Engine::open(&context.config, &|notice| eprintln!("{notice}")).await?;
    let reveal = reveal(&engine, args.reveal.as_deref())?;
    let keyring = engine.keyring.clone();
    let memory_bytes = engine.config.memory_limit_bytes;
    let session = Session::open(engine.stores()?, keyring, memory_bytes, args.as_of, Some(reveal)).await?;
    let (schema, batches) = session.sql(&args.sql).await?;
    // Before any row is shown: what cannot be recorded is not done.
    let keys = engine.keyring.used();
    if !keys.is_empty() {
        audit::key_use(&engine.ledger, &audit::operator(), "query", &keys).await?;
    }
    let format = if context.json { Format::Json } else { args.format };
    match format {
        Format::Table => table(batches).await?,
        Format::Csv => csv(&schema, batches).await?,
        Format::Json => json(batches).await?,
    }
    Ok(())
}

/// The person at the keyboard, and what they say that they need values for, if any.
fn reveal(engine: &Engine, purpose: Option<&str>) -> Result<Reveal> {
    let usage = |error: Error| {
        let remedy = error.remedy().unwrap_or_default().to_owned();
        Error::new(Kind::Usage, error.message()).help(remedy)
    };
    let purpose = purpose.map(str::parse).transpose().map_err(usage)?;
    let ledger = Arc::new(engine.ledger.clone());
    Ok(Reveal::new(audit::operator(), purpose, engine.policy.clone(), ledger))
}

async fn table(mut batches: Batches) -> Result<()> {
    let mut kept: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        let take = batch.num_rows().min(TABLE_ROWS - rows);
        rows += take;
        kept.push(batch.slice(0, take));
        if take < batch.num_rows() {
            eprintln!("the first {TABLE_ROWS} rows; --format csv prints all");
            break;
        }
    }
    let text = arrow::util::pretty::pretty_format_batches(&kept).map_err(|_| unprintable())?;
    println!("{text}");
    Ok(())
}

async fn csv(schema: &SchemaRef, mut batches: Batches) -> Result<()> {
    let mut out = std::io::stdout().lock();
    // A header also for no rows.
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut out);
    writer.write(&RecordBatch::new_empty(schema.clone())).map_err(|_| unprintable())?;
    while let Some(batch) = batches.next().await {
        writer.write(&batch?).map_err(|_| unprintable())?;
    }
    Ok(())
}

async fn json(mut batches: Batches) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::JsonArray>(&mut out);
    while let Some(batch) = batches.next().await {
        writer.write(&batch?).map_err(|_| unprintable())?;
    }
    writer.finish().map_err(|_| unprintable())?;
    drop(writer);
    out.write_all(b"\n").map_err(|_| unprintable())
}

fn unprintable() -> Error {
    Error::failed("the rows could not be printed").help("select columns of plain types, or another --format")
}
