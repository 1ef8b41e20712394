//! One connection: made, made ready for reading, asked, stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::error::{Broken, Endpoint, Subject};
use super::handshake::{Greeting, login};
use super::transport::{Tls, Transport};
use super::wire::{Definition, Statement, Table, Wire};
use crate::error::{Error, Kind, Result};
use crate::secret::{Reference, Secret};
use crate::spec::config;

/// Until an address answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until we are let in: TLS, password.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// What stopping a statement may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses before a connection that did not come about is tried again.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2)];

/// Makes a session one that reads what is there: UTC, every character, no silent limits, nothing of
/// the server's `sql_mode` but its care for GROUP BY. A slow consumer is no reason to hang up.
const SETTINGS: &str = "SET SESSION time_zone = '+00:00', sql_mode = IF(FIND_IN_SET('ONLY_FULL_GROUP_BY', \
    @@SESSION.sql_mode), 'ONLY_FULL_GROUP_BY', ''), sql_select_limit = 18446744073709551615, sql_big_selects = 1, \
    sql_auto_is_null = 0, group_concat_max_len = 67108864, net_write_timeout = 31536000, wait_timeout = 31536000, \
    lock_wait_timeout = 30, transaction_isolation = 'REPEATABLE-READ'";
/// MariaDB calls some by other names, and has more that end a waiting transaction.
const MARIADB_SETTINGS: &str =
    "SET SESSION idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0";

/// Where to connect, and as whom.
pub(super) struct Access {
    pub(super) endpoint: Endpoint,
    password: Option<Secret>,
    tls: Option<Tls>,
    statement_timeout: Option<Duration>,
}

/// An open connection. Dropping it closes the socket, and stops what the server still does for it.
pub(super) struct Session {
    pub(super) access: Arc<Access>,
    pub(super) server: Greeting,
    pub(super) wire: Wire,
    /// It only stops others: nobody stops it.
    is_last_word: bool,
}

impl Access {
    /// # Errors
    /// `Invalid` when the password or the authorities cannot be resolved.
    pub(super) fn new(settings: &config::Mysql) -> Result<Self> {
        let tls = match settings.tls {
            config::Tls::Disable => None,
            config::Tls::VerifyFull => Some(Tls::verify_full(&settings.host, settings.ca_file.as_deref())?),
        };
        let password = settings.password.as_ref().map(Reference::resolve).transpose()?;
        if let Some(password) = &password {
            password.expose_str()?;
        }
        let endpoint = Endpoint {
            host: settings.host.clone(),
            port: settings.port,
            database: settings.database.clone(),
            user: settings.user.clone(),
        };
        Ok(Self { endpoint, password, tls, statement_timeout: settings.statement_timeout })
    }

    /// Connects and logs in; a fault that may pass is tried again a few times.
    ///
    /// # Errors
    /// `Temporary` when the server cannot be reached, `Invalid` when it does not let us in or its
    /// certificate is not to be trusted.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Session> {
        for pause in RETRY_PAUSES {
            match self.try_connect().await {
                Err(error) if error.kind() == Kind::Temporary => sleep(pause).await,
                ended => return ended,
            }
        }
        self.try_connect().await
    }

    async fn try_connect(self: &Arc<Self>) -> Result<Session> {
        let endpoint = &self.endpoint;
        let timed_out = || endpoint.unreachable("timed out");
        let transport = timeout(CONNECT_TIMEOUT, Transport::connect(&endpoint.host, endpoint.port))
            .await
            .map_err(|_| timed_out())?
            .map_err(|io| endpoint.unreachable(&io.kind().to_string()))?;
        let login = login(transport, endpoint, self.password.as_ref(), self.tls.as_ref());
        let (wire, server) = timeout(LOGIN_TIMEOUT, login).await.map_err(|_| timed_out())??;
        let mut session = Session { access: Arc::clone(self), server, wire, is_last_word: false };
        timeout(LOGIN_TIMEOUT, session.settle_in()).await.map_err(|_| timed_out())??;
        Ok(session)
    }

    /// Has the server stop what a session is doing, by another connection.
    async fn kill(self: &Arc<Self>, id: u32) -> Result<()> {
        let mut session = self.try_connect().await?;
        session.is_last_word = true;
        match session.wire.query(&format!("KILL QUERY {id}")).await {
            // No such session: it is gone already.
            Ok(_) | Err(Broken::Server(_)) => Ok(()),
            Err(broken) => Err(self.endpoint.failed(&broken, &Subject::Session)),
        }
    }
}

