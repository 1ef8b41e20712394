//! One instant for several connections.
//!
//! A transaction's snapshot cannot be handed from one connection to another here, so commits are held
//! up for the moment in which every connection begins its own: with `BACKUP STAGE BLOCK_COMMIT` on
//! MariaDB, which waits for no query, or with `FLUSH TABLES WITH READ LOCK`. Both need the right
//! RELOAD. Without it, or when the lock is not to be had quickly, one connection has to do: the
//! snapshot of one transaction is of one instant by itself.

use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::timeout;

use super::error::{Broken, Subject};
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
            Self::Busy => "one transaction snapshot on one connection (the lock to share it among several was not \
                 to be had)"
                .to_owned(),
        }
    }
}

/// A lock that holds up commits.
#[derive(Clone, Copy)]
enum Lock {
    Backup,
    Flush,
}

impl Lock {
    fn release(self) -> &'static str {
        match self {
            Self::Backup => "BACKUP STAGE END",
            Self::Flush => "UNLOCK TABLES",
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
    let Some(lead) = sessions.first_mut() else { return Err(nobody()) };
    let lock = match lock(lead).await? {
        Ok(lock) => lock,
        Err(why) => return alone(sessions, why).await,
    };
    // Whatever goes wrong, the lock goes with its session.
    let begun = async {
        try_join_all(sessions.iter_mut().map(|session| session.run(BEGIN))).await?;
        let Some(lead) = sessions.first_mut() else { return Err(nobody()) };
        let id = position(lead).await?;
        lead.run(lock.release()).await?;
        Ok(id)
    };
    let id = timeout(HOLD_TIMEOUT, begun)
        .await
        .map_err(|_| Error::temporary("the server took too long to begin the snapshot").help("run again"))??;
    agreed(&mut sessions).await?;
    Ok((sessions, Agreement::Locked, id))
}

/// One session with a snapshot of its own; the others go.
async fn alone(mut sessions: Vec<Session>, why: Agreement) -> Result<(Vec<Session>, Agreement, Option<String>)> {
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

/// Takes the gentlest lock there is; or why there is none.
async fn lock(session: &mut Session) -> Result<std::result::Result<Lock, Agreement>> {
    session.run(&format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")).await?;
    let server = session.server;
    let (steps, lock): (&[&str], _) = if server.is_mariadb && server.version >= BACKUP_STAGES {
        (&["BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"], Lock::Backup)
    } else {
        (&["FLUSH TABLES WITH READ LOCK"], Lock::Flush)
    };
    let mut outcome = Ok(lock);
    for (done, step) in steps.iter().enumerate() {
        match session.wire.query(step).await {
            Ok(_) => {}
            Err(Broken::Server(said)) => {
                if done > 0 {
                    session.run(lock.release()).await?;
                }
                // ER_LOCK_WAIT_TIMEOUT, ER_STATEMENT_TIMEOUT, ER_QUERY_TIMEOUT
                let busy = matches!(said.code, 1205 | 1969 | 3024);
                outcome = Err(if busy { Agreement::Busy } else { Agreement::NoRight });
                break;
            }
            Err(broken) => return Err(session.access.endpoint.failed(&broken, &Subject::Session)),
        }
    }
    session.run("SET SESSION lock_wait_timeout = 30").await?;
    Ok(outcome)
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
        let row = answer.rows.iter().find(|row| row.first().and_then(Option::as_deref).is_some_and(|n| n.eq_ignore_ascii_case(name)))?;
        row.get(1).cloned().flatten().filter(|value| !value.is_empty())
    };
    let (Some(file), Some(position)) = (value("Binlog_snapshot_file"), value("Binlog_snapshot_position")) else {
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
