//! The program is linked to run at a fixed address.
//!
//! It starts itself a great deal: every `lxc-attach`, brick, mount and node is a process of this one binary. At a moving address
//! the loader would write 35,000 pointers (two hundred pages) before each `main`, most of what such a start costs. What is
//! given up is a random place for the program's own code; libraries, heap and stacks keep theirs.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
