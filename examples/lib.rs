//! The programs of this folder; each is an example of its own: `cargo run --example NAME`.
