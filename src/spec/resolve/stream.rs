//! One stream of a pipeline.

use super::file_set::file_set;
use super::parquet::parquet;
use super::pipeline::template;
use super::{ConnectionKind, Context, columns, contract, increment, merging, quality, quarantine};
use crate::error::{Error, Result};
use crate::spec::claims;
use crate::spec::faults::{Fault, Faults, quoted};
use crate::spec::pipeline::{DatasetTemplate, Position, Selector, Stream, TablePattern};
use crate::spec::raw::pipeline::Defaults;
use crate::spec::raw::placed::{Either, Placed};
use crate::spec::raw::stream as raw;
use crate::spec::sync::Resume;
use crate::spec::text::Span;
use crate::spec::{Action, StoreName, StreamName};

/// What all streams of a pipeline share.
pub(crate) struct Shared<'a> {
    /// `None` where it is not known.
    pub(crate) connection: Option<ConnectionKind>,
    /// `None` where it is wrong.
    pub(crate) dataset: Option<&'a DatasetTemplate>,
    pub(crate) store: Option<&'a StoreName>,
    pub(crate) defaults: Option<&'a Defaults>,
    pub(crate) context: &'a Context,
}

/// Refuses in `defaults` what this version does not have; its values are read with each stream.
pub(crate) fn check_defaults(defaults: Option<&Defaults>, faults: &Faults<'_>) {
    let Some(defaults) = defaults else { return };
    increment::check_defaults(defaults, faults);
    let _ = quarantine::bound(defaults.max_quarantine_rows.as_ref(), faults);
    let _ = parquet(defaults.parquet.as_ref(), None, None, faults);
    contract::check_default(defaults.schema_contract.as_ref(), faults);
    let _ = defaults.quality.as_ref().and_then(|list| quality::listed_checks(list, faults));
}

pub(crate) fn stream(
    key: &Placed<String>,
    placed: &Placed<raw::Stream>,
    shared: &Shared<'_>,
    faults: &Faults<'_>,
) -> Option<Stream> {
    let raw = placed.get()?;
    let selector = selector(key, raw, shared.connection, faults);
    let own_dataset = faults.parse_optional(raw.dataset.as_ref(), template);
    let dataset = own_dataset.as_ref().and_then(|own| own.as_ref().or(shared.dataset));
    if let (Some(selector), Some(dataset)) = (&selector, dataset) {
        let span = raw.dataset.as_ref().map_or(key.span, |dataset| dataset.span);
        check_dataset(selector, dataset, span, shared, faults);
    }
    let defaults = shared.defaults;
    let primary_key = columns::names(raw.primary_key.as_ref(), faults);
    let write_mode = merging::write_mode(raw, defaults, key.span, faults);
    let sync_mode = increment::sync_mode(key.span, raw, defaults, write_mode.as_ref(), faults);
    let split_by = split_by(raw, faults);
    let resume = resume(raw, faults);
    let transform = faults.parse_optional(raw.transform.as_ref(), sql);
    let columns = columns::columns(raw.columns.as_ref(), shared.context, faults);
    check_decisions(raw, faults);
    let partition_by = columns::names(raw.partition_by.as_ref(), faults);
    let schema_contract = contract::contract(raw.schema_contract.as_ref(), defaults, faults);
    let quality = quality::checks(raw.quality.as_ref(), defaults, faults);
    let max_quarantine_rows = quarantine::max_rows(raw, defaults, faults);
    let parquet = parquet(
        raw.parquet.as_ref(),
        defaults.and_then(|defaults| defaults.parquet.as_ref()).and_then(Placed::get),
        write_mode.as_ref(),
        faults,
    );
    let columns = columns?;
    check_partitions(raw, &columns, faults);
    let quality = quality?;
    let quarantines = quarantine::check(key.span, raw, &columns, &quality, faults);
    if let (Some(selector), Some(dataset), true) = (&selector, dataset, quarantines) {
        quarantine::check_name(claims::dataset(selector, dataset), key.span, faults);
    }
    let (line, column) = faults.text.position(key.span.start);
    Some(Stream {
        selector: selector?,
        dataset: dataset?.clone(),
        sync_mode: sync_mode?,
        write_mode: write_mode?,
        primary_key: primary_key?,
        schema_contract: schema_contract?,
        quality,
        split_by: split_by?,
        resume: resume?,
        transform: transform?,
        columns,
        partition_by: partition_by?,
        max_quarantine_rows: max_quarantine_rows?,
        parquet: parquet?,
        position: Position { line: line as u64, column: column as u64 },
    })
}

