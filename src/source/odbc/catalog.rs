//! What the database says of its tables, through the catalog functions of its driver.

use std::collections::HashMap;

use arrow_odbc::odbc_api::{
    ColumnDescription, ColumnsRow, DataType, Error as OdbcError, ResultSetMetadata, TablesRow,
};

use super::dbms::{Dbms, Instant};
use super::error::Subject;
use super::link::Link;
use super::types::{self, Described, Wire};
use crate::error::{Error, Result};
use crate::source::tables::{is_glob, matches, missing, nearest};
use crate::source::{Carried, Column};
use crate::spec::pipeline::TablePattern;

/// What stands for the schema of a database that has none.
const ONLY_SCHEMA: &str = "main";
/// Schemas of the databases themselves; wildcards leave them out.
const SYSTEM_SCHEMAS: &[&str] =
    &["information_schema", "pg_catalog", "pg_toast", "sys", "mysql", "performance_schema", "dbc", "sysibm"];

/// What is read, as SQL.
pub(super) enum Target<'a> {
    Table { schema: &'a str, table: &'a str },
    Query(&'a str),
}

/// A column as it is described, and how it is fetched.
pub(super) struct Found {
    pub(super) column: Column,
    /// `None` when it is refused.
    pub(super) wire: Option<Wire>,
}

/// What SQLColumns says of a column.
struct Declared {
    type_name: String,
    not_null: bool,
}

impl Target<'_> {
    /// For messages.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Table { schema, table } => Subject::Table(format!("{schema}.{table}")),
            Self::Query(_) => Subject::Query,
        }
    }

    /// `SELECT` of these columns (and whether each is to be cast to text), all of them for `None`,
    /// where `condition` holds.
    pub(super) fn select(
        &self,
        link: &Link,
        instant: &Instant,
        columns: Option<&[(String, bool)]>,
        condition: Option<&str>,
    ) -> Result<String> {
        let columns = match columns {
            None => "*".to_owned(),
            // Without a column the rows are still counted.
            Some([]) => "1".to_owned(),
            Some(columns) => {
                let expression = |(name, cast): &(String, bool)| {
                    let name = link.quoted(name)?;
                    Ok(if *cast { format!("CAST({name} AS text) AS {name}") } else { name })
                };
                columns.iter().map(expression).collect::<Result<Vec<_>>>()?.join(", ")
            }
        };
        let from = self.from(link, instant)?;
        let filter = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        Ok(format!("SELECT {columns} FROM {from}{filter}"))
    }

    /// What stands after `FROM`.
    pub(super) fn from(&self, link: &Link, instant: &Instant) -> Result<String> {
        match self {
            // The line ends keep a comment at the query's end to itself. Oracle has no AS here.
            Self::Query(sql) => Ok(format!("(\n{sql}\n) sealift_source")),
            Self::Table { schema, table } => {
                let table = link.quoted(table)?;
                let name = match link.dbms {
                    Dbms::Sqlite => table,
                    _ if *schema == ONLY_SCHEMA && !link.has_schemas() => table,
                    _ => format!("{}.{table}", link.quoted(schema)?),
                };
                Ok(match instant {
                    Instant::Scn(scn) => format!("{name} AS OF SCN {scn}"),
                    _ => name,
                })
            }
        }
    }
}

impl Link {
    /// Whether the driver knows schemas or catalogs at all.
    fn has_schemas(&self) -> bool {
        let lengths = [self.connection.max_schema_name_len(), self.connection.max_catalog_name_len()];
        lengths.iter().any(|length| matches!(length, Ok(length) if *length > 0))
    }