impl Drop for Session {
    /// A statement that was given up half-way would run on at the server.
    fn drop(&mut self) {
        if self.wire.is_answering()
            && !self.is_last_word
            && let Ok(runtime) = Handle::try_current()
        {
            let (access, id) = (Arc::clone(&self.access), self.server.id);
            #[expect(clippy::disallowed_methods, reason = "ends after one short request")]
            runtime.spawn(async move { timeout(GOODBYE_TIMEOUT, access.kill(id)).await });
        }
    }
}

impl Session {
    async fn settle_in(&mut self) -> Result<()> {
        self.run("SET NAMES utf8mb4").await?;
        let mut settings = SETTINGS.to_owned();
        if self.server.is_mariadb {
            // The old name; MariaDB has the other from 11.1 on.
            settings = settings.replace("transaction_isolation", "tx_isolation");
        }
        if let Some(limit) = self.access.statement_timeout {
            settings += &match self.server.is_mariadb {
                true => format!(", max_statement_time = {:.3}", limit.as_secs_f64()),
                false => format!(", max_execution_time = {}", limit.as_millis().max(1)),
            };
        }
        self.run(&settings).await?;
        if self.server.is_mariadb {
            self.run(MARIADB_SETTINGS).await?;
        }
        Ok(())
    }

    fn failed(&self, broken: &Broken, subject: &Subject) -> Error {
        self.access.endpoint.failed(broken, subject)
    }

    /// Runs a statement that is ours.
    pub(super) async fn run(&mut self, sql: &str) -> Result<()> {
        self.ask(sql).await.map(drop)
    }

    /// The answer to a statement that is ours; for small results only.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Table> {
        self.ask_about(sql, &Subject::Session).await
    }

    pub(super) async fn ask_about(&mut self, sql: &str, subject: &Subject) -> Result<Table> {
        self.wire.query(sql).await.map_err(|e| self.access.endpoint.failed(&e, subject))
    }

    /// The one cell of an answer; `None` for NULL.
    pub(super) async fn one(&mut self, sql: &str) -> Result<Option<String>> {
        let answer = self.ask(sql).await?;
        Ok(answer.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    pub(super) async fn prepare(&mut self, sql: &str, subject: &Subject) -> Result<Statement> {
        self.wire.prepare(sql).await.map_err(|e| self.access.endpoint.failed(&e, subject))
    }

    /// The columns that a statement would give.
    pub(super) async fn columns(&mut self, sql: &str, subject: &Subject) -> Result<Vec<Definition>> {
        let statement = self.prepare(sql, subject).await?;
        self.close(statement.id).await?;
        if statement.parameters > 0 {
            return Err(Error::invalid("the query has a parameter, and a stream's query has none")
                .help("write the value in place of `?`"));
        }
        Ok(statement.columns)
    }

    pub(super) async fn close(&mut self, statement: u32) -> Result<()> {
        self.wire.close(statement).await.map_err(|e| self.failed(&e, &Subject::Session))
    }

    /// Brings an answer that nobody wants any more to its end, at the server too.
    ///
    /// # Errors
    /// `Temporary` when that cannot be done; the session is of no use then.
    pub(super) async fn stop(&mut self) -> Result<()> {
        if !self.wire.is_idle() {
            self.interrupt().await?;
        }
        match self.wire.ready() {
            Some(statement) => self.close(statement).await,
            None => Ok(()),
        }
    }

    async fn interrupt(&mut self) -> Result<()> {
        let (access, id) = (Arc::clone(&self.access), self.server.id);
        let wire = &mut self.wire;
        let stopping = async {
            access.kill(id).await?;
            wire.drain().await.map_err(|e| access.endpoint.failed(&e, &Subject::Session))
        };
        match timeout(GOODBYE_TIMEOUT, stopping).await {
            Ok(ended) => ended?,
            Err(_) => return Err(self.lost()),
        }
        if !self.wire.is_idle() {
            return Err(self.lost());
        }
        // A request that came late hits this, and not the next read.
        match self.wire.query("DO 0").await {
            Ok(_) | Err(Broken::Server(_)) => Ok(()),
            Err(broken) => Err(self.failed(&broken, &Subject::Session)),
        }
    }

    fn lost(&self) -> Error {
        self.failed(&Broken::Lost(std::io::ErrorKind::TimedOut), &Subject::Session)
    }
}
