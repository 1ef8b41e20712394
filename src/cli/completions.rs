//! `sealift completions`: for shells.

use clap::CommandFactory;

use super::Done;
use super::args::{Args, Completions};

pub(super) fn run(args: &Completions) -> Done {
    clap_complete::generate(args.shell, &mut Args::command(), "sealift", &mut std::io::stdout());
    Ok(())
}
