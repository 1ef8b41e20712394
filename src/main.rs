//! Parse, start tracing, print the error, pick the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealift::cli::main()
}
