//! One connection through a driver. Everything here blocks and belongs on a blocking thread.

use std::sync::OnceLock;

use arrow_odbc::odbc_api::buffers::Indicator;
use arrow_odbc::odbc_api::handles::StatementImpl;
use arrow_odbc::odbc_api::{
    Connection, ConnectionOptions, Cursor, CursorImpl, Error as OdbcError, environment,
};
use zeroize::Zeroizing;

use super::dbms::{Dbms, Instant};
use super::error::{Subject, failed, not_connected};
use super::long;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::spec::config;

/// Until we are let in.
const LOGIN_TIMEOUT_SEC: u32 = 30;
/// Rows of answers that the run itself asks for; they have one or a few.
const ANSWER_ROWS: usize = 100;

/// How connections are made: the connection string with user and password.
pub(super) struct Login {
    string: Zeroizing<String>,
    keys: Vec<String>,
    timeout_ms: Option<u64>,
    /// Found out by the first connection.
    dbms: OnceLock<Dbms>,
}

/// An open connection.
pub(super) struct Link {
    pub(super) connection: Connection<'static>,
    pub(super) dbms: Dbms,
    /// Who the session is at the server, where another can stop it.
    pub(super) identity: Option<String>,
    quote: Option<char>,
    timeout_sec: Option<usize>,
}

impl Login {
    /// # Errors
    /// `Invalid` when the connection string names a user and the configuration does too.
    pub(super) fn new(settings: &config::Odbc, password: Option<&Secret>) -> Result<Self> {
        let mut keys: Vec<String> = settings
            .connection_string
            .split(';')
            .filter_map(|part| part.split_once('='))
            .map(|(key, _)| key.trim().to_lowercase())
            .collect();
        let mut string = Zeroizing::new(settings.connection_string.trim_end_matches([';', ' ']).to_owned());
        if let Some(user) = &settings.user {
            if keys.iter().any(|key| key == "uid" || key == "user") {
                return Err(Error::invalid("the connection string names a user, and `user` does too")
                    .help("write the user in `user` only"));
            }
            string.push_str(";UID=");
            string.push_str(&braced(user));
        }
        if let Some(password) = password {
            string.push_str(";PWD=");
            string.push_str(&Zeroizing::new(braced(password.expose_str()?)));
        }
        string.push(';');
        // OPTIONS is another name of OPTION.
        if keys.iter().any(|key| key == "options") {
            keys.push("option".to_owned());
        }
        let timeout = settings.statement_timeout.map(|timeout| timeout.as_millis());
        let timeout_ms = timeout.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX).max(1));
        Ok(Self { string, keys, timeout_ms, dbms: OnceLock::new() })
    }

    /// Connects and makes the session ready.
    ///
    /// # Errors
    /// `Temporary` when the server cannot be reached; `Invalid` when there is no such driver, or it
    /// refuses who we are.
    pub(super) fn open(&self) -> Result<Link> {
        let (connection, dbms) = if let Some(dbms) = self.dbms.get() {
            (self.connect(*dbms)?, *dbms)
        } else {
            let connection = self.connect(Dbms::Other)?;
            let name = connection.database_management_system_name().map_err(|e| not_connected(&e))?;
            let dbms = *self.dbms.get_or_init(|| Dbms::of(&name));
            if dbms.attributes().is_empty() {
                (connection, dbms)
            } else {
                drop(connection);
                (self.connect(dbms)?, dbms)
            }
        };
        let quote = connection.identifier_quote_char().map_err(|e| not_connected(&e))?;
        let timeout_sec = self
            .timeout_ms
            .filter(|_| !dbms.times_out_itself())
            .map(|ms| usize::try_from(ms.div_ceil(1000)).unwrap_or(usize::MAX));
        let mut link = Link { connection, dbms, identity: None, quote, timeout_sec };
        if let Some(sql) = dbms.identity() {
            link.identity = link.answer(sql)?.filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
        }
        for sql in dbms.settings(self.timeout_ms) {
            link.run(&sql)?;
        }
        if dbms == Dbms::Mysql
            && let Some(ms) = self.timeout_ms
        {
            // MariaDB's word for it, then MySQL's.
            let seconds = format!("{}.{:03}", ms / 1000, ms % 1000);
            link.run(&format!("SET SESSION max_statement_time = {seconds}"))
                .or_else(|_| link.run(&format!("SET SESSION max_execution_time = {ms}")))?;
        }
        Ok(link)
    }

    fn connect(&self, dbms: Dbms) -> Result<Connection<'static>> {
        let mut string = self.string.clone();
        for (key, value) in dbms.attributes() {
            if !self.keys.contains(&key.to_lowercase()) {
                string.push_str(&format!("{key}={value};"));
            }
        }
        let options = ConnectionOptions { login_timeout_sec: Some(LOGIN_TIMEOUT_SEC), ..Default::default() };
        let environment = environment().map_err(|e| not_connected(&e))?;
        environment.connect_with_connection_string(&string, options).map_err(|e| not_connected(&e))
    }
}

impl Link {
    /// The same error in our own words.
    pub(super) fn fault(&self, error: &OdbcError, subject: &Subject) -> Error {
        failed(self.dbms, error, subject)
    }

    /// Runs a statement of ours.
    pub(super) fn run(&self, sql: &str) -> Result<()> {
        self.connection.execute(sql, (), None).map(drop).map_err(|e| self.fault(&e, &Subject::Session))
    }

