//! One instant for several connections.
//!
//! A transaction's snapshot cannot be handed from one connection to another here, so commits are held
//! up for the moment in which every connection begins its own: with `BACKUP STAGE BLOCK_COMMIT` on
//! MariaDB, which waits for no query, or with `FLUSH TABLES WITH READ LOCK`. Both need the right
//! RELOAD. Without it, or when the lock is not to be had quickly, one connection has to do: the
//! snapshot of one transaction is of one instant by itself.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::timeout;

use super::error::{Broken, Said, Subject};
use super::handshake::Greeting;
use super::session::Session;
use crate::error::{Error, Result};

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
/// How long a lock is waited for: while it is, others wait behind us.
const LOCK_WAIT_SECONDS: u32 = 3;
/// How long commits may be held up.
const HOLD_TIMEOUT: Duration = Duration::from_secs(10);
/// The first MariaDB with backup stages.
const BACKUP_STAGES: (u16, u16, u16) = (10, 4, 1);

/// How the connections of a snapshot came to one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Commits were held up while all of them began.
    Locked,
    /// There is one only, as was asked for.
    Alone,
    /// There is one only, for want of a right.
    NoRight,
    /// There is one only, because others held locks.
    Busy,
}

impl Agreement {
    /// In words for the plan.
    pub(super) fn words(self, connections: usize) -> String {
        match self {
            Self::Locked => format!("one transaction snapshot, shared by {connections} connections"),
            Self::Alone => "one transaction snapshot".to_owned(),
            Self::NoRight => "one transaction snapshot on one connection (several need the right RELOAD: \
                 GRANT RELOAD ON *.* to the user)"
                .to_owned(),
            Self::Busy => {
                "one transaction snapshot on one connection (the lock to share it among several was not \
                 to be had)"
                    .to_owned()
            }
        }
    }
}

/// Begins a transaction on every session, all of one instant; some sessions may have to go. Gives
/// the name of the instant too, where the server tells it.
///
/// # Errors
/// `Temporary` when the connections break or do not come to one instant.
pub(super) async fn begin(mut sessions: Vec<Session>) -> Result<(Vec<Session>, Agreement, Option<String>)> {
    if sessions.len() < 2 {
        return alone(sessions, Agreement::Alone).await;
    }
    // A session of its own: where the lock is released, a transaction would end with it.
    let access = sessions.first().map(|session| Arc::clone(&session.access)).ok_or_else(nobody)?;
    let Ok(mut guard) = access.connect().await else { return alone(sessions, Agreement::Busy).await };
    if let Err(why) = lock(&mut guard).await? {
        return alone(sessions, why).await;
    }
    // Whatever goes wrong, the lock goes with its session.
    let begun = async {
        try_join_all(sessions.iter_mut().map(|session| session.run(BEGIN))).await?;
        position(sessions.first_mut().ok_or_else(nobody)?).await
    };
    let begun = timeout(HOLD_TIMEOUT, begun).await;
    guard.run(release(&guard.server)).await?;
    let id = begun.map_err(|_| {
        Error::temporary("the server took too long to begin the snapshot").help("run again")
    })??;
    agreed(&mut sessions).await?;
    Ok((sessions, Agreement::Locked, id))
}

/// One session with a snapshot of its own; the others go.
async fn alone(
    mut sessions: Vec<Session>,
    why: Agreement,
) -> Result<(Vec<Session>, Agreement, Option<String>)> {
    sessions.truncate(1);
    let Some(lead) = sessions.first_mut() else { return Err(nobody()) };
    lead.run(BEGIN).await?;
    // Where the server does not tell the snapshot's own position, there is no name for it.
    let id = snapshot_position(lead).await?;
    Ok((sessions, why, id))
}

#[cold]
fn nobody() -> Error {
    Error::failed("a snapshot without a connection")
}

/// Holds up commits, by the gentlest lock there is, until the session ends; or why it cannot be done.
async fn lock(session: &mut Session) -> Result<std::result::Result<(), Agreement>> {
    session.run(&format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")).await?;
    let server = session.server;
    let steps: &[&str] = if has_backup_stages(&server) {
        &["BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"]
    } else {
        &["FLUSH TABLES WITH READ LOCK"]
    };
    for step in steps {
        match session.wire.query(step).await {
            Ok(_) => {}
            // ER_LOCK_WAIT_TIMEOUT, ER_STATEMENT_TIMEOUT, ER_QUERY_TIMEOUT
            Err(Broken::Server(Said { code: 1205 | 1969 | 3024, .. })) => return Ok(Err(Agreement::Busy)),
            Err(Broken::Server(_)) => return Ok(Err(Agreement::NoRight)),
            Err(broken) => return Err(session.access.endpoint.failed(&broken, &Subject::Session)),
        }
    }
    Ok(Ok(()))
}

fn has_backup_stages(server: &Greeting) -> bool {
    server.is_mariadb && server.version >= BACKUP_STAGES
}

fn release(server: &Greeting) -> &'static str {
    if has_backup_stages(server) { "BACKUP STAGE END" } else { "UNLOCK TABLES" }
}

/// Where the server tells each snapshot's position in the binary log, they must be one.
async fn agreed(sessions: &mut [Session]) -> Result<()> {
    let mut positions = Vec::new();
    for session in sessions {
        positions.push(snapshot_position(session).await?);
    }
    if positions.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(Error::temporary("the connections did not come to one instant").help("run again"));
    }
    Ok(())
}

/// The position of the session's snapshot: MariaDB with a binary log knows it.
async fn snapshot_position(session: &mut Session) -> Result<Option<String>> {
    if !session.server.is_mariadb {
        return Ok(None);
    }
    let answer = session.ask("SHOW STATUS LIKE 'binlog\\_snapshot\\_%'").await?;
    let value = |name: &str| {
        let row = answer.rows.iter().find(|row| {
            row.first().and_then(Option::as_deref).is_some_and(|n| n.eq_ignore_ascii_case(name))
        })?;
        row.get(1).cloned().flatten().filter(|value| !value.is_empty())
    };
    let (Some(file), Some(position)) = (value("Binlog_snapshot_file"), value("Binlog_snapshot_position"))
    else {
        return Ok(None);
    };
    Ok(Some(format!("{file}:{position}")))
}

/// The name of this instant, asked while nothing can commit.
async fn position(session: &mut Session) -> Result<Option<String>> {
    let question = match session.server.is_mariadb {
        true => "SELECT @@GLOBAL.gtid_current_pos",
        false => "SELECT @@GLOBAL.gtid_executed",
    };
    let gtid = session.one(question).await?.map(|gtid| gtid.replace(char::is_whitespace, ""));
    let gtid = gtid.filter(|gtid| !gtid.is_empty());
    let place = match session.server.is_mariadb {
        true => snapshot_position(session).await?,
        false => log_position(session).await,
    };
    Ok(match (gtid, place) {
        (Some(gtid), Some(place)) => Some(format!("{gtid}@{place}")),
        (gtid, place) => gtid.or(place),
    })
}

/// MySQL's position in the binary log, where the user may ask for it.
async fn log_position(session: &mut Session) -> Option<String> {
    for question in ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"] {
        let Ok(answer) = session.ask(question).await else { continue };
        let row = answer.rows.into_iter().next()?;
        let mut cells = row.into_iter().flatten();
        return Some(format!("{}:{}", cells.next()?, cells.next()?));
    }
    None
}
