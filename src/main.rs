//! Parse, start tracing, print the error, pick the exit code.

use std::process::ExitCode;

/// Under the system's own allocator a long run holds more memory than a short one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sealift::cli::main()
}
