//! Runs simulated devices.

fn main() {}
