//! Support for tests: mutations for the simulation to find, loom models, and programs that must not
//! compile.

#[cfg(doctest)]
mod compile_fail;
#[cfg(all(test, riot_loom))]
mod loom_models;
pub(crate) mod mutation;
