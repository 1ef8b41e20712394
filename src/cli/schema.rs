//! `sealift schema`: for editors and for clients of the API.

use super::args::{Document, Schema};
use super::{Done, show};

pub(super) fn run(args: &Schema) -> Done {
    let schema = match args.document {
        Document::Pipeline => crate::spec::schema::pipeline(),
        Document::Policy => crate::spec::schema::policy(),
        Document::PolicyTest => crate::spec::schema::policy_test(),
        Document::Config => crate::spec::schema::config(),
        Document::Api => {
            print!("{}", crate::serve::openapi());
            return Ok(());
        }
    };
    show::json_pretty(&schema);
    Ok(())
}
