//! The agent on site.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    rackhand_agent::cli::run().await
}
