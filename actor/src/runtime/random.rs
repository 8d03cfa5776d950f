//! Random numbers that a simulation can replay.

use std::hash::{BuildHasher, RandomState};

use super::context;

/// Returns a random number, uniformly distributed. In a simulation it depends on the seed, so a run that uses
/// it replays exactly.
///
/// Use it for jitter and for choices, not for secrets.
///
/// ```
/// use riot_actor::{runtime::random, simulation::Simulation};
///
/// let number = |seed| {
///     let (tell, told) = std::sync::mpsc::channel();
///     Simulation::new(seed).run(async move { tell.send(random()).unwrap() });
///     told.recv().unwrap()
/// };
/// assert_eq!(number(1), number(1));
/// assert_ne!(number(1), number(2));
/// ```
#[must_use]
pub fn random() -> u64 {
    let simulated = context::with_local(|local| local?.shared.simulated().map(|queue| queue.random()));
    // Every `RandomState` has keys of its own.
    simulated.unwrap_or_else(|| RandomState::new().hash_one(()))
}
