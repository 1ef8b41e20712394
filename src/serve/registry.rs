//! The pipelines in force: read by everybody, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::spec::{Pipeline, PipelineName};

/// Pipelines by name, as they stood at one moment.
pub type Pipelines = BTreeMap<PipelineName, Arc<Pipeline>>;

/// The pipelines that the daemon knows. Clones share everything.
#[derive(Clone, Debug)]
pub struct Registry(Arc<watch::Sender<Arc<Pipelines>>>);

impl Registry {
    /// Of these, each name once; of two with one name the later stands.
    #[must_use]
    pub fn of(pipelines: Vec<Pipeline>) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(by_name(pipelines)))))
    }

    /// The pipeline of this name.
    #[must_use]
    pub fn get(&self, name: &PipelineName) -> Option<Arc<Pipeline>> {
        self.0.borrow().get(name).cloned()
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn all(&self) -> Arc<Pipelines> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts others in force. Runs that are under way keep what they began with.
    pub fn replace(&self, pipelines: Pipelines) {
        self.0.send_replace(Arc::new(pipelines));
    }

    /// Tells when others are put in force.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Pipelines>> {
        self.0.subscribe()
    }
}

fn by_name(pipelines: Vec<Pipeline>) -> Pipelines {
    pipelines.into_iter().map(|pipeline| (pipeline.name.clone(), Arc::new(pipeline))).collect()
}
