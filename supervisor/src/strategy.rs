//! The decisions of a restart: which children stop, and which start, when one has failed.
//!
//! Children are positions in a list here. Nothing is done to them.

use std::ops::Range;

use riot_actor::Reason;

use crate::child_spec::Restart;

/// The children that are restarted with one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
}

impl Strategy {
    /// Returns the name of the strategy, as a user writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// The condition on which a supervisor ends because significant children have ended; set by
/// [`Supervisor::auto_shutdown`](crate::Supervisor::auto_shutdown).
///
/// ```
/// use riot_supervisor::{AutoShutdown, Supervisor, process};
///
/// let sup = Supervisor::one_for_one()
///     .auto_shutdown(AutoShutdown::AllSignificant)
///     .child(process("import", || async {}).transient().significant());
/// # drop(sup);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// The supervisor never ends because of a significant child.
    #[default]
    Never,
    /// The supervisor ends when any significant child ends by itself and is not restarted.
    AnySignificant,
    /// The supervisor ends when the last significant child ends by itself and is not restarted.
    AllSignificant,
}

/// The action for a child that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum ExitAction {
    Restart,
    /// The spec stays, without a process.
    Keep,
    Forget,
}

pub(crate) fn exit_action(restart: Restart, reason: &Reason) -> ExitAction {
    match restart {
        Restart::Permanent => ExitAction::Restart,
        Restart::Transient if reason.is_clean() => ExitAction::Keep,
        Restart::Transient => ExitAction::Restart,
        Restart::Temporary => ExitAction::Forget,
    }
}

/// The properties of a child on which a strategy depends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildView {
    pub(crate) restart: Restart,
    pub(crate) has_process: bool,
}

/// The steps of a restart, each list in the order in which it is carried out. All numbers are positions
/// before the restart.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Plan {
    pub(crate) stop: Vec<usize>,
    pub(crate) start: Vec<usize>,
    pub(crate) forget: Vec<usize>,
}

impl Strategy {
    /// Returns the positions that are restarted with the one at `failed`, itself included.
    pub(crate) fn affected(self, failed: usize, count: usize) -> Range<usize> {
        match self {
            Self::OneForOne => failed..failed + 1,
            Self::OneForAll => 0..count,
            Self::RestForOne => failed..count,
        }
    }

    /// Returns the plan to restart the child at `failed`, which has no process. Only affected positions are
    /// looked at.
    pub(crate) fn plan(self, failed: usize, count: usize, child: impl Fn(usize) -> ChildView) -> Plan {
        let affected = self.affected(failed, count);
        let temporary = |&at: &usize| child(at).restart == Restart::Temporary;
        Plan {
            stop: affected.clone().rev().filter(|&at| child(at).has_process).collect(),
            start: affected.clone().filter(|at| !temporary(at)).collect(),
            forget: affected.filter(temporary).collect(),
        }
    }
}

/// Returns whether the supervisor ends after a child has ended by itself and is not restarted.
/// `others_are_up` means that another significant child has a process or is restarting.
pub(crate) fn shuts_down(auto_shutdown: AutoShutdown, significant: bool, others_are_up: bool) -> bool {
    match auto_shutdown {
        AutoShutdown::Never => false,
        AutoShutdown::AnySignificant => significant,
        AutoShutdown::AllSignificant => significant && !others_are_up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{
        Just, Strategy as Generator, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    fn permanent(has_process: bool) -> ChildView {
        ChildView { restart: Restart::Permanent, has_process }
    }

    #[test]
    fn rest_for_one_stops_the_later_ones_backwards_and_starts_them_forwards() {
        let children = [permanent(true), permanent(false), permanent(true), permanent(true)];
        let plan = Strategy::RestForOne.plan(1, children.len(), |at| children[at]);
        assert_eq!(plan, Plan { stop: vec![3, 2], start: vec![1, 2, 3], forget: vec![] });
    }

    #[test]
    fn a_group_restart_forgets_the_temporary_ones() {
        let temporary = ChildView { restart: Restart::Temporary, has_process: true };
        let children = [permanent(false), temporary, permanent(true)];
        let plan = Strategy::OneForAll.plan(0, children.len(), |at| children[at]);
        assert_eq!(plan, Plan { stop: vec![2, 1], start: vec![0, 2], forget: vec![1] });
    }

    #[test]
    fn restart_and_reason_decide_the_action() {
        let crash = Reason::other("crash");
        let table = [
            (Restart::Permanent, &Reason::Normal, ExitAction::Restart),
            (Restart::Permanent, &crash, ExitAction::Restart),
            (Restart::Transient, &Reason::Normal, ExitAction::Keep),
            (Restart::Transient, &Reason::Shutdown, ExitAction::Keep),
            (Restart::Transient, &Reason::Killed, ExitAction::Restart),
            (Restart::Transient, &crash, ExitAction::Restart),
            (Restart::Temporary, &Reason::Normal, ExitAction::Forget),
            (Restart::Temporary, &crash, ExitAction::Forget),
        ];
        for (restart, reason, expected) in table {
            assert_eq!(exit_action(restart, reason), expected, "{restart:?} after {reason}");
        }
    }

    /// The plain model: the steps of the rule, carried out one after the other.
    fn model(strategy: Strategy, failed: usize, children: &[ChildView]) -> Plan {
        let mut plan = Plan::default();
        let concerned = |at: usize| match strategy {
            Strategy::OneForOne => at == failed,
            Strategy::OneForAll => true,
            Strategy::RestForOne => at >= failed,
        };
        let mut at = children.len();
        while at > 0 {
            at -= 1;
            if concerned(at) && children[at].has_process {
                plan.stop.push(at);
            }
        }
        for (at, child) in children.iter().enumerate() {
            if !concerned(at) {
                continue;
            }
            match child.restart {
                Restart::Temporary => plan.forget.push(at),
                Restart::Permanent | Restart::Transient => plan.start.push(at),
            }
        }
        plan
    }

    fn child_view() -> impl Generator<Value = ChildView> {
        let restart =
            prop_oneof![Just(Restart::Permanent), Just(Restart::Transient), Just(Restart::Temporary)];
        (restart, any::<bool>()).prop_map(|(restart, has_process)| ChildView { restart, has_process })
    }

    proptest! {
        #[test]
        fn equals_the_words_of_the_rule(
            mut children in prop::collection::vec(child_view(), 1..12),
            failed in any::<prop::sample::Index>(),
            which in 0usize..3,
        ) {
            let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne][which];
            let failed = failed.index(children.len());
            children[failed] = ChildView { restart: Restart::Permanent, has_process: false };
            let plan = strategy.plan(failed, children.len(), |at| children[at]);
            prop_assert!(plan.start.contains(&failed));
            prop_assert!(!plan.stop.contains(&failed));
            prop_assert_eq!(plan, model(strategy, failed, &children));
        }
    }
}
