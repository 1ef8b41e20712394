//! The pipeline as a whole.

use super::quantity::duration_within;
use super::schedule::{priority, retry, schedule};
use super::stream::{Shared, stream};
use super::{ConnectionKind, Context, not_empty};
use crate::error::{Error, Result};
use crate::spec::faults::{Fault, Faults, nearest, quoted, suggestion};
use crate::spec::pipeline::{DatasetTemplate, Selector, Stream};
use crate::spec::raw::pipeline as raw;
use crate::spec::raw::placed::Placed;
use crate::spec::schedule::{LONGEST_ATTEMPT, Retry};
use crate::spec::{ConnectionName, Pipeline, PipelineName, StoreName};

pub(crate) fn pipeline(raw: &raw::Pipeline, context: &Context, faults: &Faults<'_>) -> Option<Pipeline> {
    let name = faults.parse(&raw.name, PipelineName::parse);
    if let Some(name) = &name {
        check_unique(name, raw.name.span, context, faults);
    }
    let owner = faults.parse(&raw.owner, not_empty);
    let description = raw.description.as_ref().map_or(Some(""), |text| text.get().map(|text| text.trim()));
    let (connection, kind) = connection(&raw.connection, context, faults);
    let store = store(raw, context, faults);
    let dataset = faults.parse(&raw.dataset, template);
    let shared = Shared {
        connection: kind,
        dataset: dataset.as_ref(),
        store: store.as_ref().and_then(Option::as_ref),
        defaults: raw.defaults.as_ref().and_then(Placed::get),
        context,
    };
    super::stream::check_defaults(shared.defaults, faults);
    let streams = streams(raw, &shared, faults);
    let schedule = raw.schedule.as_ref().map_or(Some(None), |placed| schedule(placed, faults).map(Some));
    let retry = raw.retry.as_ref().map_or(Some(Retry::default()), |placed| retry(placed.get()?, faults));
    let timeout = faults.take_optional(raw.timeout.as_ref(), |text| duration_within("1s", "7days", &text.0));
    let priority = faults.take_optional(raw.priority.as_ref(), |word| Ok(priority(*word)));
    Some(Pipeline {
        path: faults.text.path.clone(),
        digest: faults.text.digest.clone(),
        name: name?,
        owner: owner?,
        description: description?.to_owned(),
        connection: connection?,
        store: store?,
        streams: streams?,
        schedule: schedule?,
        retry: retry?,
        timeout: timeout?.unwrap_or(LONGEST_ATTEMPT),
        priority: priority?.unwrap_or_default(),
    })
}

fn check_unique(name: &PipelineName, span: crate::spec::text::Span, context: &Context, faults: &Faults<'_>) {
    let here = faults.text.path.display().to_string();
    let mut claims = context.claims.borrow_mut();
    if let Some(first) = claims.pipelines.get(name.as_str()) {
        faults.push(
            Fault::new(span, format!("another pipeline is named `{name}`"))
                .help(format!("rename one; the other is in {first}")),
        );
    } else {
        claims.pipelines.insert(name.as_str().to_owned(), here);
    }
}

/// The connection's name, and its kind where the configuration tells.
fn connection(
    placed: &Placed<String>,
    context: &Context,
    faults: &Faults<'_>,
) -> (Option<ConnectionName>, Option<ConnectionKind>) {
    let Some(name) = faults.parse(placed, ConnectionName::parse) else { return (None, None) };
    let Some(known) = &context.known else { return (Some(name), None) };
    if let Some(kind) = known.connections.get(name.as_str()) {
        return (Some(name), *kind);
    }
    let names: Vec<_> = known.connections.keys().map(String::as_str).collect();
    faults.push(
        Fault::new(placed.span, format!("the configuration has no connection `{name}`")).help(suggestion(
            name.as_str(),
            &names,
            "connections",
        )),
    );
    (None, None)
}

#[expect(clippy::option_option, reason = "left out and wrong are different things")]
fn store(raw: &raw::Pipeline, context: &Context, faults: &Faults<'_>) -> Option<Option<StoreName>> {
    let names: Vec<_> = context.known.iter().flat_map(|known| &known.stores).map(String::as_str).collect();
    let Some(placed) = &raw.store else {
        if let [_, _, ..] = names.as_slice() {
            faults.push(
                Fault::new(
                    raw.name.key,
                    "the key `store` is missing, and the configuration has several stores",
                )
                .help(format!("add `store:` with one of {}", names.join(", "))),
            );
            return None;
        }
        return Some(None);
    };
    let name = faults.parse(placed, StoreName::parse)?;
    if context.known.is_some() && !names.contains(&name.as_str()) {
        faults.push(
            Fault::new(placed.span, format!("the configuration has no store `{name}`")).help(suggestion(
                name.as_str(),
                &names,
                "stores",
            )),
        );
        return None;
    }
    Some(Some(name))
}

/// A dataset template: two parts joined by a dot, of slug characters and placeholders.
pub(crate) fn template(text: &str) -> Result<DatasetTemplate> {
    const PLACEHOLDERS: [&str; 3] = ["schema", "table", "stream"];
    let refused = |message: String, help: String| Err(Error::invalid(message).help(help));
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, braced)) = rest.find(['{', '}']).and_then(|at| rest.split_at_checked(at)) {
        plain.push_str(before);
        let Some((inside, after)) = braced.strip_prefix('{').and_then(|r| r.split_once('}')) else {
            return refused(
                "the braces of this template do not match".to_owned(),
                "write `{table}`".to_owned(),
            );
        };
        if !PLACEHOLDERS.contains(&inside) {
            let near = nearest(inside, &PLACEHOLDERS);
            return refused(
                format!("there is no placeholder {}", quoted(&format!("{{{inside}}}"))),
                near.map_or("the placeholders are {schema}, {table} and {stream}".to_owned(), |near| {
                    format!("did you mean `{{{near}}}`?")
                }),
            );
        }
        plain.push('x');
        rest = after;
    }
    plain.push_str(rest);
    match crate::spec::DatasetName::parse(&plain) {
        Ok(name) if name.is_quarantine() => refused(
            format!("{} makes names that are kept for rejected rows", quoted(text)),
            "let the name end in something else than __quarantine".to_owned(),
        ),
        Ok(_) => Ok(DatasetTemplate(text.to_owned())),
        Err(_) => refused(
            format!("{} does not make a dataset name", quoted(text)),
            "write namespace.name, each of a-z, 0-9, _, - and placeholders, such as \"crm.{table}\""
                .to_owned(),
        ),
    }
}

fn streams(raw: &raw::Pipeline, shared: &Shared<'_>, faults: &Faults<'_>) -> Option<Vec<Stream>> {
    let entries = &raw.streams.get()?.0;
    if entries.is_empty() {
        faults.push(
            Fault::new(raw.streams.key, "no stream is named, so nothing would be read")
                .help("name a table, such as `public.customers: {}`"),
        );
        return None;
    }
    let read: Vec<Option<Stream>> =
        entries.iter().map(|(key, raw)| stream(key, raw, shared, faults)).collect();
    read.into_iter().collect()
}

/// Whether a stream stands for exactly one table, query or file set.
pub(crate) fn is_single(selector: &Selector) -> bool {
    match selector {
        Selector::Table(pattern) => {
            !pattern.schema.contains(['*', '?']) && !pattern.table.contains(['*', '?'])
        }
        Selector::Query { .. } | Selector::Files(_) => true,
    }
}