/// What a stream reads, told by the keys it has and checked against the connection's kind.
fn selector(
    key: &Placed<String>,
    raw: &raw::Stream,
    connection: Option<ConnectionKind>,
    faults: &Faults<'_>,
) -> Option<Selector> {
    let name = faults.parse(key, StreamName::parse);
    if let (Some(query), Some(_)) = (&raw.query, &raw.path) {
        faults
            .push(Fault::new(query.key, "a stream is a query or files, not both").help("remove one of them"));
        return None;
    }
    if raw.path.is_none() {
        for (word, span) in [
            ("format", raw.format.as_ref().map(|placed| placed.key)),
            ("schema", raw.schema.as_ref().map(|placed| placed.key)),
        ] {
            if let Some(span) = span {
                faults.push(
                    Fault::new(span, format!("`{word}` is for file streams, and this one has no `path`"))
                        .help("remove it, or add `path: \"customers*.csv\"`"),
                );
            }
        }
    }
    match (&raw.query, &raw.path, connection) {
        (Some(query), _, Some(ConnectionKind::Files)) => {
            faults.push(
                Fault::new(query.key, "a query needs a database, and this connection is a folder of files")
                    .help("write `path:` for files, and put SQL in `transform`"),
            );
            None
        }
        (_, Some(path), Some(ConnectionKind::Database)) => {
            faults.push(
                Fault::new(path.key, "`path` needs a folder of files, and this connection is a database")
                    .help("remove it to read the table, or name a `files` connection"),
            );
            None
        }
        (None, None, Some(ConnectionKind::Files)) => {
            faults.push(
                Fault::new(key.span, "this stream names no files, and its connection is a folder of files")
                    .help("add `path: \"customers*.csv\"`"),
            );
            None
        }
        (Some(query), _, _) => {
            let sql = faults.parse(query, sql);
            Some(Selector::Query { name: name?, sql: sql? })
        }
        (None, Some(path), _) => {
            let files = file_set(path, raw, faults);
            files.zip(name).map(|(files, name)| Selector::Files(files(name)))
        }
        (None, None, _) => faults.parse(key, table).map(Selector::Table),
    }
}

/// The column whose ranges are read in parallel; files are read one after the other.
#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn split_by(raw: &raw::Stream, faults: &Faults<'_>) -> Option<Option<String>> {
    if let (Some(split_by), Some(_path)) = (&raw.split_by, &raw.path) {
        faults.push(
            Fault::new(split_by.key, "`split_by` is for databases, and this stream is files")
                .help("remove it"),
        );
        return None;
    }
    faults.parse_optional(raw.split_by.as_ref(), super::not_empty)
}

/// Parts of a table are ranges of a column; files are parts by themselves, and told apart by their state.
fn resume(raw: &raw::Stream, faults: &Faults<'_>) -> Option<Resume> {
    let Some(placed) = &raw.resume else { return Some(Resume::default()) };
    let fault = |message: &str| Fault::new(placed.key, message);
    match placed.get()? {
        raw::Resume::SameInstant => Some(Resume::SameInstant),
        raw::Resume::MixedInstants if raw.path.is_some() => {
            let message = "`resume: mixed_instants` is for databases, and this stream is files";
            faults.push(fault(message).help("remove it: files that did not change are not read again"));
            None
        }
        raw::Resume::MixedInstants if raw.split_by.is_none() => {
            let message = "`resume: mixed_instants` needs a column whose ranges are the parts of a load";
            faults.push(fault(message).help("add `split_by`, best with the indexed key"));
            None
        }
        raw::Resume::MixedInstants => Some(Resume::MixedInstants),
    }
}

