//! The move to another protocol (RFC 9110 §7.8).

use http::{HeaderValue, StatusCode, header};

use super::{
    codec::{
        framing::UpgradeOffer,
        response::{self, ConnectionLine, LengthLine},
    },
    queue::ResponseState,
    state::{Reading, State, Writing},
};
use crate::{
    RespondError,
    message::{ResponseHead, list_elements},
    observe::Switch,
};

/// The facts of a connection that are needed to go on with a request that was left unanswered.
#[cfg(feature = "hyper-upgrade")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered {
    pub(crate) is_draining: bool,
    /// Requests received, this one included.
    pub(crate) requests: u64,
}

impl State {
    /// Responds by switching to another protocol.
    pub(crate) fn respond_upgrade(&mut self, id: u64, head: &ResponseHead<'_>) -> Result<(), RespondError> {
        let exchange = self.active(id).ok_or(RespondError::Closed)?;
        if exchange.response != ResponseState::Waiting {
            return Err(RespondError::Closed);
        }
        let traits = exchange.request.traits;
        let added = match self.check_switch(head) {
            Ok(added) => added,
            Err(error) => return Err(self.refuse(id, error)),
        };
        if traits.continue_due {
            self.emit(|output| response::interim(output, StatusCode::CONTINUE, [].into_iter()));
        }
        let connection = if traits.is_connect { ConnectionLine::None } else { ConnectionLine::Upgrade };
        let others: Vec<_> =
            head.others.iter().cloned().chain(added.map(|value| (header::UPGRADE, value))).collect();
        self.emit_response(&ResponseHead { others: &others, ..*head }, LengthLine::None, connection);
        let named = others.iter().find(|(name, _)| name == header::UPGRADE);
        let protocol = named.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
        self.leave_http(Switch { protocol, by: if traits.is_connect { "CONNECT" } else { "101" } });
        Ok(())
    }

    /// Ends HTTP before the first request is answered, so that another server of HTTP goes on with the
    /// transport. A `100 Continue` that is due is sent. None if the request cannot be answered any more, has
    /// a body, or offers no switch with `Upgrade`.
    #[cfg(feature = "hyper-upgrade")]
    pub(crate) fn leave_unanswered(&mut self, id: u64) -> Option<Unanswered> {
        use super::state::Follows;
        let waits = self.active(id).is_some_and(|exchange| exchange.response == ResponseState::Waiting);
        if !waits || self.writing != Writing::Open || self.follows(id) != Follows::Switch {
            return None;
        }
        let traits = self.exchanges.front()?.request.traits;
        let unanswered = Unanswered { is_draining: self.is_draining(), requests: self.requests };
        if traits.continue_due {
            self.emit(|output| response::interim(output, StatusCode::CONTINUE, [].into_iter()));
        }
        self.leave_http(Switch { protocol: None, by: "hyper" });
        Some(unanswered)
    }

    /// Makes what is queued the last of HTTP: the transport is handed over behind it.
    fn leave_http(&mut self, switch: Switch) {
        self.trace_switch(switch);
        self.move_writing(Writing::Upgrading);
        if self.reading != Reading::Closed {
            self.move_reading(Reading::Upgraded);
        }
        self.exchanges.clear();
        self.read_ahead = 0;
        self.finish_call();
    }

    /// Checks that the first request can be answered with a switch. Returns the value of `Upgrade` if the
    /// response lacks it and the request leaves no choice.
    fn check_switch(&self, head: &ResponseHead<'_>) -> Result<Option<HeaderValue>, RespondError> {
        let Some(exchange) = self.exchanges.front() else { return Err(RespondError::Upgrade) };
        let traits = exchange.request.traits;
        let added = match traits.upgrade {
            UpgradeOffer::None => return Err(RespondError::Upgrade),
            UpgradeOffer::Incomplete => return Err(RespondError::NoUpgradeOption),
            UpgradeOffer::Complete if traits.is_connect && head.status.is_success() => None,
            UpgradeOffer::Complete
                if !traits.is_connect && head.status == StatusCode::SWITCHING_PROTOCOLS =>
            {
                self.check_protocols(head)?
            }
            UpgradeOffer::Complete => return Err(RespondError::Upgrade),
        };
        let body = exchange.request.body.as_ref();
        match body.is_none_or(|body| body.is_complete() && body.buffered() == 0) {
            true => Ok(added),
            false => Err(RespondError::UnreadBody),
        }
    }

    /// Checks that the response names only protocols that the request offers.
    fn check_protocols(&self, head: &ResponseHead<'_>) -> Result<Option<HeaderValue>, RespondError> {
        let offered = self.cold.as_ref().map_or(&[][..], |cold| &cold.offered);
        let offered: Vec<_> = list_elements(offered).collect();
        let fields = head.others.iter().filter(|(name, _)| name == header::UPGRADE);
        let mut named = fields.flat_map(|(_, value)| list_elements(value.as_bytes())).peekable();
        if named.peek().is_none() {
            // RFC 9110 §7.8: a 101 has to name the protocol.
            let [only] = offered[..] else { return Err(RespondError::UnofferedProtocol) };
            return HeaderValue::from_bytes(only).map(Some).map_err(|_| RespondError::UnofferedProtocol);
        }
        let is_offered = |name: &[u8]| offered.iter().any(|known| known.eq_ignore_ascii_case(name));
        if named.all(is_offered) { Ok(None) } else { Err(RespondError::UnofferedProtocol) }
    }
}