    /// The tables and views a pattern stands for, as schema and name, sorted.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub(super) fn find(&self, pattern: &TablePattern) -> Result<Vec<(String, String)>> {
        let fits = |(schema, table): &(String, String)| {
            let hidden = is_glob(&pattern.schema) && SYSTEM_SCHEMAS.contains(&schema.to_lowercase().as_str());
            !hidden && matches(&pattern.schema, schema) && matches(&pattern.table, table)
        };
        let narrow = self.tables(&as_like(&pattern.schema), &as_like(&pattern.table))?;
        let mut found: Vec<_> = narrow.into_iter().filter(fits).collect();
        if found.is_empty() {
            // Not every driver keeps to patterns.
            let all = self.tables("%", "%")?;
            found = all.iter().filter(|table| fits(table)).cloned().collect();
            if found.is_empty() {
                return Err(self.missing(pattern, all));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn tables(&self, schema: &str, table: &str) -> Result<Vec<(String, String)>> {
        let fault = |e: OdbcError| self.fault(&e, &Subject::Session);
        let catalog = if self.dbms.has_catalogs_for_schemas() {
            schema.to_owned()
        } else {
            self.connection.current_catalog().unwrap_or_default()
        };
        let schema =
            if self.dbms.has_catalogs_for_schemas() || self.dbms == Dbms::Sqlite { "" } else { schema };
        // A catalog's name is taken as it is by some drivers and as a pattern by others.
        let catalog = if catalog == "%" || catalog.contains('%') { String::new() } else { catalog };
        let rows = self.connection.tables(&catalog, schema, table, "").map_err(fault)?;
        let mut found = Vec::new();
        for row in rows {
            let row: TablesRow = row.map_err(fault)?;
            let text = |cell: Result<Option<&str>, std::str::Utf8Error>| {
                cell.map(|text| text.unwrap_or_default().to_owned())
                    .map_err(|_| Error::invalid("the database has a table whose name the driver cannot tell"))
            };
            let kind = text(row.table_type.as_str())?.to_uppercase();
            if ["SYSTEM", "INDEX", "TEMPORARY", "SEQUENCE"].iter().any(|word| kind.contains(word)) {
                continue;
            }
            let (catalog, schema) = (text(row.catalog.as_str())?, text(row.schema.as_str())?);
            let schema = match (schema.is_empty(), catalog.is_empty()) {
                _ if self.dbms == Dbms::Sqlite => ONLY_SCHEMA.to_owned(),
                (false, _) => schema,
                (true, false) => catalog,
                (true, true) => ONLY_SCHEMA.to_owned(),
            };
            found.push((schema, text(row.table.as_str())?));
        }
        Ok(found)
    }

    /// The error of a table that is not there, with the nearest one that is.
    fn missing(&self, wanted: &TablePattern, all: Vec<(String, String)>) -> Error {
        let error = Error::invalid(format!("{} at {}", missing(wanted), self.dbms.name()));
        match nearest(wanted, all) {
            Some((schema, table)) => error.help(format!("did you mean `{schema}.{table}`?")),
            None => error.help("check the name, and that the user may see it"),
        }
    }

    /// The columns of a table or a query, in order; no row is moved.
    ///
    /// # Errors
    /// `Invalid` when it is not there or is no query.
    pub(super) fn describe(&self, target: &Target<'_>, instant: &Instant) -> Result<Vec<Found>> {
        let subject = target.subject();
        let fault = |e: OdbcError| self.fault(&e, &subject);
        let declared = match target {
            Target::Table { schema, table } => self.declared(schema, table)?,
            Target::Query(_) => HashMap::new(),
        };
        if self.dbms.computes_before_it_filters() {
            let sql = target.select(self, instant, None, None)?;
            let mut prepared = self.connection.prepare(&sql).map_err(fault)?;
            return self.described(&mut prepared, &subject, &declared);
        }
        let sql = target.select(self, instant, None, Some("1 = 0"))?;
        let mut cursor = self.select(&sql, &subject)?;
        self.described(&mut cursor, &subject, &declared)
    }

    /// The columns of a statement.
    fn described(
        &self,
        statement: &mut impl ResultSetMetadata,
        subject: &Subject,
        declared: &HashMap<String, Declared>,
    ) -> Result<Vec<Found>> {
        let fault = |e: OdbcError| self.fault(&e, subject);
        let count = statement.num_result_cols().map_err(fault)?;
        let mut found: Vec<Found> = Vec::new();
        for number in 1..=u16::try_from(count).unwrap_or_default() {
            let mut description = ColumnDescription::default();
            statement.describe_col(number, &mut description).map_err(fault)?;
            let name = description.name_to_string().map_err(|_| {
                Error::invalid("the source has a column whose name the driver cannot tell")
                    .help("give it another name with a query")
            })?;
            if found.iter().any(|other| other.column.name == name) {
                return Err(Error::invalid(format!("the query has two columns named `{name}`"))
                    .help("give one of them another name with AS"));
            }
            let data_type = description.data_type;
            let is_integer = matches!(
                data_type,
                DataType::TinyInt | DataType::SmallInt | DataType::Integer | DataType::BigInt
            );
            let unsigned = is_integer && statement.column_is_unsigned(number).map_err(fault)?;
            found.push(self.found(name, data_type, unsigned, declared));
        }
        Ok(found)
    }

    fn found(
        &self,
        name: String,
        data_type: DataType,
        unsigned: bool,
        declared: &HashMap<String, Declared>,
    ) -> Found {
        let declared = declared.get(&name);
        let type_name = declared.map(|declared| declared.type_name.as_str());
        let described = Described { data_type, unsigned, type_name };
        let wire = Wire::of(self.dbms, &described);
        let carried = wire.map_or_else(
            || Carried::Refused { remedy: remedy(self.dbms, &name) },
            |wire| wire.carried(self.dbms, &described),
        );
        let source_type = match (type_name, data_type) {
            (Some(own), DataType::Numeric { precision, scale } | DataType::Decimal { precision, scale })
                if !own.contains('(') =>
            {
                format!("{own}({precision},{scale})")
            }
            (Some(own), _) if !own.is_empty() => own.to_owned(),
            _ => types::name(data_type),
        };
        let nullable = !declared.is_some_and(|declared| declared.not_null);
        Found { column: Column { name, source_type, nullable, carried }, wire }
    }

    /// What the catalog says of a table's columns, by name.
    fn declared(&self, schema: &str, table: &str) -> Result<HashMap<String, Declared>> {
        let fault = |e: OdbcError| self.fault(&e, &Subject::Session);
        let (catalog, schema) = match self.dbms {
            Dbms::Sqlite => (String::new(), ""),
            dbms if dbms.has_catalogs_for_schemas() => (schema.to_owned(), ""),
            _ => (self.connection.current_catalog().unwrap_or_default(), schema),
        };
        let mut declared = HashMap::new();
        for row in self.connection.columns(&catalog, schema, table, "%").map_err(fault)? {
            let row: ColumnsRow = row.map_err(fault)?;
            // `_` in a name is a wildcard here: rows of other tables come too.
            if row.table.as_str().ok().flatten() != Some(table) {
                continue;
            }
            let text = |cell: Result<Option<&str>, std::str::Utf8Error>| {
                cell.ok().flatten().unwrap_or_default().to_owned()
            };
            let entry = Declared { type_name: text(row.type_name.as_str()), not_null: row.nullable == 0 };
            declared.insert(text(row.column_name.as_str()), entry);
        }
        Ok(declared)
    }
}

fn remedy(dbms: Dbms, name: &str) -> String {
    match dbms {
        Dbms::Sqlite => "SQLite's driver rounds and coerces such cells: read the file through a connection \
            `{sqlite: {path: …}}`, which does not"
            .to_owned(),
        _ => format!(
            "the driver would lose the time zone: read it with a query: `TO_CHAR({name}, …) AS {name}`"
        ),
    }
}

/// The pattern of the catalog functions that lets through at least what a glob does.
fn as_like(glob: &str) -> String {
    glob.replace('*', "%").replace('?', "_")
}
