//! Generators of random histories.

use super::*;

pub(crate) fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![3 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)]
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Up),
        2 => Just(Outcome::Fail),
        1 => Just(Outcome::Panic),
        1 => Just(Outcome::Ignore),
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        3 => Just(End::Finish),
        4 => Just(End::Fail),
        1 => Just(End::Panic),
        2 => Just(End::Kill),
    ];
    let id = 0..IDS;
    prop_oneof![
        24 => (0usize..IDS, end, prop::collection::vec(outcome(), 0..3))
            .prop_map(|(id, end, then)| Step::End(id, end, then)),
        12 => (id.clone(), restart(), prop::bool::weighted(0.3), outcome())
            .prop_map(|(id, restart, significant, outcome)| Step::Start(id, restart, significant, outcome)),
        8 => id.clone().prop_map(Step::Terminate),
        6 => (id.clone(), outcome()).prop_map(|(id, outcome)| Step::Restart(id, outcome)),
        4 => id.prop_map(Step::Delete),
        1 => Just(Step::Shutdown),
        1 => Just(Step::Stop),
    ]
}

pub(crate) fn history(shape: Shape) -> impl Strategy<Value = History> {
    let auto_shutdown = prop_oneof![
        4 => Just(AutoShutdown::Never),
        1 => Just(AutoShutdown::AnySignificant),
        2 => Just(AutoShutdown::AllSignificant),
    ];
    let first_outcome =
        prop_oneof![20 => Just(Outcome::Up), 2 => Just(Outcome::Ignore), 1 => Just(Outcome::Fail)];
    let first = prop::collection::vec((restart(), any::<bool>(), first_outcome), 0..IDS);
    let batches = prop::collection::vec((prop::collection::vec(step(), 0..6), 0u64..4), 1..12);
    let delay = prop_oneof![Just(0), Just(RETRY_DELAY)];
    let max_restarts = prop_oneof![1 => 0usize..3, 4 => 3usize..12];
    (auto_shutdown, max_restarts, delay, first, batches, any::<u64>()).prop_map(
        move |(auto_shutdown, max_restarts, retry_delay, first, mut batches, seed)| {
            if retry_delay > 0 {
                // Timers that are due together fire in any order, so no two failures happen at one instant.
                for (steps, pause) in &mut batches {
                    *pause += 1;
                    let mut ends = 0;
                    steps.retain(|step| {
                        ends += usize::from(matches!(step, Step::End(..)));
                        ends < 2 || !matches!(step, Step::End(..))
                    });
                }
            }
            History { shape, auto_shutdown, max_restarts, retry_delay, first, batches, seed }
        },
    )
}
