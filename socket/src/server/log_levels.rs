//! The levels at which a server logs.

use riot_actor::log::LogLevel;

/// The levels at which a server logs, by class of event. (Bandit: `log_protocol_errors`,
/// `log_client_closures`.)
///
/// A client alone causes no line above `DEBUG` by default. The target of the lines is `riot::socket`, that of
/// handlers `riot::http`, and that of crashes `riot::crash`; see [`riot_actor::log`].
///
/// ```
/// use riot_actor::log::LogLevel;
/// use riot_socket::{LogLevels, Server};
///
/// let levels = LogLevels::new().client_gone(LogLevel::Off).protocol_error(LogLevel::Info);
/// let server = Server::bind("127.0.0.1:0")?.log_levels(levels);
/// # drop(server);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct LogLevels {
    pub(super) protocol_error: LogLevel,
    pub(super) client_gone: LogLevel,
    pub(super) timeout: LogLevel,
    pub(super) limit: LogLevel,
    pub(super) handshake: LogLevel,
    handler_error: LogLevel,
    pub(super) crash: LogLevel,
}

impl LogLevels {
    /// Returns the defaults.
    pub const fn new() -> Self {
        Self {
            protocol_error: LogLevel::Debug,
            client_gone: LogLevel::Debug,
            timeout: LogLevel::Debug,
            limit: LogLevel::Warn,
            handshake: LogLevel::Debug,
            handler_error: LogLevel::Warn,
            crash: LogLevel::Error,
        }
    }

    /// Sets the level of clients that break the protocol, such as a malformed request; `DEBUG` by default.
    pub const fn protocol_error(mut self, level: LogLevel) -> Self {
        self.protocol_error = level;
        self
    }

    /// Sets the level of clients that disconnect while they are served; `DEBUG` by default.
    pub const fn client_gone(mut self, level: LogLevel) -> Self {
        self.client_gone = level;
        self
    }

    /// Sets the level of connections that a timer ends; `DEBUG` by default.
    pub const fn timeout(mut self, level: LogLevel) -> Self {
        self.timeout = level;
        self
    }

    /// Sets the level of the limit of connections being reached; `WARN` by default. At most five lines in ten
    /// seconds are logged, then one line with their number.
    pub const fn limit(mut self, level: LogLevel) -> Self {
        self.limit = level;
        self
    }

    /// Sets the level of handshakes that fail, such as a TLS client that is refused; `DEBUG` by default.
    pub const fn handshake(mut self, level: LogLevel) -> Self {
        self.handshake = level;
        self
    }

    /// Sets the level of handlers that fail, in protocols that have handlers; `WARN` by default.
    pub const fn handler_error(mut self, level: LogLevel) -> Self {
        self.handler_error = level;
        self
    }

    /// Sets the level of Connectors that crash; `ERROR` by default.
    pub const fn crash(mut self, level: LogLevel) -> Self {
        self.crash = level;
        self
    }

    /// Returns the level of clients that disconnect, for protocols that have handlers.
    #[must_use]
    pub const fn of_clients_gone(&self) -> LogLevel {
        self.client_gone
    }

    /// Returns the level of handlers that fail, for protocols that have handlers.
    #[must_use]
    pub const fn of_handler_errors(&self) -> LogLevel {
        self.handler_error
    }
}

impl Default for LogLevels {
    fn default() -> Self {
        Self::new()
    }
}
