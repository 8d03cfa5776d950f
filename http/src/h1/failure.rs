//! Handlers that fail: what the client gets, and what is kept for the report.
//!
//! The report itself is written outside the lock, where the handler runs: the error that a handler returns is
//! known only after its [`Responder`](crate::Responder) has been dropped.

use std::fmt;

use super::{
    queue::ResponseState,
    state::{State, Writing},
};
use crate::{RequestError, RespondError, WriteError, observe::CutReason};

/// The failure of a handler as the connection sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The handler ended without a response.
    NoResponse,
    /// The response was refused.
    Respond(RespondError),
    /// A piece of the body, or its end, was refused.
    Write(WriteError),
    /// The body was not ended.
    Unfinished,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResponse => f.write_str("it ended without a response"),
            Self::Respond(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Unfinished => f.write_str("it ended before the body of its response was complete"),
        }
    }
}

impl State {
    /// Keeps the reason for which a response was refused, and returns it.
    #[cold]
    pub(super) fn refuse(&mut self, id: u64, error: RespondError) -> RespondError {
        if error != RespondError::Closed {
            self.note_failure(id, Failure::Respond(error));
        }
        error
    }

    /// Keeps a failure in case nothing better is heard from the handler.
    #[cold]
    pub(super) fn note_failure(&mut self, id: u64, failure: Failure) {
        self.cold_mut().failure = Some((id, failure));
    }

    /// Marks a failure to be reported. The first reason counts: what follows is a consequence.
    #[cold]
    pub(super) fn fail(&mut self, id: u64, failure: Failure) {
        if self.noted_failure(id).is_none() {
            self.note_failure(id, failure);
        }
        self.cold_mut().failure_is_due = true;
        self.unreported = true;
    }

    fn noted_failure(&self, id: u64) -> Option<Failure> {
        let (noted, failure) = self.cold.as_ref()?.failure?;
        (noted == id).then_some(failure)
    }

    /// Returns the failure that is to be reported, once.
    #[cold]
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        let cold = self.cold.as_mut()?;
        let is_due = std::mem::take(&mut cold.failure_is_due);
        let (_, failure) = cold.failure.take()?;
        is_due.then_some(failure)
    }

    /// Returns whether the connection goes on, or has gone on, in another protocol.
    pub(crate) fn has_switched(&self) -> bool {
        self.writing == Writing::Upgrading
    }

    /// Handles a handler that ended without a response.
    pub(crate) fn abandon(&mut self, id: u64, panics: bool) {
        if !self.active(id).is_some_and(|exchange| exchange.response == ResponseState::Waiting) {
            return;
        }
        let lacks_option = Failure::Respond(RespondError::NoUpgradeOption);
        if self.noted_failure(id) == Some(lacks_option) && !panics {
            // The client is at fault, and no handler has to know the rule.
            self.respond_error(RequestError::Upgrade, false);
        } else {
            // A panic has a report of its own.
            if !panics {
                self.fail(id, Failure::NoResponse);
            }
            self.respond_error(RequestError::HandlerFailed, panics);
        }
        self.finish_call();
    }

    /// Cuts a body off.
    pub(crate) fn abort(&mut self, id: u64, panics: bool) {
        if self.active(id).is_some_and(|exchange| matches!(exchange.response, ResponseState::Streaming(_))) {
            if panics {
                self.cut(CutReason::Panicked);
            } else {
                self.fail(id, Failure::Unfinished);
            }
            self.end();
            self.finish_call();
        }
    }
}
