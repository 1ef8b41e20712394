//! `sealift schema`: the JSON Schema of a document, for editors.

use std::io::{self, Write};

use crate::spec::schema;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipeline.
    Pipeline,
    /// The policy.
    Policy,
    /// The configuration.
    Config,
}

/// Prints the schema of a kind of document.
///
/// # Errors
/// Those of writing.
pub(crate) fn print(kind: Kind, out: &mut dyn Write) -> io::Result<()> {
    let schema = match kind {
        Kind::Pipeline => schema::pipeline(),
        Kind::Policy => schema::policy(),
        Kind::Config => schema::config(),
    };
    writeln!(out, "{schema:#}")
}
