//! Rebuilds the crate when a migration is added; a changed one is noticed by the macro itself.

fn main() {
    println!("cargo:rerun-if-changed=.");
}
