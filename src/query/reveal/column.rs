//! What is known of a published column: its action, tag and key, as the signed receipts tell. The table's log tells
//! it too, and whoever can write to the store can write there.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::Origin;
use crate::error::{At as _, Error, Kind, Result};
use crate::keys::{DomainKey, Keyring};
use crate::publish::receipt::{self, Named, Place, Receipt};
use crate::publish::{Decided, Store, table};
use crate::spec::DatasetName;

/// What happened to a column, by its newest receipts up to the version that is read.
///
/// # Errors
/// `Denied` where nothing is recorded of it; `Failed` where a receipt is missing, altered or signed by nobody who
/// counts, or where rows have tokens of several keys that cannot be told apart; else as the store and the keyring answer.
pub(super) async fn recorded(store: &Store, origin: &Origin, keyring: &Keyring) -> Result<Decided> {
    let Origin { dataset, column, version } = origin;
    let mut newest: Option<Decided> = None;
    let mut keys = BTreeSet::new();
    let mut commits = table::commits(store, dataset, 0..=*version);
    while let Some((version, commit)) = commits.try_next().await? {
        // Another writer's commit tells nothing of how values were made.
        let Some(named) = receipt::named(&commit) else { continue };
        let receipt = signed(store, dataset, version, &named, &commit, keyring)
            .await
            .at(|| format!("version {version} of {dataset}"))?;
        let entry = receipt.columns.into_iter().find(|decided| decided.column == *column);
        let replaced_all = receipt.operation == "overwrite";
        if let Some(entry) = entry {
            let known = newest.get_or_insert_with(|| entry.clone());
            if known.action != entry.action {
                break;
            }
            // A commit that keeps the rows does not say again how they were made.
            keys.extend(entry.key.clone());
            known.key = known.key.take().or(entry.key);
            if known.options.is_empty() {
                known.options = entry.options;
            }
            if replaced_all || is_told(known) {
                break;
            }
        }
        if replaced_all {
            break;
        }
    }
    let known = newest.ok_or_else(|| {
        Error::denied(format!("nothing is recorded of column `{column}` of {dataset}"))
            .help("publish the dataset again, so that tag and key of the column are recorded")
    })?;
    if known.action == "tokenize_fpe" && keys.len() > 1 {
        return Err(Error::failed(format!(
            "column `{column}` of {dataset} has tokens of {} versions of its key, which do not show in a token",
            keys.len()
        ))
        .help("publish once with write_mode: overwrite"));
    }
    Ok(known)
}

/// Whether nothing older has to be looked at. A first version is the only one that can be; of a later one, tokens that
/// keep a format could have been made by those before.
fn is_told(known: &Decided) -> bool {
    let Some(key) = &known.key else { return false };
    known.action != "tokenize_fpe"
        || (!known.options.is_empty() && DomainKey::of(key).is_some_and(|key| key.version == 1))
}

/// The receipt of a commit, checked.
async fn signed(
    store: &Store,
    dataset: &DatasetName,
    version: u64,
    named: &Named,
    commit: &[u8],
    keyring: &Keyring,
) -> Result<Receipt> {
    let unproven = |what: &str| {
        Error::failed(format!("what is recorded of the columns is not proven: {what}"))
            .help(format!("`sealift verify {dataset}` tells what does not hold"))
    };
    let sha256 = named.sha256.as_deref().ok_or_else(|| unproven("the version names no receipt"))?;
    let place = Place { version, commit_id: named.commit_id.clone() };
    let bytes = receipt::read(store, dataset, &place).await?;
    let bytes = bytes.ok_or_else(|| unproven("the version's receipt is gone"))?;
    if hex::encode(Sha256::digest(&bytes)) != sha256 {
        return Err(unproven("the version names another receipt"));
    }
    let signed = Receipt::parse(&bytes).map_err(|error| unproven(error.message()))?;
    let key = match keyring.public_key(&signed.receipt.signer).await {
        Err(error) if error.kind() == Kind::Denied => return Err(unproven("a stranger signed the receipt")),
        key => key?,
    };
    if !signed.is_by(&key) {
        return Err(unproven("the receipt's signature does not hold"));
    }
    let receipt = signed.receipt;
    let is_its = receipt.dataset == dataset.to_string() && receipt.version == version;
    if !is_its || receipt::commit_sha256(commit, sha256).as_ref() != Some(&receipt.commit_sha256) {
        return Err(unproven("the receipt is that of another commit"));
    }
    Ok(receipt)
}
