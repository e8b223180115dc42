//! Builds and runs the project: `cargo xtask ui`.

mod ui;

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match ui::build(root) {
        Ok(ui::Outcome::Fresh) => ExitCode::SUCCESS,
        Ok(ui::Outcome::Built { brotli }) => {
            eprintln!("UI built, {brotli} bytes brotli");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
