//! What is in force, as the trail is told of it.

use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::govern::audit::{self, Action};
use crate::run::{Engine, Ledger};
use crate::spec::{Config, Policy};

/// What a daemon that begins serves, as its entry tells it.
#[must_use]
pub fn served(engine: &Engine) -> String {
    let mut pipelines: Vec<String> =
        engine.pipelines.iter().map(|pipeline| format!("{} {}\n", pipeline.name, pipeline.digest)).collect();
    pipelines.sort_unstable();
    let digest = hex::encode(Sha256::digest(pipelines.concat()));
    let Policy { name, digest: policy, .. } = &engine.policy;
    let (version, config, count) = (env!("CARGO_PKG_VERSION"), &engine.config.digest, pipelines.len());
    format!("sealift {version}, configuration {config}, policy {name} {policy}, {count} pipelines {digest}")
}

/// Records that another policy is in force than the one that was recorded last, on behalf of whoever is first to use
/// it.
///
/// # Errors
/// Those of [`audit::record`].
pub async fn policy_in_force(ledger: &Ledger, policy: &Policy) -> Result<()> {
    in_force(ledger, Action::PolicyChange, &format!("{} ", policy.name), &policy.digest).await
}

/// Likewise of the configuration.
///
/// # Errors
/// Those of [`audit::record`].
pub async fn config_in_force(ledger: &Ledger, config: &Config) -> Result<()> {
    in_force(ledger, Action::ConfigChange, "", &config.digest).await
}

/// Records a digest, unless the newest entry of this action ends with it.
async fn in_force(ledger: &Ledger, action: Action, what: &str, digest: &str) -> Result<()> {
    let recorded = audit::newest_of(ledger, action).await?;
    let before = recorded.as_ref().and_then(|entry| entry.subject.rsplit(' ').next()).unwrap_or("none");
    if before == digest {
        return Ok(());
    }
    let subject = format!("{what}from {before} to {digest}");
    audit::record(ledger, &audit::operator(), action, &subject).await
}
