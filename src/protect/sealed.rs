//! Rows that are safe to write.

use std::collections::BTreeSet;
use std::fmt;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, filter, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt;

use super::digest::{Digests, Tally};
use super::kernel::{self, Kernel};
use super::{Plan, Resealing, carried, plan};
use crate::Batches;
use crate::error::{Error, Result};
use crate::keys::{DatasetKey, Keyring, Purpose};
use crate::spec::{Action, DatasetName};

/// Rows with every field-level action applied, and what the Parquet writer still has to encrypt.
/// Only this module can make one, and `publish` takes nothing else.
///
/// Anywhere else this does not compile:
///
/// ```compile_fail,E0451
/// fn forge(open: sealift::protect::Sealed) -> sealift::protect::Sealed {
///     sealift::protect::Sealed { open: Default::default(), ..open }
/// }
/// ```
pub struct Sealed {
    dataset: DatasetName,
    schema: SchemaRef,
    encrypted: Vec<(String, DatasetKey)>,
    footer: DatasetKey,
    open: BTreeSet<String>,
    tally: Tally,
    batches: Batches,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

impl Sealed {
    /// Applies `plan` to `batches` (of schema [`Plan::input`]), fetching or creating the keys it
    /// needs. Only the plan's own kernels run per batch; no policy is consulted there.
    ///
    /// # Errors
    /// Those of the keyring. A batch that does not have the planned schema arrives as a `Failed`
    /// item of the stream.
    pub async fn seal(plan: &Plan, batches: Batches, keyring: &Keyring) -> Result<Self> {
        Self::seal_kept(plan, batches, keyring, None).await
    }

    /// As [`Sealed::seal`], of those rows alone that `keep` says, asked of each sealed batch.
    ///
    /// # Errors
    /// As [`Sealed::seal`]; what `keep` answers arrives as an item of the stream.
    pub async fn seal_kept(
        plan: &Plan,
        batches: Batches,
        keyring: &Keyring,
        keep: Option<Keep>,
    ) -> Result<Self> {
        Self::planned(plan, batches, keyring, keep, &BTreeSet::new()).await
    }

    /// Seals rows otherwise that were published before, as [`crate::publish::Reading`] gives them. Columns that an
    /// action made before have no digests.
    ///
    /// # Errors
    /// As [`Sealed::seal`].
    pub(crate) async fn otherwise(
        resealing: &Resealing,
        published: Batches,
        keyring: &Keyring,
    ) -> Result<Self> {
        let sealed =
            Self::planned(resealing.plan_of_rows(), published, keyring, None, resealing.made()).await?;
        Ok(Self { open: resealing.open().clone(), ..sealed })
    }

    /// `made` are input columns of whose values nothing is known, so that they have no digests.
    async fn planned(
        plan: &Plan,
        batches: Batches,
        keyring: &Keyring,
        keep: Option<Keep>,
        made: &BTreeSet<usize>,
    ) -> Result<Self> {
        let dataset = plan.dataset();
        let footer = keyring.current(&Purpose::Footer(dataset.clone())).await?;
        let mut encrypted = Vec::new();
        let mut open = BTreeSet::new();
        for decision in plan.decisions() {
            match &decision.action {
                Action::Allow => {
                    open.insert(decision.path.clone());
                }
                Action::Encrypt => {
                    if let Some(purpose) = plan::purpose(dataset, &decision.path, &decision.action) {
                        encrypted.push((decision.path.clone(), keyring.current(&purpose).await?));
                    }
                }
                _ => {}
            }
        }
        let mut stage = Stage::new(plan, keyring, keep, made).await?;
        let tally = stage.tally.clone();
        let batches = batches.map(move |batch| stage.apply(&batch?)).boxed();
        let schema = plan.output().clone();
        Ok(Self { dataset: dataset.clone(), schema, encrypted, footer, open, tally, batches })
    }

