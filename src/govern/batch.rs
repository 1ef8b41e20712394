//! Statements that write, with as few words to the store as it takes.

use std::fmt::Write as _;

use sqlx::{AnyConnection, AssertSqlSafe};

use super::store::fault;
use crate::error::Result;

/// Most values of statements that are kept prepared: of as many rows as others have there may be none again.
const MOST_PREPARED: usize = 64;

/// What is bound to a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

#[derive(Debug)]
enum Piece {
    Sql(&'static str),
    Value(Value),
}

/// One statement: our own words, and values between them.
#[derive(Debug)]
pub(crate) struct Statement(Vec<Piece>);

impl Statement {
    /// One that begins with these words.
    pub(crate) fn new(sql: &'static str) -> Self {
        Self(vec![Piece::Sql(sql)])
    }

    /// Goes on with these words.
    pub(crate) fn sql(mut self, sql: &'static str) -> Self {
        self.0.push(Piece::Sql(sql));
        self
    }

    /// Goes on with this value.
    pub(crate) fn value(mut self, value: impl Into<Value>) -> Self {
        self.0.push(Piece::Value(value.into()));
        self
    }

    /// Goes on with rows as `VALUES` has them.
    pub(crate) fn rows<const COLUMNS: usize>(
        mut self,
        rows: impl IntoIterator<Item = [Value; COLUMNS]>,
    ) -> Self {
        for (index, row) in rows.into_iter().enumerate() {
            self = self.sql(if index == 0 { "(" } else { ", (" });
            for (column, value) in row.into_iter().enumerate() {
                self = if column == 0 { self.value(value) } else { self.sql(", ").value(value) };
            }
            self = self.sql(")");
        }
        self
    }
}

/// Statements that are carried out one after the other. SQLite takes all of them by one word, since each word to it and
/// back has two threads woken: its driver, alone among those of sqlx, takes several with values in one. PostgreSQL takes
/// one at a time.
#[derive(Debug, Default)]
pub(crate) struct Batch(Vec<Statement>);

impl Batch {
    pub(crate) fn add(&mut self, statement: Statement) {
        self.0.push(statement);
    }

    /// Carries them out. After an error those before it are done: the transaction around them decides.
    ///
    /// # Errors
    /// That of the first that fails, as [`fault`] tells it.
    pub(crate) async fn run(self, store: &mut AnyConnection) -> Result<()> {
        let at_once = if store.backend_name() == "PostgreSQL" { 1 } else { usize::MAX };
        for some in self.0.chunks(at_once) {
            let (sql, values) = said(some);
            let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(values.len() <= MOST_PREPARED);
            for value in values {
                query = match value {
                    Value::Text(text) => query.bind(text.as_str()),
                    Value::Number(number) => query.bind(*number),
                };
            }
            query.execute(&mut *store).await.map_err(|e| fault(&e))?;
        }
        Ok(())
    }
}

/// The text of statements, whose placeholders are numbered through, and what is bound to it.
fn said(statements: &[Statement]) -> (String, Vec<&Value>) {
    let (mut sql, mut values) = (String::new(), Vec::new());
    for statement in statements {
        if !sql.is_empty() {
            sql.push_str("; ");
        }
        for piece in &statement.0 {
            match piece {
                Piece::Sql(text) => sql.push_str(text),
                Piece::Value(value) => {
                    values.push(value);
                    let _ = write!(sql, "${}", values.len());
                }
            }
        }
    }
    (sql, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through() {
        let rows = [["a".into(), 1.into()], ["b".into(), 2.into()]];
        let first = Statement::new("INSERT INTO t (x, y) VALUES ").rows(rows).sql(" ON CONFLICT DO NOTHING");
        let second = Statement::new("UPDATE u SET z = ").value(3).sql(" WHERE w = ").value("c");
        let both = [first, second];
        let (sql, values) = said(&both);
        assert_eq!(
            sql,
            "INSERT INTO t (x, y) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING; UPDATE u SET z = $5 WHERE w = $6"
        );
        assert_eq!(
            format!("{values:?}"),
            r#"[Text("a"), Number(1), Text("b"), Number(2), Number(3), Text("c")]"#
        );
    }
}
