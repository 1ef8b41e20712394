//! What only one pipeline may have.

use std::collections::HashMap;

use super::pipeline::{DatasetTemplate, Selector};
use super::resolve::pipeline::is_single;
use super::{DatasetName, Pipeline, StoreName, StreamName};
use crate::error::Result;

/// Names of pipelines, and the datasets that they write, each with the place that has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) pipelines: HashMap<String, String>,
    /// By store and dataset.
    pub(crate) datasets: HashMap<(Option<String>, String), String>,
}

impl Claims {
    /// What a valid pipeline has; `only_store` is the one that it means where it names none.
    pub(crate) fn of(pipeline: &Pipeline, only_store: Option<&str>) -> Self {
        let mut claims = Self::default();
        let path = pipeline.path.display().to_string();
        let store = pipeline.store.as_ref().map(StoreName::as_str).or(only_store);
        for stream in &pipeline.streams {
            if let Some(Ok(dataset)) = dataset(&stream.selector, &stream.dataset) {
                let place = format!("{path}:{}", stream.position.line);
                claims.datasets.insert((store.map(str::to_owned), dataset.to_string()), place);
            }
        }
        claims.pipelines.insert(pipeline.name.as_str().to_owned(), path);
        claims
    }

    /// What of these the others have already, with the place of theirs.
    pub(crate) fn taken(&self, others: &Self) -> Self {
        fn both<K: Clone + Eq + std::hash::Hash>(
            own: &HashMap<K, String>,
            others: &HashMap<K, String>,
        ) -> HashMap<K, String> {
            own.keys().filter_map(|key| Some((key.clone(), others.get(key)?.clone()))).collect()
        }
        Self {
            pipelines: both(&self.pipelines, &others.pipelines),
            datasets: both(&self.datasets, &others.datasets),
        }
    }

    /// The same, but for what of it is in `own` too.
    pub(crate) fn without(mut self, own: &Self) -> Self {
        self.pipelines.retain(|name, _| !own.pipelines.contains_key(name));
        self.datasets.retain(|dataset, _| !own.datasets.contains_key(dataset));
        self
    }

    /// Adds those of others; who was first stays.
    pub(crate) fn add(&mut self, others: Self) {
        for (name, place) in others.pipelines {
            self.pipelines.entry(name).or_insert(place);
        }
        for (dataset, place) in others.datasets {
            self.datasets.entry(dataset).or_insert(place);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pipelines.is_empty() && self.datasets.is_empty()
    }
}

/// The dataset of a stream that stands for exactly one; `None` for patterns of tables.
pub(crate) fn dataset(selector: &Selector, template: &DatasetTemplate) -> Option<Result<DatasetName>> {
    let (schema, table, stream) = match selector {
        Selector::Table(pattern) => (
            Some(pattern.schema.as_str()),
            pattern.table.as_str(),
            format!("{}.{}", pattern.schema, pattern.table),
        ),
        Selector::Query { name, .. } => (None, name.as_str(), name.as_str().to_owned()),
        Selector::Files(files) => (None, files.name.as_str(), files.name.as_str().to_owned()),
    };
    let expand = || StreamName::parse(&stream).and_then(|stream| template.expand(schema, table, &stream));
    is_single(selector).then(expand)
}
