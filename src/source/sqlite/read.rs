//! A `SELECT` in progress.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::Mutex;

use super::column::Batch;
use super::error::Subject;
use super::session::{Session, Stop};
use crate::error::Result;
use crate::source::parallel::{Output, Worker};

/// A worker that reads what `sql` gives into `batch`, until its end or until nobody wants it.
pub(super) fn worker(
    session: Arc<Mutex<Session>>,
    stop: Stop,
    sql: String,
    batch: Batch,
    subject: Subject,
) -> Worker {
    Box::new(move |output: Output| {
        Box::pin(async move {
            let mut session = session.lock().await;
            stop.set(false);
            let ended = tokio::select! {
                ended = read(&mut session, sql, batch, &subject, &output) => Some(ended),
                () = output.closed() => None,
            };
            match ended {
                Some(ended) => ended,
                None => {
                    // The statement stops when it finds nobody to give a row to; one that gives no row
                    // for a long time looks at this. The answer comes once it has stopped.
                    stop.set(true);
                    let _ = session.connection.ping().await;
                    stop.set(false);
                    Ok(())
                }
            }
        })
    })
}

async fn read(
    session: &mut Session,
    sql: String,
    mut batch: Batch,
    subject: &Subject,
    output: &Output,
) -> Result<()> {
    let Session { connection, file, .. } = session;
    let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(|e| file.failed(&e, subject))? {
        if let Some(full) = batch.push(&row)?
            && output.give(full).await.is_err()
        {
            return Ok(());
        }
    }
    if let Some(last) = batch.take()? {
        // Nobody may be there to take it.
        let _ = output.give(last).await;
    }
    Ok(())
}
