//! A DataFusion session that can reach one table and nothing else.

use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::StreamExt;

use super::fault;
use crate::Batches;
use crate::error::{Error, Result};

/// The name the SQL reads from.
const SOURCE: &str = "source";
/// Rows in a batch that an operator makes.
const BATCH_ROWS: usize = 16_384;

/// A query that passed every check.
pub(super) struct Planned {
    /// The plan as written, before optimisation moves expressions about.
    pub(super) logical: LogicalPlan,
    /// Indices of the source columns it looks at, ascending.
    pub(super) reads: Vec<usize>,
}

/// Plans `sql` over an empty `source`; of its columns those that are `kept`, where that is said.
pub(super) async fn plan(
    sql: &str,
    kept: Option<&[String]>,
    source: &SchemaRef,
    memory_limit_bytes: usize,
) -> Result<Planned> {
    let context = context(source, None, memory_limit_bytes)?;
    let plan = context.state().create_logical_plan(sql).await.map_err(|e| fault::planning(&e))?;
    let plan = only(plan, kept)?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|_| {
            Error::invalid("the transform is not a query")
                .help("write one SELECT over `source`; nothing else is allowed")
        })?;
    refuse_explain(&plan)?;
    if scans(&plan) > 1 {
        return Err(Error::invalid("the transform reads `source` more than once")
            .help("rows are streamed and pass once: use window functions, or join in a query stream"));
    }
    let optimized = context.state().optimize(&plan).map_err(|e| fault::planning(&e))?;
    let physical = context.state().create_physical_plan(&plan).await.map_err(|e| fault::planning(&e))?;
    refuse_unbounded(&physical)?;
    Ok(Planned { logical: plan, reads: reads(&optimized, source) })
}

/// A plan's rows with no other columns than those that are kept.
fn only(plan: LogicalPlan, kept: Option<&[String]>) -> Result<LogicalPlan> {
    let Some(kept) = kept else { return Ok(plan) };
    let columns: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .filter(|column| kept.contains(&column.name))
        .map(Expr::Column)
        .collect();
    let narrow = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
    narrow.map_err(|e| fault::planning(&e))
}

/// A window over its whole partition holds every row of it, outside the memory limit.
fn refuse_unbounded(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    if plan.name() == "WindowAggExec" {
        return Err(Error::invalid("the transform has a window that holds all its rows in memory")
            .help("give the window an ORDER BY and a frame that ends at the current row, or compute it in a query stream at the source"));
    }
    plan.children().into_iter().try_for_each(refuse_unbounded)
}

/// What the one scan of an optimized plan projects; all of it where the scan does not say. Rows are
/// counted by a column, so there is always one.
fn reads(optimized: &LogicalPlan, source: &SchemaRef) -> Vec<usize> {
    let width = source.fields().len();
    let mut reads: Vec<usize> = Vec::new();
    let mut narrow = true;
    let walked = optimized.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match &scan.projection {
                Some(projection) => reads.extend(projection),
                None => narrow = false,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_err() || !narrow {
        return (0..width).collect();
    }
    if reads.is_empty() && width > 0 {
        reads.push(0);
    }
    reads.sort_unstable();
    reads.dedup();
    reads
}

/// Runs `sql` with `batches` as the rows of `source`, whose schema they have.
pub(super) async fn run(
    sql: &str,
    kept: Option<&[String]>,
    source: &SchemaRef,
    batches: Batches,
    memory_limit_bytes: usize,
) -> Result<Batches> {
    let context = context(source, Some(batches), memory_limit_bytes)?;
    let plan = context.state().create_logical_plan(sql).await.map_err(|e| fault::planning(&e))?;
    let frame = context.execute_logical_plan(only(plan, kept)?).await.map_err(|e| fault::planning(&e))?;
    let rows = frame.execute_stream().await.map_err(|e| fault::planning(&e))?;
    Ok(rows.map(|batch| batch.map_err(|e| fault::execution(&e))).boxed())
}

fn context(source: &SchemaRef, rows: Option<Batches>, memory_limit_bytes: usize) -> Result<SessionContext> {
    let internal = |_| Error::failed("the SQL engine could not be started");
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_limit_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(internal)?;
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    let context = SessionContext::new_with_config_rt(config, runtime);
    let rows = Arc::new(Once { schema: source.clone(), rows: Mutex::new(rows) });
    let table: Arc<dyn TableProvider> =
        Arc::new(StreamingTable::try_new(source.clone(), vec![rows]).map_err(internal)?);
    context.register_table(SOURCE, table).map_err(internal)?;
    Ok(context)
}

fn scans(plan: &LogicalPlan) -> usize {
    let mut scans = 0;
    let counted = plan.apply_with_subqueries(|node| {
        scans += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        Ok(TreeNodeRecursion::Continue)
    });
    // A plan that cannot be walked is treated as one that reads too often.
    if counted.is_ok() { scans } else { usize::MAX }
}

/// EXPLAIN passes as a query, but its rows are text about the plan.
fn refuse_explain(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => {
            Err(Error::invalid("the transform is not a query").help("write one SELECT over `source`"))
        }
        _ => Ok(()),
    }
}

/// Rows that can be read one time.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<Batches>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("source")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().ok().and_then(|mut rows| rows.take());
        let rows = rows.unwrap_or_else(|| {
            futures::stream::iter([Err(Error::failed("`source` was read a second time"))]).boxed()
        });
        let rows = rows.map(|batch| batch.map_err(fault::carry));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}
