//! What every run works with, opened once per process.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::trail::{self, Trail};
use super::{Ledger, destroy_due};
use crate::classify::Classifier;
use crate::error::{Error, Kind, Result};
use crate::keys::Keyring;
use crate::publish::Store;
use crate::source::{Gate, Gates};
use crate::spec::config::{self, Connection};
use crate::spec::{Config, Pipeline, PipelineName, Policy, StoreName};

/// The valid documents and the opened services behind them. It never changes: where documents do, there is another
/// engine ([`Engine::with`]) on the same services, and a run keeps the one that it began with.
pub struct Engine {
    /// The configuration.
    pub config: Config,
    /// The policy in force.
    pub policy: Policy,
    /// What finds out what columns hold, as the policy has it.
    pub classifier: Arc<Classifier>,
    /// Every pipeline.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// The ledger of runs.
    pub ledger: Ledger,
    /// The dataset keys.
    pub keyring: Arc<Keyring>,
    /// What runs may take of each connection.
    gates: Gates,
    /// Places whose conditional writes were tested by this process.
    checked: Arc<Mutex<HashSet<String>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config.path).finish_non_exhaustive()
    }
}

impl Engine {
    /// Loads the documents below `config` and opens ledger and keys, as [`Engine::of`]. The audit trail is signed where
    /// much of it is not.
    ///
    /// # Errors
    /// `Invalid` with every problem of the documents; those of the ledger and the key provider.
    pub async fn open(config: &Path, notice: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let (config, policy, pipelines) = crate::spec::load_all(config)?;
        let pipelines = pipelines.into_iter().map(Arc::new).collect();
        let engine = Self::of(config, policy, pipelines, notice).await?;
        let Self { config, ledger, keyring, .. } = &engine;
        trail::told(Trail::new(config, ledger, keyring)?.checkpoint_if_many().await);
        Ok(engine)
    }

    /// Opens ledger and keys. `notice` is told what was created on first use. The audit trail is told of another
    /// configuration and policy than those of the last time, and of keys whose destruction is due, which are destroyed.
    ///
    /// # Errors
    /// Those of the ledger and the key provider.
    pub async fn of(
        config: Config,
        policy: Policy,
        pipelines: Vec<Arc<Pipeline>>,
        notice: &(dyn Fn(&str) + Sync),
    ) -> Result<Self> {
        let classifier = Arc::new(Classifier::new(&policy.classification)?);
        let ledger = Ledger::open(&config.metadata).await?;
        let keyring = Arc::new(Keyring::open(&config.keys, notice).await?);
        trail::config_in_force(&ledger, &config).await?;
        trail::policy_in_force(&ledger, &policy).await?;
        destroy_due(&ledger, &keyring, notice).await?;
        let gates = Gates::new(&config, queue_bytes(&config));
        Ok(Self { config, policy, classifier, pipelines, ledger, keyring, gates, checked: Arc::default() })
    }

    /// Another configuration and policy on the services of this one. What all runs may take of a connection stays shared
    /// with those that are under way, unless its limits are others. The services are those of the configuration that they
    /// were opened with: `metadata` and `keys` are to be the same here.
    ///
    /// # Errors
    /// `Invalid` when the policy names a pattern that does not compile.
    pub fn with(&self, config: Config, policy: Policy) -> Result<Self> {
        let classifier = Arc::new(Classifier::new(&policy.classification)?);
        let gates = self.gates.renewed(&config, queue_bytes(&config));
        Ok(Self { config, policy, classifier, gates, ..self.shared() })
    }

    /// Other pipelines on the services of this one.
    #[must_use]
    pub fn with_pipelines(&self, pipelines: Vec<Arc<Pipeline>>) -> Self {
        Self { pipelines, ..self.shared() }
    }

    /// The same documents and services once more.
    fn shared(&self) -> Self {
        Self {
            config: self.config.clone(),
            policy: self.policy.clone(),
            classifier: Arc::clone(&self.classifier),
            pipelines: self.pipelines.clone(),
            ledger: self.ledger.clone(),
            keyring: Arc::clone(&self.keyring),
            gates: self.gates.clone(),
            checked: Arc::clone(&self.checked),
        }
    }

