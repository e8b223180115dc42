//! Measures the product beside its peers; `cargo xtask bench` builds it, runs it and writes docs/benchmarks.md.
//!
//! Each section prints its figures as JSON, one per line. Ours and the peers' are measured in turn within one
//! run, against the same devices; the first run warms the devices up and is not counted; figures are medians.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot be made stops; what is printed is its product"
)]

mod agents;
mod browser;
mod figure;
mod ipmi;
mod list;
mod load;
mod loss;
mod memory;
mod polling;
mod seed;
mod served;
mod start;
mod tools;

use clap::{Parser, Subcommand};

/// What is measured, and how often.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    section: Section,
    /// Counted runs of each measurement
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// A tenth of the usual sizes and durations, to try the measurements themselves
    #[arg(long, global = true)]
    small: bool,
}

#[derive(Subcommand)]
enum Section {
    /// Status of many BMCs: CPU and wall time
    Ipmi,
    /// Status of many BMCs on a line that loses packets
    Loss,
    /// The same, already within a network namespace of its own
    LossInside,
    /// The list of servers under load
    List,
    /// From start to ready
    Start,
    /// Memory at rest
    Memory,
    /// The browser's first page
    Ui,
    /// Many connected agents
    Agents,
    /// One agent and very many devices
    Polling,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Extent {
    /// Counted runs.
    pub runs: u32,
    /// Sizes and durations are divided by this.
    pub divisor: u32,
}

impl Extent {
    /// A size at this extent.
    #[must_use]
    pub fn of(self, size: u32) -> u32 {
        (size / self.divisor).max(1)
    }
}

fn main() {
    let cli = Cli::parse();
    let extent = Extent { runs: cli.runs, divisor: if cli.small { 10 } else { 1 } };
    // One thread, as the server's own agent has: what is counted is work, not hand-over between threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tools::allow_many_sockets();
    let figures = match cli.section {
        Section::Ipmi => runtime.block_on(ipmi::measure(extent)),
        Section::Loss => return loss::enter(extent),
        Section::LossInside => runtime.block_on(loss::measure(extent)),
        Section::List => runtime.block_on(list::measure(extent)),
        Section::Start => runtime.block_on(start::measure(extent)),
        Section::Memory => runtime.block_on(memory::measure(extent)),
        Section::Agents => runtime.block_on(agents::measure(extent)),
        Section::Polling => runtime.block_on(polling::measure(extent)),
        Section::Ui => runtime.block_on(browser::measure(extent)),
    };
    for figure in figures {
        println!("{}", figure.json());
    }
}
