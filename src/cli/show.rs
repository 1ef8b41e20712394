//! How results look on a terminal.

use std::io::IsTerminal;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::{Value, json};

use crate::error::Error;

/// Whether to colour what goes to this stream (<https://no-color.org>).
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints an error to stderr.
pub(super) fn error(error: &Error) {
    let (red, cyan, plain) =
        if colour(&std::io::stderr()) { ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
    if error.message().starts_with("error:") {
        eprintln!("{}", error.message());
    } else {
        eprintln!("{red}error:{plain} {}", error.message());
    }
    for place in error.context() {
        eprintln!("  in {place}");
    }
    if let Some(remedy) = error.remedy() {
        eprintln!("{cyan}help:{plain} {remedy}");
    }
}

/// An error for programs.
pub(super) fn error_json(error: &Error) -> Value {
    json!({
        "message": error.message(),
        "context": error.context(),
        "help": error.remedy(),
        "retry": error.kind().meaning().retry,
    })
}

/// Prints one JSON object as one line of stdout.
pub(super) fn json(value: &Value) {
    println!("{value}");
}

/// Prints a JSON document for people and files.
pub(super) fn json_pretty(value: &Value) {
    println!("{value:#}");
}

/// A rule above, below, and under the headings.
const RULED: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// A table with these headings; columns named in `numbers` align right.
pub(super) fn table(headings: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().map(Cell::new));
    for &index in numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `12345678` as `12,345,678`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in IEC units, three digits.
pub(super) fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}

/// The command a person types for this program here.
pub(super) fn command() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo run --release --" } else { "sealift" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }
}