    /// Seals rows again that were published before, as [`crate::publish::Reading`] gives them: what a
    /// field-level action made of them stays, the leaf paths `encrypted` are encrypted, and `open` are
    /// those published as they are. Nothing else may come here: no action is applied. Only columns that no
    /// action made have digests.
    ///
    /// # Errors
    /// Those of the keyring.
    pub(crate) async fn again(
        dataset: &DatasetName,
        schema: SchemaRef,
        encrypted: &BTreeSet<String>,
        open: BTreeSet<String>,
        published: Batches,
        keyring: &Keyring,
    ) -> Result<Self> {
        let footer = keyring.current(&Purpose::Footer(dataset.clone())).await?;
        let mut keys = Vec::with_capacity(encrypted.len());
        for path in encrypted {
            let purpose = Purpose::Column { dataset: dataset.clone(), column: path.clone() };
            keys.push((path.clone(), keyring.current(&purpose).await?));
        }
        let open: BTreeSet<String> = open.difference(encrypted).cloned().collect();
        let plain = plain(&schema, |path| encrypted.contains(path) || open.contains(path))?;
        let columns =
            plain.iter().map(|&index| schema.field(index)).map(|f| (f.name().as_str(), f.data_type()));
        let tally = Tally::new(Digests::prepare(keyring, dataset, columns).await?);
        let filled = tally.clone();
        let batches = published.map(move |batch| {
            let batch = batch?;
            filled.add(plain.iter().map(|&index| batch.column(index)))?;
            Ok(batch)
        });
        let (dataset, batches) = (dataset.clone(), batches.boxed());
        Ok(Self { dataset, schema, encrypted: keys, footer, open, tally, batches })
    }

    /// The dataset the rows are for.
    #[must_use]
    pub fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// Schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Parquet leaf paths to encrypt, each with its dataset key.
    #[must_use]
    pub fn encrypted(&self) -> &[(String, DatasetKey)] {
        &self.encrypted
    }

    /// The dataset's footer key.
    #[must_use]
    pub fn footer(&self) -> &DatasetKey {
        &self.footer
    }

    /// Parquet leaf paths published as they are: the only ones that may have statistics, bloom
    /// filters or partitions.
    #[must_use]
    pub fn open(&self) -> &BTreeSet<String> {
        &self.open
    }

    /// The digests of the values before any action, complete once the rows are read to their end.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The rows, to be read once.
    #[must_use]
    pub fn into_batches(self) -> Batches {
        self.batches
    }
}

/// Indices of the columns of which every leaf has a path that `is_plain`.
fn plain(schema: &SchemaRef, is_plain: impl Fn(&String) -> bool) -> Result<Vec<usize>> {
    let leaves = carried::leaves(schema)?;
    let acted: BTreeSet<usize> =
        leaves.iter().filter(|leaf| !is_plain(&leaf.path)).map(|leaf| leaf.column).collect();
    Ok((0..schema.fields().len()).filter(|index| !acted.contains(index)).collect())
}

/// Says of a sealed batch which rows are kept.
pub type Keep = Box<dyn FnMut(&RecordBatch) -> Result<BooleanArray> + Send>;

/// The kernels of a plan, ready for its batches.
struct Stage {
    input: SchemaRef,
    output: SchemaRef,
    columns: Vec<Column>,
    keep: Option<Keep>,
    tally: Tally,
}

struct Column {
    index: usize,
    /// The type to cast to first, where the input is not as it is published.
    cast: Option<DataType>,
    /// The input column that says who each row is about, and the type to cast it to.
    by: Option<(usize, DataType)>,
    kernel: Box<dyn Kernel>,
    /// Whether its values are digested.
    is_told: bool,
}

impl Column {
    fn apply(&mut self, array: &ArrayRef, batch: &RecordBatch) -> Result<ArrayRef> {
        let Some((index, carried)) = &self.by else { return self.kernel.apply(array) };
        let subjects = batch
            .columns()
            .get(*index)
            .ok_or_else(|| Error::failed("rows arrived without the column that says who they are about"))?;
        if subjects.data_type() == carried {
            return self.kernel.apply_by(array, subjects);
        }
        let name = batch.schema_ref().fields().get(*index).map_or("", |field| field.name().as_str());
        self.kernel.apply_by(array, &cast(subjects, carried, name)?)
    }
}

impl Stage {
    async fn new(plan: &Plan, keyring: &Keyring, keep: Option<Keep>, made: &BTreeSet<usize>) -> Result<Self> {
        let mut columns = Vec::with_capacity(plan.columns().len());
        for (column, published) in plan.columns().iter().zip(plan.output().fields()) {
            let field = plan.input().field(column.index);
            let (name, carried) = (published.name(), &column.carried);
            let kernel = kernel::of(&column.action, plan.dataset(), name, carried, keyring).await?;
            let cast = (*field.data_type() != column.carried).then(|| column.carried.clone());
            let is_told = !made.contains(&column.index);
            columns.push(Column { index: column.index, cast, by: column.by.clone(), kernel, is_told });
        }
        let told = plan.output().fields().iter().zip(plan.columns());
        let told = told.filter(|(_, column)| !made.contains(&column.index));
        let told = told.map(|(field, column)| (field.name().as_str(), &column.carried));
        let tally = Tally::new(Digests::prepare(keyring, plan.dataset(), told).await?);
        Ok(Self { input: plan.input().clone(), output: plan.output().clone(), columns, keep, tally })
    }

