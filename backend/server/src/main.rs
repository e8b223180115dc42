//! `rackhand`: the backend.

use std::process::ExitCode;

fn main() -> ExitCode {
    rackhand_server::cli::main()
}
