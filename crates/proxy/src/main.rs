//! The `waypost` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(waypost::cli::main())
}
