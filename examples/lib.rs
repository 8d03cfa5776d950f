//! The programs of this folder. Each is an example: `cargo run --example NAME`.