/// `schema.table`, either part with wildcards.
fn table(text: &str) -> Result<TablePattern> {
    let refused = |message: String, help: String| Err(Error::invalid(message).help(help));
    match text.split('.').collect::<Vec<_>>().as_slice() {
        [schema, table] if !schema.trim().is_empty() && !table.trim().is_empty() => {
            Ok(TablePattern { schema: (*schema).to_owned(), table: (*table).to_owned() })
        }
        [table] if !table.is_empty() => refused(
            format!("{} names no schema", quoted(text)),
            format!("write {}, or add `query:` or `path:` to it", quoted(&format!("public.{text}"))),
        ),
        _ => refused(
            format!("{} is not a table", quoted(text)),
            "write schema.table; for a name that holds a dot, write a `query:`".to_owned(),
        ),
    }
}

/// SQL that holds something.
fn sql(text: &str) -> Result<String> {
    let says_nothing =
        text.lines().all(|line| matches!(line.trim(), "" | ";") || line.trim_start().starts_with("--"));
    if says_nothing {
        return Err(Error::invalid("there is no SQL here").help("write a SELECT, or remove the key"));
    }
    Ok(text.to_owned())
}

/// Tells datasets that cannot be named, or that two streams would both write.
fn check_dataset(
    selector: &Selector,
    dataset: &DatasetTemplate,
    span: Span,
    shared: &Shared<'_>,
    faults: &Faults<'_>,
) {
    let Some(expanded) = claims::dataset(selector, dataset) else {
        if !dataset.0.contains('{') {
            faults.push(
                Fault::new(span, format!("all of these tables would be written to {}", quoted(&dataset.0)))
                    .help("put {table} or {stream} in `dataset`"),
            );
        }
        return;
    };
    match expanded {
        Err(error) => {
            faults.push(Fault::new(span, error.message()).help(error.remedy().unwrap_or("rename it")));
        }
        Ok(name) => {
            let (line, _) = faults.text.position(span.start);
            let place = format!("{}:{line}", faults.text.path.display());
            let store = shared.store.map(StoreName::as_str).or(shared.context.only_store());
            let key = (store.map(str::to_owned), name.to_string());
            let mut claims = shared.context.claims.borrow_mut();
            if let Some(first) = claims.datasets.get(&key) {
                faults.push(
                    Fault::new(span, format!("two streams would write the dataset `{name}`"))
                        .help(format!("give one a `dataset:` of its own; the other is at {first}")),
                );
            } else {
                claims.datasets.insert(key, place);
            }
        }
    }
}

/// The types of files are not decided column by column: CSV files have a `schema`, and others bring their
/// own types.
fn check_decisions(raw: &raw::Stream, faults: &Faults<'_>) {
    let columns = raw.columns.as_ref().filter(|_| raw.path.is_some()).and_then(Placed::get);
    for (_, column) in columns.into_iter().flat_map(|columns| &columns.0) {
        let to = column.get().and_then(|column| column.r#as.as_ref());
        if let Some(to) = to.filter(|to| !matches!(to.get(), Some(Either::Mapping(_)))) {
            faults.push(
                Fault::new(to.key, "`as` is for databases, and this stream is files")
                    .help("declare the types of CSV files in `schema`, or write a CAST in `transform`"),
            );
        }
    }
}

/// A partition column is a folder's name and so in the clear.
fn check_partitions(raw: &raw::Stream, columns: &crate::spec::pipeline::Columns, faults: &Faults<'_>) {
    let partitions = raw.partition_by.as_ref().and_then(Placed::get).into_iter().flatten();
    let mut told: Vec<&String> = Vec::new();
    for placed in partitions {
        let Some(name) = placed.get().filter(|name| !told.contains(name)) else { continue };
        told.push(name);
        let action = columns.named.get(name).and_then(|column| column.action.as_ref());
        if let Some(action) = action.filter(|action| **action != Action::Allow) {
            faults.push(
                Fault::new(
                    placed.span,
                    format!(
                        "{} is to be protected ({action}), and a partition's value is in the clear",
                        quoted(name)
                    ),
                )
                .help("partition by another column, or by one that `transform` makes coarser"),
            );
        }
    }
}
