//! `cargo xtask bench`: how fast, how small, how sure; with peers measured in the same run.

mod page;
mod section;

use clap::Args;
use serde_json::Value;
use std::{path::Path, time::Instant};

use crate::{Problem, ui};
use section::{SECTIONS, Section};

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    /// Sections to run; all but the long ones when absent
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The same, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Also run the long sections: 1,000 kills and cut lines take an hour
    #[arg(long)]
    full: bool,
    /// Counted runs of each measurement; the table shows the median
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// A tenth of the usual sizes, to try the measurements themselves; docs/benchmarks.md stays as it is
    #[arg(long)]
    small: bool,
}

/// What one section came to.
enum Outcome {
    Measured(Vec<Value>),
    Failed(String),
}

/// Runs the sections, prints the table and writes it to docs/benchmarks.md.
pub fn run(root: &Path, options: &Options) -> Result<(), Problem> {
    let sections = chosen(options)?;
    ui::build(root)?;
    let tools = section::build(root)?;
    let mut problems = Vec::new();
    for section in sections {
        eprintln!("== {}", section.name);
        let since = Instant::now();
        let outcome = match section.measure(root, &tools, options.runs, options.small) {
            Ok(figures) => Outcome::Measured(figures),
            Err(problem) => Outcome::Failed(problem.to_string()),
        };
        match &outcome {
            Outcome::Measured(figures) => {
                println!(
                    "\n{} ({:.0} s)\n{}",
                    section.title,
                    since.elapsed().as_secs_f32(),
                    page::text(figures)
                );
                let missed = figures.iter().filter(|figure| figure["met"] == false).count();
                if missed > 0 {
                    problems.push(format!("{}: {missed} missed", section.name));
                }
                if !options.small {
                    page::write(root, section, figures, options.runs)?;
                }
            }
            Outcome::Failed(problem) => {
                println!("\n{}\nFAILED: {problem}", section.title);
                problems.push(format!("{}: could not be measured", section.name));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n").into()) }
}

fn chosen(options: &Options) -> Result<Vec<&'static Section>, Problem> {
    let named = || options.names.iter().chain(&options.only);
    if let Some(unknown) = named().find(|name| SECTIONS.iter().all(|known| known.name != **name)) {
        let known: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
        return Err(format!("there is no section “{unknown}”; there are {}", known.join(", ")).into());
    }
    let is_chosen = |section: &&Section| {
        if named().next().is_none() {
            options.full || !section.long
        } else {
            named().any(|it| it == section.name)
        }
    };
    Ok(SECTIONS.iter().filter(is_chosen).collect())
}
