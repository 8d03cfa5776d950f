//! When a process runs, compared with the others on its worker.

/// The priority of a process among the processes on the same worker.
///
/// ```
/// # use riot_actor::{process::{Priority, set_priority}, run};
/// # run(async {
/// assert_eq!(set_priority(Priority::Low), Priority::Normal);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// One poll slice in nine while there are processes of normal priority: slow, but never starved by them.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Always before all others: a process of high priority that never waits starves the rest.
    High,
}
