//! Names of datasets, as the naming specification of OpenLineage has them, so that other tools mean the same table.

use std::path::Path;

use crate::publish::Store;
use crate::source::Relation;
use crate::spec::config::{Config, Connection};
use crate::spec::pipeline::Selector;
use crate::spec::{DatasetName, Pipeline};

/// Namespace and name of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Named {
    /// What a stream reads. The result of a query is named after the stream, since it is no table.
    pub(super) fn source(config: &Config, pipeline: &Pipeline, relation: &Relation) -> Option<Self> {
        let table = match (&relation.selector, &relation.schema) {
            (Selector::Query { .. }, _) => format!("query:{}", relation.stream),
            (_, Some(schema)) => format!("{schema}.{}", relation.table),
            (_, None) => relation.table.clone(),
        };
        Some(match config.connections.get(&pipeline.connection)? {
            Connection::Postgres(to) => Self {
                namespace: format!("postgres://{}:{}", to.host, to.port),
                name: format!("{}.{table}", to.database),
            },
            Connection::Mysql(to) => Self {
                namespace: format!("mysql://{}:{}", to.host, to.port),
                // A table names its database itself.
                name: match relation.selector {
                    Selector::Query { .. } => format!("{}.{table}", to.database),
                    _ => table,
                },
            },
            Connection::Sqlite(to) => {
                Self { namespace: "file".into(), name: format!("{}#{table}", shown(&to.path)) }
            }
            // What a connection string says of the server is the driver's own business.
            Connection::Odbc(_) => Self { namespace: format!("odbc://{}", pipeline.connection), name: table },
            Connection::Files { root } => {
                let path = match &relation.selector {
                    Selector::Files(set) => root.join(&set.path),
                    _ => root.clone(),
                };
                Self { namespace: "file".into(), name: shown(&path) }
            }
        })
    }

    /// A published dataset.
    pub(super) fn published(store: &Store, dataset: &DatasetName) -> Self {
        let url = store.url();
        let within = format!("{}/{}", dataset.namespace(), dataset.name());
        let path = url.path().trim_end_matches('/');
        if let Ok(root) = url.to_file_path() {
            return Self { namespace: "file".into(), name: shown(&root.join(within)) };
        }
        Self {
            namespace: format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
            name: format!("{path}/{within}").trim_start_matches('/').to_owned(),
        }
    }
}

/// An absolute path, also of one that the configuration names relative to where it is run.
fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
