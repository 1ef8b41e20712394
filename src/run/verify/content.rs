//! The published rows, digested again and compared with what the receipts say of their values.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::TryStreamExt as _;

use super::chain::Chain;
use super::{Compared, Fault, Question, Trust, What};
use crate::error::{Kind, Result};
use crate::keys::{DatasetKey, Keyring};
use crate::protect::Digests;
use crate::publish::path::file_name;
use crate::publish::receipt::{Digested, Receipt};
use crate::publish::table::LiveFile;
use crate::publish::{Reading, Table};

/// Compares the rows of every version of which all files are still live. The others are compared by their
/// files' bytes alone.
///
/// # Errors
/// As store and keyring answer; a file that cannot be read is a fault, unless its bytes are one already.
pub(super) async fn compare(
    question: &Question<'_>,
    table: &Table,
    chain: &Chain,
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Compared>> {
    let Trust::Keys(keyring) = question.trust else {
        return Ok(untold(chain));
    };
    let broken: BTreeSet<String> = faults.iter().filter_map(|fault| fault.path.clone()).collect();
    let live: HashMap<&str, &LiveFile> =
        table.files.iter().map(|file| (file_name(&file.path), file)).collect();
    let mut columns = BTreeMap::new();
    for receipt in chain.receipts.values().rev() {
        let added = receipt.files.added.iter();
        let files: Vec<LiveFile> =
            added.filter_map(|file| live.get(file.name.as_str())).map(|file| (*file).clone()).collect();
        if files.is_empty() || files.iter().any(|file| broken.contains(&file.path)) {
            continue;
        }
        if files.len() < receipt.files.added.len() {
            notes.push(format!(
                "the values of version {} are not compared: later versions replaced some of its files",
                receipt.version
            ));
            continue;
        }
        version(question, keyring, table, receipt, &files, faults, &mut columns).await?;
    }
    Ok(columns)
}

/// Every column, where nobody has the keys that digests are made with.
fn untold(chain: &Chain) -> BTreeMap<String, Compared> {
    let why = Compared::Not("its digests can be made again with the keys folder only".to_owned());
    let digested = chain.receipts.values().flat_map(|receipt| &receipt.values.columns);
    digested.map(|digested| (digested.column.clone(), why.clone())).collect()
}

/// The rows that one version added.
async fn version(
    question: &Question<'_>,
    keyring: &Keyring,
    table: &Table,
    receipt: &Receipt,
    files: &[LiveFile],
    faults: &mut Vec<Fault>,
    columns: &mut BTreeMap<String, Compared>,
) -> Result<()> {
    let Question { dataset, store, .. } = *question;
    let key = match keyring.by_id(&receipt.values.key).await {
        Ok(key) => key,
        Err(error) if error.kind() == Kind::Denied => {
            tell(columns, receipt, |_| Compared::Not(format!("there is no key {}", receipt.values.key)));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut comparable = Vec::new();
    for digested in &receipt.values.columns {
        match obstacle(receipt, digested, table, &key)? {
            None => comparable.push(digested.column.clone()),
            Some(why) => {
                columns.entry(digested.column.clone()).or_insert(Compared::Not(why));
            }
        }
    }
    let reading = Reading::prepare(store, keyring, dataset, table, &comparable, files).await?;
    let fields = reading.schema().fields().iter().map(|field| (field.name().as_str(), field.data_type()));
    let mut digests = Digests::with(&key, fields)?;
    let mut rows = 0;
    for file in files {
        match read(&reading, file, &mut digests).await {
            Ok(read) => rows += read,
            Err(error) if error.kind() == Kind::Denied => {
                tell(columns, receipt, |_| Compared::Not(error.message().to_owned()));
                return Ok(());
            }
            Err(error) if error.kind() == Kind::Failed => {
                let message = format!(
                    "the file {} of version {} cannot be read: {}",
                    file.path,
                    receipt.version,
                    error.message()
                );
                faults.push(Fault::at(What::OtherRows, Some(receipt.version), &file.path, message));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    let expected: u64 = receipt.files.added.iter().map(|file| file.rows).sum();
    if rows != expected {
        let message =
            format!("version {} added {rows} rows, and its receipt says {expected}", receipt.version);
        faults.push(Fault::of(What::OtherRows, receipt.version, message));
    }
    for column in differing(receipt, &digests) {
        let message = format!(
            "version {}: the values of column `{column}` are not those of its receipt",
            receipt.version
        );
        faults.push(Fault::of(What::OtherRows, receipt.version, message));
    }
    // The newest version comes first, and its word stands.
    for column in comparable {
        columns.entry(column).or_insert(Compared::Rows);
    }
    Ok(())
}

async fn read(reading: &Reading, file: &LiveFile, digests: &mut Digests) -> Result<u64> {
    let mut batches = reading.rows(file).await?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
        digests.add(batch.columns())?;
    }
    Ok(rows)
}

/// Notes how columns were compared, where nothing is known of them yet.
fn tell(columns: &mut BTreeMap<String, Compared>, receipt: &Receipt, how: impl Fn(&Digested) -> Compared) {
    for digested in &receipt.values.columns {
        columns.entry(digested.column.clone()).or_insert_with(|| how(digested));
    }
}

/// Why the published rows cannot give a column's digest again.
fn obstacle(
    receipt: &Receipt,
    digested: &Digested,
    table: &Table,
    key: &DatasetKey,
) -> Result<Option<String>> {
    let name = &digested.column;
    let is_part =
        |path: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let leaves = receipt.columns.iter().filter(|leaf| is_part(&leaf.column));
    let acted =
        leaves.map(|leaf| leaf.action.as_str()).find(|action| !matches!(*action, "allow" | "encrypt"));
    if let Some(action) = acted {
        return Ok(Some(format!("`{action}` replaced its values: only the source can tell")));
    }
    let Ok(field) = table.schema.field_with_name(name) else {
        return Ok(Some("the table has it no longer".to_owned()));
    };
    let digests = Digests::with(key, [(name.as_str(), field.data_type())])?;
    let same_kind = digests.columns().iter().all(|digest| digest.kind() == digested.kind);
    Ok((!same_kind).then(|| "its type is another since".to_owned()))
}

/// The columns whose digests are not those of the receipt.
pub(super) fn differing<'a>(receipt: &'a Receipt, digests: &'a Digests) -> impl Iterator<Item = &'a str> {
    digests.columns().iter().filter_map(|actual| {
        let expected = receipt.values.columns.iter().find(|digested| digested.column == actual.column())?;
        let is_same =
            expected.nulls == actual.nulls() && expected.digest == actual.masked(&receipt.commit_id);
        (!is_same).then(|| actual.column())
    })
}
