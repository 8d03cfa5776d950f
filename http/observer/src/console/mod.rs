//! The console: a way into a running program by a Unix socket, also when every worker is stuck.
//!
//! `commands` reads a line and says what to answer, `text` makes lines of a view, `socket` serves clients on
//! plain threads.
//!
//! **Invariant:** a command that only reads runs on the thread of its client and needs no process.

mod commands;
mod socket;
mod text;

use std::{
    io,
    path::{Path, PathBuf},
};

use riot_actor::{Pid, Reason, runtime::Handle, spawn_link};
use riot_supervisor::{ChildId, ChildSpec, Started, process_with_start};

use commands::Interpreter;
pub use commands::{ConsoleReply, Execution};
use socket::ConsoleSocket;

/// A console of the program: a Unix socket that takes commands, one on a line, and answers with lines.
///
/// ```text
/// $ nc -U /run/app.riot
/// top mailbox 3
/// pid       label      state    mailbox  busy
/// <1.17.0>  "indexer"  waiting      812  null
/// …
/// OK
/// ```
///
/// The socket has the mode 0600, and takes only users with the uid of the program, and root. A file that is
/// left over from a program that has ended is replaced; one that is served is an error. It is served by
/// threads of its own, so that commands that only read are answered even when no worker makes progress.
///
/// The answer to a command is lines, then `OK`, or `ERR` and a text. `help` lists all commands. `json` before
/// a command gives one line of JSON; `watch 1s` before it repeats it until the client sends a line. Eight
/// clients are served at once, and one that is silent for ten minutes is left.
///
/// Commands that change the program answer `ERR` unless [`with_controls`](Self::with_controls) allows them.
///
/// ```
/// use riot_observer::Console;
/// use riot_supervisor::Supervisor;
///
/// # let folder = std::env::temp_dir().join(format!("riot-console-doc-{}", std::process::id()));
/// # let path = folder.clone();
/// # let reason = riot_actor::run(async move {
/// let console = Console::new().listen(path);
/// let supervisor = Supervisor::one_for_one().child(console.child_spec("console")).start_link().await?;
/// # supervisor.stop(riot_actor::Reason::Normal).await?;
/// # Ok::<(), riot_actor::Reason>(())
/// # });
/// # assert_eq!(reason, riot_actor::Reason::Normal);
/// # assert!(!folder.exists(), "the file is removed at the end");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a console does nothing before it listens"]
pub struct Console {
    has_controls: bool,
    path: Option<PathBuf>,
}

impl Console {
    /// Returns a console that only reads.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets commands change the program. Each is logged.
    pub fn with_controls(mut self) -> Self {
        self.has_controls = true;
        self
    }

    /// Sets the path of the socket.
    pub fn listen(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// Answers one line, as the socket does, for the running runtime. The line may come from a test.
    ///
    /// ```
    /// use riot_observer::Console;
    ///
    /// # riot_actor::run(async {
    /// let reply = Console::new().execute("json names").finish().await.expect("it is a command");
    /// assert_eq!(reply.json()["names"].as_array().map(Vec::len), Some(0));
    /// # });
    /// ```
    ///
    /// # Panics
    /// Panics outside a process.
    pub fn execute(&self, line: &str) -> Execution {
        Interpreter::new(Handle::current(), self.has_controls).execute(line)
    }

    /// Starts to listen. The process that is returned is linked to the caller, and the socket is served until
    /// it ends.
    ///
    /// # Errors
    /// If the path is served by another program, or cannot be bound.
    ///
    /// # Panics
    /// Panics outside a process, and without a [path](Self::listen).
    pub fn start_link(self) -> io::Result<Pid> {
        let socket = self.bind()?;
        Ok(spawn_link(async move {
            let _socket = socket;
            std::future::pending::<()>().await;
        }))
    }

    /// Returns the spec of the console as a child of a supervisor.
    ///
    /// # Panics
    /// Panics without a [path](Self::listen).
    pub fn child_spec(self, id: impl Into<ChildId>) -> ChildSpec {
        assert!(self.path.is_some(), "the console has no path: call .listen(..)");
        let start = move |started: Started| {
            let console = self.clone();
            async move {
                let _socket = match console.bind() {
                    Ok(socket) => socket,
                    Err(error) => return Reason::error(error),
                };
                started.ok();
                std::future::pending().await
            }
        };
        process_with_start(id, start).untyped()
    }

    fn bind(&self) -> io::Result<ConsoleSocket> {
        let path = self.path.as_ref().expect("the console has no path: call .listen(..)");
        ConsoleSocket::bind(path, Interpreter::new(Handle::current(), self.has_controls))
    }
}
