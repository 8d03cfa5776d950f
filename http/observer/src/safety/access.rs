//! Which requests are served.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use riot_actor::{log_event, now, process::contain};
use riot_http::{
    Head,
    http::{HeaderValue, StatusCode, header},
};
use riot_socket::Address;

use super::{
    attempts::Attempts,
    credentials::{Secret, of_scheme},
};
use crate::{health::is_local, message::Reply};

type Judge = Arc<dyn Fn(&Head) -> bool + Send + Sync>;

/// The forms of authentication, one of which a request has to pass, and what is remembered of failed ones.
#[derive(Default)]
pub(crate) struct Access {
    judges: Vec<Judge>,
    basic: Vec<Secret>,
    bearer: Vec<Secret>,
    attempts: Mutex<Attempts>,
    /// A request from another machine was refused and logged.
    has_warned: AtomicBool,
}

impl Access {
    pub(crate) fn add_judge(&mut self, judge: impl Fn(&Head) -> bool + Send + Sync + 'static) {
        self.judges.push(Arc::new(judge));
    }

    pub(crate) fn add_basic(&mut self, user: &str, password: &str) {
        assert!(!user.contains(':'), "a user of `Basic` has no colon in its name (RFC 7617)");
        assert!(!password.is_empty(), "the password is empty");
        self.basic.push(Secret::basic(user, password));
    }

    pub(crate) fn add_bearer(&mut self, token: &str) {
        let is_visible = token.bytes().all(|letter| letter.is_ascii_graphic());
        assert!(
            !token.is_empty() && is_visible,
            "a token has visible ASCII characters alone, and one at least"
        );
        self.bearer.push(Secret::token(token));
    }

    fn asks_for_authentication(&self) -> bool {
        !(self.judges.is_empty() && self.basic.is_empty() && self.bearer.is_empty())
    }

    /// Refuses a listener that other machines reach if requests need no authentication.
    ///
    /// # Errors
    /// `PermissionDenied`, with what to do.
    pub(crate) fn check_listener(&self, address: &Address) -> io::Result<()> {
        if self.asks_for_authentication() || is_local(address.as_ip()) {
            return Ok(());
        }
        let text = format!(
            "the observer would be open to other machines on {address}: call .basic_auth(..), .bearer(..) or \
             .auth(..), or listen on loopback"
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
    }

    /// Decides about a request.
    ///
    /// # Errors
    /// The answer to a request that is not served.
    pub(crate) fn check(&self, head: &Head, peer: Option<SocketAddr>) -> Result<(), Reply> {
        if self.asks_for_authentication() {
            return self.authenticate(head, peer);
        }
        if !is_local(peer) {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                log_event!(
                    WARN,
                    "riot::observer",
                    peer = peer.map(riot_actor::log::tracing::field::display),
                    "a request of another machine was refused, because the observer has no authentication"
                );
            }
            let text = "without authentication the observer serves this machine alone\n";
            return Err(Reply::text(StatusCode::FORBIDDEN, text));
        }
        if peer.is_some() && !head.authority().is_some_and(is_this_machine) {
            let text = "without authentication the host has to be localhost, 127.0.0.1 or [::1]\n";
            return Err(Reply::text(StatusCode::FORBIDDEN, text));
        }
        Ok(())
    }

    /// Returns whether a peer may see why a health check failed: it is this machine, or brings credentials
    /// that are accepted. Wrong ones count as a failed login.
    pub(crate) fn trusts(&self, head: &Head, peer: Option<SocketAddr>) -> bool {
        let authenticates =
            || self.asks_for_authentication() && head.headers().get("authorization").is_some();
        is_local(peer) || (authenticates() && self.authenticate(head, peer).is_ok())
    }

    fn authenticate(&self, head: &Head, peer: Option<SocketAddr>) -> Result<(), Reply> {
        if let Some(left) = self.attempts().blocked(peer, now()) {
            let seconds = left.saturating_add(Duration::from_millis(999)).as_secs();
            let reply = Reply::text(StatusCode::TOO_MANY_REQUESTS, "too many failed logins\n");
            return Err(reply.with(header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if self.accepts(head) {
            return Ok(());
        }
        let has_scheme = !(self.basic.is_empty() && self.bearer.is_empty());
        // A browser asks without credentials first, which is no attempt.
        if head.headers().get("authorization").is_some() || !has_scheme {
            self.attempts().failed(peer, now());
        }
        if !has_scheme {
            return Err(Reply::text(StatusCode::FORBIDDEN, "forbidden\n"));
        }
        let mut reply = Reply::text(StatusCode::UNAUTHORIZED, "credentials are needed\n");
        for (secrets, challenge) in [
            (&self.basic, "Basic realm=\"riot-observer\", charset=\"UTF-8\""),
            (&self.bearer, "Bearer realm=\"riot-observer\""),
        ] {
            if !secrets.is_empty() {
                reply = reply.with(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        Err(reply)
    }

    fn accepts(&self, head: &Head) -> bool {
        let authorization = head.headers().get("authorization").unwrap_or_default();
        let knows = |scheme: &str, secrets: &[Secret]| {
            let given = of_scheme(authorization, scheme);
            given.is_some_and(|given| secrets.iter().fold(false, |known, secret| secret.is(given) | known))
        };
        knows("basic", &self.basic)
            | knows("bearer", &self.bearer)
            // A judge that panics accepts nothing.
            || self.judges.iter().any(|judge| contain(|| judge(head)).unwrap_or(false))
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether an authority is a name of this machine that no name server answers for, with any port.
fn is_this_machine(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

/// Shows what is asked for, and no secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("judges", &self.judges.len())
            .field("basic", &self.basic)
            .field("bearer", &self.bearer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob12_hosts_of_this_machine_are_three_with_any_port() {
        for host in ["localhost", "LocalHost:4000", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:4000"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "localhost.evil.example", "evil.example", "127.0.0.2", "::1", "localhost:x", "127.0.0.1.x:1"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
