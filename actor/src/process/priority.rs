//! When a process runs, compared with the others on its worker.

/// When a process runs, compared with others on the same worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// One turn in nine when there are processes of normal priority, so it is slow but never starved by them.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before all others, always: one that never waits starves the rest.
    High,
}
