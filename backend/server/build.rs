//! Embeds a fresh UI again.

fn main() {
    println!("cargo:rerun-if-changed=../../frontend/dist");
}