    /// Runs a `SELECT`; `None` when it gives no result set.
    pub(super) fn select(&self, sql: &str, subject: &Subject) -> Result<CursorImpl<StatementImpl<'_>>> {
        let cursor =
            self.connection.execute(sql, (), self.timeout_sec).map_err(|e| self.fault(&e, subject))?;
        cursor.ok_or_else(|| Error::invalid("the query gives no rows: it is no SELECT"))
    }

    /// The rows of a query of ours, as text.
    pub(super) fn answers(
        &self,
        sql: &str,
        width: u16,
        subject: &Subject,
    ) -> Result<Vec<Vec<Option<String>>>> {
        let mut cursor = self.select(sql, subject)?;
        let mut rows = Vec::new();
        let mut text = Vec::new();
        while let Some(mut row) = cursor.next_row().map_err(|e| self.fault(&e, subject))? {
            let mut cells = Vec::with_capacity(usize::from(width));
            for column in 1..=width {
                let indicator = long::wide(&mut row, column, &mut text).map_err(|e| e.told(self, subject))?;
                cells.push((indicator != Indicator::Null).then(|| String::from_utf16_lossy(&text)));
            }
            rows.push(cells);
            if rows.len() > ANSWER_ROWS {
                return Err(Error::failed("the database gives more answers than were asked for"));
            }
        }
        Ok(rows)
    }

    /// The one value a query of ours gives.
    pub(super) fn answer(&self, sql: &str) -> Result<Option<String>> {
        Ok(self.answers(sql, 1, &Subject::Session)?.into_iter().flatten().next().flatten())
    }

    /// A name as an identifier.
    ///
    /// # Errors
    /// `Invalid` when the database has no quotes and the name needs them.
    pub(super) fn quoted(&self, name: &str) -> Result<String> {
        match self.quote {
            Some(quote) => {
                let doubled = name.replace(quote, &format!("{quote}{quote}"));
                Ok(format!("{quote}{doubled}{quote}"))
            }
            None if name.chars().all(|c| c.is_alphanumeric() || c == '_') => Ok(name.to_owned()),
            None => Err(Error::invalid(format!("the database has no way to name `{name}`"))
                .help("read it with a query that gives it another name")),
        }
    }

    /// Fixes the instant of the first connection, as far as the database can.
    pub(super) fn begin(&self) -> Result<Instant> {
        match self.dbms {
            Dbms::Postgres => {
                self.transaction()?;
                self.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
                let exported = self.answer("SELECT CAST(pg_export_snapshot() AS varchar(60))")?;
                exported.map(Instant::Exported).ok_or_else(|| Error::failed("PostgreSQL exports no snapshot"))
            }
            Dbms::Mysql => {
                self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
                self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
                Ok(Instant::Transaction)
            }
            Dbms::SqlServer => self.begin_at_sql_server(),
            Dbms::Oracle => Ok(self.begin_at_oracle()),
            // SQLite's driver ends a transaction with each result.
            Dbms::Sqlite | Dbms::Db2 | Dbms::Teradata | Dbms::Other => Ok(Instant::None),
        }
    }

    /// A transaction in snapshot isolation begins with its first look at a table.
    fn begin_at_sql_server(&self) -> Result<Instant> {
        let allowed = self.answer(
            "SELECT CAST(snapshot_isolation_state AS varchar(2)) FROM sys.databases WHERE database_id = DB_ID()",
        );
        if !matches!(allowed, Ok(Some(state)) if state == "1") {
            return Ok(Instant::None);
        }
        self.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")?;
        self.transaction()?;
        self.answer("SELECT CAST(count(*) AS varchar(20)) FROM sys.schemas")?;
        Ok(Instant::Transaction)
    }

    /// The system change number, from whichever of its two places the user may look at.
    fn begin_at_oracle(&self) -> Instant {
        [
            "SELECT TO_CHAR(DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER) FROM DUAL",
            "SELECT TO_CHAR(CURRENT_SCN) FROM V$DATABASE",
        ]
        .iter()
        .find_map(|sql| self.answer(sql).ok().flatten())
        .filter(|scn| !scn.is_empty() && scn.bytes().all(|b| b.is_ascii_digit()))
        .map_or(Instant::None, Instant::Scn)
    }

    /// Takes over the instant of the first connection.
    pub(super) fn join(&self, instant: &Instant) -> Result<()> {
        if let Instant::Exported(id) = instant {
            self.transaction()?;
            self.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            self.run(&format!("SET TRANSACTION SNAPSHOT '{id}'"))?;
        }
        Ok(())
    }

    fn transaction(&self) -> Result<()> {
        self.connection.set_autocommit(false).map_err(|e| self.fault(&e, &Subject::Session))
    }

    /// Before a step that may fail, where a failure would end the transaction.
    pub(super) fn save(&self) -> Result<()> {
        if self.dbms.needs_savepoints() { self.run("SAVEPOINT sealift") } else { Ok(()) }
    }

    /// After a step; undoes nothing but the failure itself.
    pub(super) fn restore(&self) -> Result<()> {
        if self.dbms.needs_savepoints() { self.run("ROLLBACK TO SAVEPOINT sealift") } else { Ok(()) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A transaction that only read has nothing to lose; drivers want it ended before they part.
        let _ = self.connection.rollback();
    }
}
/// A value that means itself, whatever is in it. Braces only where they are needed: some drivers take
/// them for a part of a name.
fn braced(value: &str) -> String {
    let is_plain = value.trim() == value && !value.contains([';', '{', '}', '+']);
    if is_plain { value.to_owned() } else { format!("{{{}}}", value.replace('}', "}}")) }
}
