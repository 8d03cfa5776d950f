//! How far the program is: from its start to its stop.

use std::{
    fmt,
    pin::pin,
    task::{Context, Waker},
};

use riot_actor::runtime::{applications_started, shutdown_signal};
use riot_socket::{ServerState, servers};

/// How far a program is, as load balancers need to know it.
///
/// ```
/// use riot_observer::{Health, HealthState};
/// # riot_actor::run(async {
/// assert_eq!(Health::new().state(), HealthState::Ready);
/// assert_eq!(HealthState::LameDuck.to_string(), "lame duck");
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// An application has not started yet, or a server does not accept: it is about to be started or
    /// restarted, or is suspended.
    Starting,
    /// Every application has started, and every server accepts.
    Ready,
    /// The runtime shuts down, or a server is a lame duck: clients are served, and should go elsewhere.
    LameDuck,
    /// A server drains, or has ended with the runtime.
    Stopping,
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::LameDuck => "lame duck",
            Self::Stopping => "stopping",
        })
    }
}

impl HealthState {
    /// Returns the state at this moment. If `named` is empty, all servers of the runtime count.
    pub(super) fn now(named: &[String]) -> Self {
        let all = servers();
        let states: Vec<ServerState> = if named.is_empty() {
            all.iter().map(|server| server.info().state).collect()
        } else {
            let state = |name: &String| {
                let server = all.iter().find(|server| server.name() == *name);
                server.map_or(ServerState::Down, |server| server.info().state)
            };
            named.iter().map(state).collect()
        };
        Self::of(is_shutting_down(), applications_started(), &states)
    }

    fn of(is_shutting_down: bool, has_started: bool, servers: &[ServerState]) -> Self {
        let any = |wanted: ServerState| servers.contains(&wanted);
        let accepts = |state: &ServerState| matches!(state, ServerState::Running | ServerState::LameDuck);
        match () {
            () if any(ServerState::Draining) => Self::Stopping,
            () if is_shutting_down && !servers.iter().any(accepts) => Self::Stopping,
            () if is_shutting_down || any(ServerState::LameDuck) => Self::LameDuck,
            () if !has_started || any(ServerState::Down) || any(ServerState::Suspended) => Self::Starting,
            () => Self::Ready,
        }
    }
}

/// Returns whether the shutdown of the runtime has begun.
fn is_shutting_down() -> bool {
    pin!(shutdown_signal()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[cfg(test)]
mod tests {
    use super::{
        HealthState::{LameDuck, Ready, Starting, Stopping},
        *,
    };

    #[test]
    fn hl02_the_state_follows_from_the_shutdown_the_applications_and_the_servers() {
        use ServerState::{Down, Draining, LameDuck as Duck, Running, Suspended};
        for (shuts_down, has_started, servers, expected) in [
            (false, true, &[][..], Ready),
            (false, true, &[Running, Running], Ready),
            (false, false, &[Running], Starting),
            (false, true, &[Running, Down], Starting),
            (false, true, &[Running, Suspended], Starting),
            (false, true, &[Running, Duck], LameDuck),
            (false, false, &[Running, Duck], LameDuck),
            (false, true, &[Duck, Draining], Stopping),
            (true, true, &[Running], LameDuck),
            (true, true, &[Duck, Down], LameDuck),
            (true, true, &[Down], Stopping),
            (true, true, &[], Stopping),
            (true, false, &[Running, Draining], Stopping),
        ] {
            let state = HealthState::of(shuts_down, has_started, servers);
            assert_eq!(state, expected, "{shuts_down} {has_started} {servers:?}");
        }
    }
}