    fn apply(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        self.check(batch)?;
        let carried = self.columns.iter().map(|column| {
            let input = batch.column(column.index);
            let name = self.input.field(column.index).name();
            column.cast.as_ref().map_or_else(|| Ok(input.clone()), |carried| cast(input, carried, name))
        });
        let carried: Vec<ArrayRef> = carried.collect::<Result<_>>()?;
        let columns = self.columns.iter_mut().zip(&carried);
        let arrays = columns.map(|(column, array)| column.apply(array, batch)).collect::<Result<Vec<_>>>()?;
        let sealed = RecordBatch::try_new(self.output.clone(), arrays)
            .map_err(|_| Error::failed("sealed rows do not have the planned schema"))?;
        let Some(keep) = &mut self.keep else {
            self.tally.add(self.told(&carried))?;
            return Ok(sealed);
        };
        // What is left out is no value of the dataset, so it is not in its digests either.
        let kept = keep(&sealed)?;
        let unfit = |_| Error::failed("rows cannot be left out");
        let carried: Vec<ArrayRef> = carried
            .iter()
            .map(|array| filter(array, &kept))
            .collect::<std::result::Result<_, _>>()
            .map_err(unfit)?;
        self.tally.add(self.told(&carried))?;
        filter_record_batch(&sealed, &kept).map_err(unfit)
    }

    /// The columns that are digested.
    fn told<'a>(&'a self, carried: &'a [ArrayRef]) -> impl Iterator<Item = &'a ArrayRef> {
        self.columns.iter().zip(carried).filter(|(column, _)| column.is_told).map(|(_, array)| array)
    }

    fn check(&self, batch: &RecordBatch) -> Result<()> {
        let (planned, actual) = (&self.input, batch.schema_ref());
        if std::sync::Arc::ptr_eq(planned, actual) {
            return Ok(());
        }
        let is_same = planned.fields().len() == actual.fields().len()
            && planned
                .fields()
                .iter()
                .zip(actual.fields())
                .all(|(p, a)| p.name() == a.name() && p.data_type() == a.data_type());
        if is_same {
            Ok(())
        } else {
            Err(Error::failed("rows arrived with another schema than the one that was planned")
                .help("run it again: the source may have changed since the plan was made"))
        }
    }
}

/// A cast that keeps every value or fails. Arrow's own message would quote the value.
fn cast(array: &ArrayRef, to: &DataType, column: &str) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options)
        .map_err(|_| Error::data(format!("column `{column}` holds a value that does not fit {to}")))
}

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
