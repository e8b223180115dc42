//! What is printed: data for people in columns, or as JSON.

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use std::io::{self, Write};

use crate::{
    Failure,
    config::{Config, Options, Storage},
};

/// Which database, and how to print.
#[derive(Args)]
pub struct Printed {
    #[command(flatten)]
    storage: Storage,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Printed {
    /// Joins the options with environment and file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self) -> Result<Config, Failure> {
        Config::load(&Options::from(&self.storage))
    }

    /// Prints `data` as JSON when that is asked for, else `text`.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn print(&self, data: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(data);
            return write(&json.map_err(|error| Failure::new("print JSON", error))?);
        }
        write(text)
    }
}

/// Writes text and a line's end.
///
/// # Errors
/// When the output cannot be written, except that nobody reads on.
pub fn write(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough (`rackhand openapi | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::new("print", error)),
    }
}

/// Sets rows below their captions, each column as wide as its widest cell.
pub fn columns<const N: usize>(captions: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut lines = vec![captions.map(str::to_owned)];
    lines.extend(rows);
    let width =
        |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|at| width(at).unwrap_or_default()).collect();
    let set = |line: &[String; N]| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(set).collect::<Vec<_>>().join("\n")
}

/// A moment for people, or that there was none.
pub fn moment(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_stands_in_them() {
        let rows = [["ädá".to_owned(), "x".to_owned()], ["longer name".to_owned(), "y".to_owned()]];
        assert_eq!(columns(["NAME", "IT"], rows), "NAME         IT\nädá          x\nlonger name  y");
        assert_eq!(columns(["NAME", "IT"], []), "NAME  IT");
    }
}
