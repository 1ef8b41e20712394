//! What has to be known of each database behind a driver. One that is not known here is read too,
//! with fewer promises.

/// A database, by the name its driver gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dbms {
    Postgres,
    Mysql,
    Sqlite,
    SqlServer,
    Oracle,
    Db2,
    Teradata,
    Other,
}

/// How the instant of a snapshot is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instant {
    /// A transaction whose snapshot other connections can take over.
    Exported(String),
    /// A number of the past that tables are read as of, on any connection.
    Scn(String),
    /// A transaction of one connection.
    Transaction,
    /// There is none: every statement sees what is committed when it runs.
    None,
}

impl Dbms {
    pub(super) fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        let has = |word: &str| name.contains(word);
        if has("postgres") {
            Self::Postgres
        } else if has("mysql") || has("mariadb") {
            Self::Mysql
        } else if has("sqlite") {
            Self::Sqlite
        } else if has("sql server") {
            Self::SqlServer
        } else if has("oracle") {
            Self::Oracle
        } else if name.starts_with("db2") {
            Self::Db2
        } else if has("teradata") {
            Self::Teradata
        } else {
            Self::Other
        }
    }

    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MariaDB or MySQL",
            Self::Sqlite => "SQLite",
            Self::SqlServer => "SQL Server",
            Self::Oracle => "Oracle",
            Self::Db2 => "Db2",
            Self::Teradata => "Teradata",
            Self::Other => "the database",
        }
    }

    /// Connection attributes without which the driver holds whole results in memory, or hides types.
    /// One that the connection string sets itself is left alone.
    pub(super) fn attributes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Postgres => {
                &[("UseDeclareFetch", "1"), ("Fetch", "4096"), ("BoolsAsChar", "0"), ("Protocol", "7.4-0")]
            }
            // No cache (1048576), forward-only cursors (2097152): for drivers that can stream.
            Self::Mysql => &[("FORWARDONLY", "1"), ("OPTION", "3145728")],
            Self::Sqlite => &[("StepAPI", "1")],
            _ => &[],
        }
    }

    /// Statements that make a session answer in one known way; `timeout_ms` is the statement timeout.
    pub(super) fn settings(self, timeout_ms: Option<u64>) -> Vec<String> {
        match self {
            Self::Postgres => {
                let mut settings =
                    vec!["SET TIME ZONE 'UTC'".to_owned(), "SET lock_timeout = '60s'".to_owned()];
                settings.extend(timeout_ms.map(|ms| format!("SET statement_timeout = {ms}")));
                settings
            }
            Self::Mysql => vec![
                // No silent limits either.
                "SET SESSION time_zone = '+00:00', sql_select_limit = 18446744073709551615, sql_big_selects = 1, \
                 group_concat_max_len = 67108864"
                    .to_owned(),
            ],
            Self::Oracle => vec![
                "ALTER SESSION SET TIME_ZONE = '+00:00'".to_owned(),
                "ALTER SESSION SET NLS_NUMERIC_CHARACTERS = '.,'".to_owned(),
            ],
            _ => Vec::new(),
        }
    }

    /// Whether the statement timeout is a setting of the session and not of each statement.
    pub(super) fn times_out_itself(self) -> bool {
        matches!(self, Self::Postgres | Self::Mysql)
    }

    /// Asks who the session is, for [`Dbms::cancel`].
    pub(super) fn identity(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("SELECT CAST(pg_backend_pid() AS varchar(20))"),
            Self::Mysql => Some("SELECT CAST(CONNECTION_ID() AS CHAR(20))"),
            _ => None,
        }
    }

    /// Stops what the session of this identity is doing, said from another connection.
    pub(super) fn cancel(self, identity: &str) -> Option<String> {
        match self {
            Self::Postgres => Some(format!("SELECT pg_cancel_backend({identity})")),
            Self::Mysql => Some(format!("KILL QUERY {identity}")),
            _ => None,
        }
    }

    /// Whether a column's described length can be relied on. Where it cannot, long or not, values
    /// are fetched one by one and each at its own length.
    pub(super) fn keeps_lengths(self) -> bool {
        !matches!(self, Self::Postgres | Self::Sqlite | Self::Other)
    }

    /// Whether dates and timestamps are fetched as text, because the driver's own structures turn
    /// zero dates, infinities and years before 1 into something else.
    pub(super) fn dates_are_texts(self) -> bool {
        matches!(self, Self::Postgres | Self::Mysql | Self::Sqlite)
    }

    /// Whether the name before a table's is a catalog of the driver (and not a schema).
    pub(super) fn has_catalogs_for_schemas(self) -> bool {
        self == Self::Mysql
    }

    /// Whether a query within brackets is computed before a condition that nothing meets, so that its
    /// columns are asked for without running it.
    pub(super) fn computes_before_it_filters(self) -> bool {
        self == Self::Mysql
    }

    /// Whether the driver holds the whole result of a statement in memory, so that ranges are worth
    /// it on one connection too.
    pub(super) fn holds_results(self) -> bool {
        self == Self::Mysql
    }

    /// Whether a failed or stopped statement ends the transaction.
    pub(super) fn needs_savepoints(self) -> bool {
        self == Self::Postgres
    }

    /// What a reader may rely on, in words for the plan.
    pub(super) fn consistency(self, instant: &Instant) -> String {
        match instant {
            Instant::Exported(_) => "one transaction snapshot, shared by all connections".to_owned(),
            Instant::Scn(scn) => format!(
                "tables: one instant on all connections (AS OF SCN {scn}); \
                 a query: the instant its statement began at"
            ),
            Instant::Transaction => "one transaction snapshot on one connection".to_owned(),
            Instant::None => format!(
                "no common instant ({}): each table is read by one statement, that sees what is committed {}",
                self.name(),
                match self {
                    Self::SqlServer =>
                        "while it runs; ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON gives one instant",
                    Self::Oracle => "when it begins",
                    _ => "while it runs, under the isolation level of the connection",
                }
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_by_the_names_their_drivers_give() {
        for (name, dbms) in [
            ("PostgreSQL", Dbms::Postgres),
            ("MariaDB", Dbms::Mysql),
            ("MySQL", Dbms::Mysql),
            ("SQLite", Dbms::Sqlite),
            ("Microsoft SQL Server", Dbms::SqlServer),
            ("Oracle", Dbms::Oracle),
            ("DB2/LINUXX8664", Dbms::Db2),
            ("Teradata", Dbms::Teradata),
            ("Netezza", Dbms::Other),
        ] {
            assert_eq!(Dbms::of(name), dbms, "{name}");
        }
    }

    #[test]
    fn no_more_is_claimed_than_there_is() {
        for dbms in [Dbms::Sqlite, Dbms::SqlServer, Dbms::Db2, Dbms::Teradata, Dbms::Other] {
            assert!(dbms.consistency(&Instant::None).starts_with("no common instant"));
        }
    }
}
