//! `sealift schema`: for editors and for clients of the API.

use std::io::Write as _;

use super::args::{Document, Schema};
use super::{Done, show};

pub(super) fn run(args: &Schema) -> Done {
    let schema = match args.document {
        Document::Pipeline => crate::spec::schema::pipeline(),
        Document::Policy => crate::spec::schema::policy(),
        Document::PolicyTest => crate::spec::schema::policy_test(),
        Document::Config => crate::spec::schema::config(),
        Document::Api => {
            // Who wants its begin only closes the pipe.
            let _ = std::io::stdout().write_all(crate::serve::openapi().as_bytes());
            return Ok(());
        }
    };
    show::json_pretty(&schema);
    Ok(())
}