    /// The pipeline of this name.
    ///
    /// # Errors
    /// `Usage` when there is none, with the nearest name.
    pub fn pipeline(&self, name: &str) -> Result<&Pipeline> {
        if let Some(pipeline) = self.pipelines.iter().find(|pipeline| pipeline.name.as_str() == name) {
            return Ok(pipeline);
        }
        let names: Vec<&str> = self.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
        let near = names.iter().map(|other| (strsim::damerau_levenshtein(name, other), other)).min();
        let error = Error::new(Kind::Usage, format!("there is no pipeline `{name}`"));
        Err(match near {
            Some((distance, other)) if distance <= 3 => error.help(format!("did you mean `{other}`?")),
            Some(_) => error.help(format!("the pipelines are: {}", names.join(", "))),
            None => error.help(format!("put a document into {}", self.config.pipelines.display())),
        })
    }

    /// The store and the connection of a pipeline.
    ///
    /// # Errors
    /// `Invalid` when the configuration does not name them, or a secret cannot be resolved.
    pub fn places(&self, pipeline: &Pipeline) -> Result<(Store, &Connection)> {
        let name = self.store_name(pipeline)?;
        let settings = self.config.stores.get(name).ok_or_else(|| unnamed("store", name.as_str()))?;
        let connection = self
            .config
            .connections
            .get(&pipeline.connection)
            .ok_or_else(|| unnamed("connection", pipeline.connection.as_str()))?;
        Ok((Store::open(settings)?, connection))
    }

    fn store_name<'a>(&'a self, pipeline: &'a Pipeline) -> Result<&'a StoreName> {
        let only = || self.config.stores.keys().next().filter(|_| self.config.stores.len() == 1);
        pipeline.store.as_ref().or_else(only).ok_or_else(|| {
            Error::invalid(format!("pipeline {} does not say which store it publishes to", pipeline.name))
                .help("add `store: NAME`")
        })
    }

    /// What runs may take of each connection.
    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// What all runs may take of a pipeline's connection.
    #[must_use]
    pub fn gate(&self, pipeline: &Pipeline) -> Arc<Gate> {
        self.gates.of(&pipeline.connection)
    }

    /// Every store of the configuration.
    ///
    /// # Errors
    /// `Invalid` when a secret cannot be resolved.
    pub fn stores(&self) -> Result<Vec<Store>> {
        self.config.stores.values().map(Store::open).collect()
    }

    /// Tests, once a day and machine, that a pipeline's store keeps what publishing relies on. `sealift doctor`
    /// tests it at any time.
    ///
    /// # Errors
    /// Those of [`Store::check`] and of the ledger.
    pub async fn check_store(&self, pipeline: &Pipeline, store: &Store) -> Result<()> {
        let name = self.store_name(pipeline)?;
        let place = self.config.stores.get(name).map(config::Store::place).unwrap_or_default();
        if self.checked.lock().is_ok_and(|checked| checked.contains(&place)) {
            return Ok(());
        }
        if !self.ledger.is_tested(&place).await? {
            store.check().await.map_err(|error| error.at(format!("store {name}")))?;
            self.ledger.tested(&place).await?;
        }
        if let Ok(mut checked) = self.checked.lock() {
            checked.insert(place);
        }
        Ok(())
    }

    /// Takes the pipeline for one run; another process that runs it holds it otherwise.
    ///
    /// # Errors
    /// `Temporary` when the pipeline is running elsewhere.
    pub async fn lease(&self, pipeline: &PipelineName) -> Result<super::ledger::Lease> {
        self.ledger.lease(pipeline).await?.ok_or_else(|| {
            Error::temporary(format!("pipeline {pipeline} is running already"))
                .help("wait for it, or see `sealift runs`")
        })
    }
}

fn unnamed(what: &str, name: &str) -> Error {
    Error::invalid(format!("the configuration names no {what} `{name}`"))
}

/// Bytes of batches that a read keeps ahead.
fn queue_bytes(config: &Config) -> u64 {
    super::Memory::of(config.memory_limit_bytes).source_bytes
}
