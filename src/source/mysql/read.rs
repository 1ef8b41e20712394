//! A worker of a read: takes piece after piece, and decodes what the server sends of each.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::decode::Decoder;
use super::error::{Broken, Subject};
use super::session::Session;
use super::types::Layout;
use super::wire::Event;
use crate::error::{Error, Result};
use crate::source::Column;
use crate::source::parallel::{Gone, Output, Work};

/// The definitions that a read locks are given up at its end, where the server lets us (MariaDB with
/// a binary log keeps them to the end of the transaction); the snapshot itself stays.
pub(super) const SAVE: &str = "SAVEPOINT sealift";
pub(super) const UNDO: &str = "ROLLBACK TO SAVEPOINT sealift";

/// What the workers of a read have in common.
pub(super) struct Job {
    /// `SELECT … FROM …`; a piece adds its condition.
    pub(super) select: String,
    pub(super) columns: Vec<Column>,
    /// How each column is decoded.
    pub(super) layouts: Vec<Layout>,
    /// What the server has to send for that.
    pub(super) sent: Vec<Layout>,
    pub(super) subject: Subject,
}

/// One piece of a relation: a condition, or all of it.
pub(super) type Piece = Option<String>;

/// Why the rows of a piece ended early.
enum Ended {
    Gone,
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads pieces until there are none; whatever way it ends, the server is not left sending.
pub(super) async fn work(
    mut session: OwnedMutexGuard<Session>,
    job: Arc<Job>,
    pieces: Work<Piece>,
    output: Output,
) -> Result<()> {
    session.run(SAVE).await?;
    let ended = tokio::select! {
        biased;
        () = output.closed() => Err(Ended::Gone),
        ended = read_all(&mut session, &job, &pieces, &output) => ended,
    };
    let stopped = async {
        session.stop().await?;
        session.run(UNDO).await
    };
    let stopped = stopped.await;
    match ended {
        Ok(()) => stopped,
        // Nobody is there to hear more.
        Err(Ended::Gone) => Ok(()),
        Err(Ended::Failed(error)) => Err(error),
    }
}

async fn read_all(
    session: &mut Session,
    job: &Job,
    pieces: &Work<Piece>,
    output: &Output,
) -> Result<(), Ended> {
    let mut decoder = Decoder::new(&job.columns, &job.layouts, job.sent.len())?;
    while let Some(piece) = pieces.take() {
        read_piece(session, job, &piece, &mut decoder, output).await?;
    }
    if let Some(batch) = decoder.take()? {
        output.give(batch).await.map_err(|Gone| Ended::Gone)?;
    }
    Ok(())
}

async fn read_piece(
    session: &mut Session,
    job: &Job,
    piece: &Piece,
    decoder: &mut Decoder,
    output: &Output,
) -> Result<(), Ended> {
    let endpoint = &Arc::clone(&session.access).endpoint;
    let explain = |broken: Broken| Ended::Failed(endpoint.failed(&broken, &job.subject));
    let wire = &mut session.wire;
    let sql = match piece {
        Some(condition) => format!("{} WHERE {condition}", job.select),
        None => job.select.clone(),
    };
    let statement = wire.prepare(&sql).await.map_err(explain)?;
    wire.execute(statement.id).await.map_err(explain)?;
    let definitions = wire.executed().await.map_err(explain)?;
    if !definitions.iter().map(Layout::of).eq(job.sent.iter().copied().map(Some)) {
        return Err(Ended::Failed(changed()));
    }
    loop {
        while let Some(event) = wire.event().map_err(explain)? {
            let Event::Packet(packet) = event else {
                wire.close(statement.id).await.map_err(explain)?;
                return Ok(());
            };
            let row = wire.inbox.bytes(packet);
            if decoder.is_full(row)
                && let Some(batch) = decoder.take()?
            {
                output.give(batch).await.map_err(|Gone| Ended::Gone)?;
            }
            decoder.row(row)?;
        }
        wire.fill().await.map_err(explain)?;
    }
}

/// The relation is not what it was described as.
#[cold]
pub(super) fn changed() -> Error {
    Error::temporary("the columns are no longer of the types they were described with").help("run again")
}
