//! The keys that the source has, where rows that are missing are looked for and not all rows are read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::future::join;

use super::contract::Fit;
use super::draft::Draft;
use super::fidelity::SourceColumn;
use super::plan::{reading, schema};
use super::{Engine, Memory, StreamPlan, quarantine};
use crate::error::Result;
use crate::publish::Store;
use crate::publish::merge::Rules;
use crate::source::convert::{self, Decision};
use crate::source::{Column, Relation, Snapshot};
use crate::spec::sync::SyncMode;
use crate::spec::{DatasetName, Stream};
use crate::transform::Transform;
use crate::{classify, protect};

/// How the columns of the key are read, of all rows: through the same transform, and sealed alike.
#[derive(Debug)]
pub struct Keys {
    reads: Vec<Column>,
    decisions: Vec<Decision>,
    converted: SchemaRef,
    transform: Transform,
    fit: Option<Fit>,
    protection: protect::Plan,
}

impl Keys {
    /// Decides; `None` where the rows tell, or nobody asks. Rows that are to `fit` the published types may be
    /// left out of a full refresh, so that they do not tell which keys there are.
    ///
    /// # Errors
    /// As for the stream itself.
    pub(super) async fn plan(
        engine: &Engine,
        stream: &Stream,
        rules: Option<&Rules>,
        dataset: &DatasetName,
        described: &[SourceColumn],
        fit: Option<&Fit>,
    ) -> Result<Option<Self>> {
        let Some(rules) = rules.filter(|rules| rules.missing.is_some()) else { return Ok(None) };
        if stream.sync_mode == SyncMode::FullRefresh && fit.is_none() {
            return Ok(None);
        }
        let sql = Some(sql(stream.transform.as_deref(), rules));
        let keyed = Stream { transform: sql, sync_mode: SyncMode::FullRefresh, ..stream.clone() };
        let memory = Memory::of(engine.config.memory_limit_bytes);
        let reading = reading(&keyed, described, None, memory.transform_bytes).await?;
        let (transform, source) = (reading.transform, schema(described));
        let output = transform.output().clone();
        let verdicts =
            classify::declared(&stream.columns, &source, &output, transform.origins(), transform.copies());
        // A key that does not fit is none of those that are published.
        let fit = fit.and_then(|fit| fit.of(&output));
        let output = fit.as_ref().map_or(output, |fit| fit.output().clone());
        let protection = protect::Plan::decide(dataset, &engine.policy, output, &verdicts, &[])?;
        Ok(Some(Self {
            reads: reading.asked,
            decisions: reading.decisions,
            converted: reading.converted,
            transform,
            fit,
            protection,
        }))
    }

    /// Reads the keys at the snapshot's instant and writes them, sealed, to files that are never published.
    ///
    /// # Errors
    /// As for the stream itself; then nothing is left behind.
    pub(super) async fn read(
        &self,
        engine: &Engine,
        snapshot: &mut dyn Snapshot,
        store: &Store,
        plan: &StreamPlan,
    ) -> Result<Draft> {
        let relation = Relation { bound: None, ..plan.relation.clone() };
        let rows = snapshot.read(&relation, &self.reads).await?;
        // A row that is rejected has its place in the quarantine already, or had it in an earlier run.
        let (rejects, forget) = quarantine::forgotten();
        let rows = convert::convert(rows, &self.decisions, &self.converted, Some(rejects));
        let rows = self.transform.apply(rows).await?;
        let rows = match &self.fit {
            Some(fit) => fit.apply(rows, Arc::default()),
            None => rows,
        };
        let memory_bytes = Memory::of(engine.config.memory_limit_bytes).encode_bytes;
        let keys = Draft::write(engine, store, plan, &self.protection, &[], rows, None, memory_bytes);
        join(keys, forget).await.0
    }
}

/// The columns of the key over what the stream publishes.
fn sql(transform: Option<&str>, rules: &Rules) -> String {
    let name = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let mut columns: Vec<String> = rules.key.iter().map(name).collect();
    columns.extend(rules.soft_delete.iter().filter(|flag| !rules.key.contains(flag)).map(name));
    let columns = columns.join(", ");
    match transform {
        // A comment may end the last line.
        Some(sql) => format!("SELECT {columns} FROM (\n{}\n) AS keyed", sql.trim_end().trim_end_matches(';')),
        None => format!("SELECT {columns} FROM source"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_flag_are_selected() {
        let rules = |soft_delete: Option<&str>| Rules {
            key: vec!["id".into(), "a \"b\"".into()],
            soft_delete: soft_delete.map(str::to_owned),
            missing: None,
            keeps_history: false,
        };
        assert_eq!(sql(None, &rules(None)), "SELECT \"id\", \"a \"\"b\"\"\" FROM source");
        let nested =
            "SELECT \"id\", \"a \"\"b\"\"\", \"gone\" FROM (\nSELECT * FROM source -- all\n) AS keyed";
        assert_eq!(sql(Some("SELECT * FROM source -- all\n"), &rules(Some("gone"))), nested);
    }
}
