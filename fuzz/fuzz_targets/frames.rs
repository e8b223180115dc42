//! Whatever one side of the agents' line may say, read in every way that the other side would.

#![no_main]

libfuzzer_sys::fuzz_target!(|message: &[u8]| rackhand_fuzz::meet(message));
