//! Chance that a simulation can repeat.

use std::hash::{BuildHasher, RandomState};

use crate::runtime::context;

/// A number by chance, any of them as likely as any other; in a simulation by its seed, so that a run that used it
/// replays exactly. For delays that are to differ and for choices; not for secrets.
///
/// ```
/// use riot_actor::{runtime::random, simulation::Simulation};
///
/// let number = |seed| {
///     let (tell, told) = std::sync::mpsc::channel();
///     Simulation::new(seed).run(async move { tell.send(random()).expect("somebody wants to know") });
///     told.recv().expect("it said so")
/// };
/// assert_eq!(number(1), number(1));
/// assert_ne!(number(1), number(2));
/// ```
#[must_use]
pub fn random() -> u64 {
    let simulated = context::with_local(|local| local?.shared.simulated().map(|queue| queue.random()));
    // Each of these has keys of its own.
    simulated.unwrap_or_else(|| RandomState::new().hash_one(()))
}
